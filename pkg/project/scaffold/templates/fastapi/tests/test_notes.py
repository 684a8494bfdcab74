from uuid import uuid4

import pytest
from fastapi.testclient import TestClient


def create(client: TestClient, text: str) -> dict[str, object]:
    response = client.post("/notes", json={"text": text})
    assert response.status_code == 201
    note: dict[str, object] = response.json()
    assert response.headers["Location"] == f"/notes/{note['id']}"
    return note


def test_there_are_none_at_first(client: TestClient) -> None:
    assert client.get("/notes").json() == []


def test_create_and_read(client: TestClient) -> None:
    note = create(client, "  water the plants ")
    assert note["text"] == "water the plants"
    assert client.get(f"/notes/{note['id']}").json() == note


def test_list_is_in_order_and_in_pages(client: TestClient) -> None:
    notes = [create(client, text) for text in ("one", "two", "three")]
    assert client.get("/notes").json() == notes
    assert client.get("/notes", params={"offset": 1, "limit": 1}).json() == notes[1:2]
    assert client.get("/notes", params={"offset": 2**64}).json() == []


def test_delete(client: TestClient) -> None:
    path = f"/notes/{create(client, 'gone soon')['id']}"
    response = client.delete(path)
    assert response.status_code == 204
    assert response.content == b""
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_404_names_what_is_not_there(client: TestClient) -> None:
    note_id = uuid4()
    response = client.get(f"/notes/{note_id}")
    assert response.status_code == 404
    assert response.json() == {"detail": f"no note {note_id}"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "text", id="nothing"),
        pytest.param({"text": "  "}, "text", id="blank"),
        pytest.param({"text": "x" * 1001}, "text", id="too long"),
        pytest.param({"text": "a", "txet": "b"}, "txet", id="misspelt field"),
    ],
)
def test_422_for_an_invalid_note(client: TestClient, body: dict[str, str], field: str) -> None:
    response = client.post("/notes", json=body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", field]
    assert client.get("/notes").json() == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"offset": -1}])
def test_422_for_an_invalid_page(client: TestClient, query: dict[str, int]) -> None:
    assert client.get("/notes", params=query).status_code == 422
