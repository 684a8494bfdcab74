import pytest
from fastapi.testclient import TestClient

ADAMS = {
    "id": 1,
    "name": "Mount Adams",
    "elevation": "1,766 meters",
    "coordinate": "44°19′14″N 71°17′29W",  # noqa: RUF001 - prime marks, not apostrophes
    "links": [
        "https://en.wikipedia.org/wiki/Mount_Adams_(New_Hampshire)",
        "http://www.mountwashington.org/visitor/mountains/mountains.html",
    ],
}
MADISON = {
    "name": "Mount Madison",
    "elevation": "1,636 meters",
    "coordinate": "44.3289 N, 71.2767 W",
    "links": ["https://en.wikipedia.org/wiki/Mount_Madison"],
}


def test_healthz_is_not_taken_for_an_id(client: TestClient) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_list_holds_the_seed(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == [ADAMS]


def test_read(client: TestClient) -> None:
    response = client.get("/1")
    assert response.status_code == 200
    assert response.json() == ADAMS


def test_create_tells_where_the_mountain_is(client: TestClient) -> None:
    response = client.post("/", json=MADISON)
    assert response.status_code == 201
    assert response.headers["Location"] == "/2"
    assert response.json() == {"id": 2, **MADISON}
    assert client.get(response.headers["Location"]).json() == response.json()
    assert client.get("/").json() == [ADAMS, response.json()]


def test_create_without_links(client: TestClient) -> None:
    response = client.post("/", json={k: v for k, v in MADISON.items() if k != "links"})
    assert response.status_code == 201
    assert response.json()["links"] == []


def test_replace(client: TestClient) -> None:
    response = client.put("/1", json=MADISON)
    assert response.status_code == 200
    assert response.json() == {"id": 1, **MADISON}
    assert client.get("/").json() == [{"id": 1, **MADISON}]


def test_delete(client: TestClient) -> None:
    response = client.delete("/1")
    assert response.status_code == 204
    assert response.content == b""
    assert client.get("/1").status_code == 404
    assert client.get("/").json() == []


def test_a_deleted_id_is_not_used_again(client: TestClient) -> None:
    location = client.post("/", json=MADISON).headers["Location"]
    client.delete(location)
    assert client.post("/", json=MADISON).headers["Location"] != location


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_404_where_there_is_none(client: TestClient, method: str) -> None:
    response = client.request(method, "/99", json=MADISON if method == "PUT" else None)
    assert response.status_code == 404
    assert response.json() == {"detail": "no mountain 99"}
    assert client.get("/").json() == [ADAMS]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_422_for_an_id_that_is_no_number(client: TestClient, method: str) -> None:
    response = client.request(method, "/adams", json=MADISON if method == "PUT" else None)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["path", "mountain_id"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("PUT", "/1")])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"name": None}, "name", id="null name"),
        pytest.param({"name": "  "}, "name", id="blank name"),
        pytest.param({"elevation": 1636}, "elevation", id="elevation is no text"),
        pytest.param({"links": ["javascript:alert(1)"]}, "links", id="link is no web address"),
        pytest.param({"hieght": "1,636 meters"}, "hieght", id="misspelt field"),
        pytest.param({"id": 7}, "id", id="id is the server's to choose"),
    ],
)
def test_422_for_an_invalid_mountain(
    client: TestClient, method: str, path: str, change: dict[str, object], field: str
) -> None:
    response = client.request(method, path, json={**MADISON, **change})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["body", field]
    assert client.get("/").json() == [ADAMS]


def test_422_for_a_missing_field(client: TestClient) -> None:
    response = client.post("/", json={"name": "Mount Madison"})
    assert response.status_code == 422
    assert {error["loc"][1] for error in response.json()["detail"]} == {"elevation", "coordinate"}
