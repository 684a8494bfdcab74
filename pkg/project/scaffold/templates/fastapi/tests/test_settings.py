import pytest
from pydantic import ValidationError

from pyflow_service.settings import Settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("DRAIN_SECONDS", "0.5")
    settings = Settings()
    assert settings.log_level == "DEBUG"
    assert settings.drain_seconds == 0.5


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("DRAIN_SECONDS", "-1")])
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
