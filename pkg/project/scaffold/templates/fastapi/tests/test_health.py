from fastapi import FastAPI
from fastapi.testclient import TestClient


def test_healthz_does_not_wait_for_the_start(app: FastAPI) -> None:
    response = TestClient(app).get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_readyz_from_the_start_to_the_end(app: FastAPI) -> None:
    outside = TestClient(app)
    assert outside.get("/readyz").status_code == 503
    with TestClient(app) as client:
        response = client.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}
    response = outside.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "not ready"}
