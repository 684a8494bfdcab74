from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pyflow_service.app import create_app
from pyflow_service.settings import Settings


@pytest.fixture
def app() -> FastAPI:
    """Return a new application that is not started."""
    return create_app(Settings())


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Return a client of the application, which runs during the test."""
    with TestClient(app) as client:
        yield client
