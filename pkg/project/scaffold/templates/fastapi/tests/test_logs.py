import json
import logging
import sys
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pyflow_service import logs


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Loggers as they were, after a test that sets them up."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    logging.captureWarnings(capture=False)
    root.setLevel(level)
    root.handlers[:] = handlers


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_record_is_one_line_of_json() -> None:
    token = logs.request_id.set("r1")
    try:
        try:
            raise ValueError("with\ntwo lines")
        except ValueError:
            exc_info = sys.exc_info()
        record = logging.getLogger("test").makeRecord(
            "test", logging.ERROR, __file__, 1, "took %s", ("long",), exc_info, extra={"count": 3}
        )
        text = logs.JSONFormatter().format(record)
    finally:
        logs.request_id.reset(token)
    assert "\n" not in text
    fields = json.loads(text)
    assert fields.pop("time").endswith("+00:00")
    assert "with\ntwo lines" in fields.pop("exception")
    assert fields == {
        "level": "error",
        "logger": "test",
        "message": "took long",
        "request_id": "r1",
        "count": 3,
    }


@pytest.mark.usefixtures("restored_logging")
def test_the_server_logs_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO")
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "green"})
    logging.getLogger("uvicorn.access").info("a second line for a request")
    logging.getLogger("elsewhere").debug("details")
    logged = lines(capsys.readouterr().out)
    assert [(line["logger"], line["message"]) for line in logged] == [("uvicorn.error", "started")]
    assert "color_message" not in logged[0]


@pytest.mark.usefixtures("restored_logging")
def test_each_request_is_one_line_with_its_id(
    app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure_logging("INFO")
    client = TestClient(app)
    client.get("/healthz")
    response = client.get("/nothing", headers={"X-Request-ID": "abc-1"})
    (line,) = (line for line in lines(capsys.readouterr().out) if "status" in line)
    assert response.headers["X-Request-ID"] == "abc-1"
    assert line["request_id"] == "abc-1"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nothing", 404)


@pytest.mark.parametrize("given", ["", "two\twords", "x" * 65])
def test_an_id_that_is_none_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] not in ("", given)


def test_an_unexpected_error_is_logged_and_answered(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("out of luck")

    response = TestClient(app).get("/broken", headers={"X-Request-ID": "abc-2"})
    assert response.status_code == 500
    assert response.headers["X-Request-ID"] == "abc-2"
    assert "luck" not in response.text
    assert "RuntimeError: out of luck" in caplog.text
