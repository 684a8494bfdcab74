"""The application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import health, notes
from .access import AccessLog
from .lifecycle import Readiness, serving
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return an application that shares nothing with another one."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # What the service needs is opened here, before it is ready, and closed after
        # the last request.
        app.state.notes = notes.NoteStore()
        with serving(readiness, settings.drain_seconds):
            yield

    app = FastAPI(title="pyflow-service", lifespan=lifespan)
    app.state.readiness = readiness
    app.add_middleware(AccessLog)
    app.include_router(health.router)
    app.include_router(notes.router)
    return app
