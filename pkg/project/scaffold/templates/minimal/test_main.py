import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from fastapi.testclient import TestClient

import main


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Return a client of the application, which runs during the test."""
    with TestClient(main.app) as client:
        yield client


def test_hello(client: TestClient) -> None:
    assert client.get("/").json() == {"message": "Hello, world!", "docs": "/docs"}
    assert client.get("/", params={"name": "Ada"}).json()["message"] == "Hello, Ada!"


def test_healthz_does_not_wait_for_the_start() -> None:
    response = TestClient(main.app).get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_readyz_from_the_start_to_the_end() -> None:
    outside = TestClient(main.app)
    assert outside.get("/readyz").status_code == 503
    with TestClient(main.app) as client:
        assert client.get("/readyz").status_code == 200
    assert outside.get("/readyz").status_code == 503


@pytest.mark.parametrize(("seconds", "after_first"), [(3600.0, 0), (0.0, 1)])
def test_sigterm_ends_readiness_before_it_stops_the_server(
    monkeypatch: pytest.MonkeyPatch, seconds: float, after_first: int
) -> None:
    monkeypatch.setattr(main, "DRAIN_SECONDS", seconds)
    stops = 0

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stops
        stops += 1

    async def scenario() -> None:
        async with main.lifespan(main.app):
            assert main.app.state.ready
            signal.raise_signal(signal.SIGTERM)
            assert (main.app.state.ready, stops) == (False, after_first)
            signal.raise_signal(signal.SIGTERM)
            assert stops == after_first + 1

    before = signal.signal(signal.SIGTERM, stop)
    try:
        asyncio.run(scenario())
    finally:
        signal.signal(signal.SIGTERM, before)
