from fastapi import FastAPI
from fastapi.testclient import TestClient


def test_home_links_to_the_docs(app: FastAPI) -> None:
    client = TestClient(app)
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == {"service": app.title, "docs": "/docs"}
    assert client.get(response.json()["docs"]).status_code == 200
