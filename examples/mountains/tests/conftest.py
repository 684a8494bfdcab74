from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from mountains.main import create_app


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A client of a service that holds only the seed."""
    with TestClient(create_app()) as client:
        yield client
