"""The application and its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import health, notes
from .access import AccessLog
from .lifecycle import Readiness, serving
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return a new application. It shares no state with others."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Open what the service needs here: this runs before the service is ready. Close it
        # after the yield, which runs after the last request.
        app.state.notes = notes.NoteStore()
        with serving(readiness, settings.drain_seconds):
            yield

    app = FastAPI(title="pyflow-service", lifespan=lifespan)
    app.state.readiness = readiness
    app.add_middleware(AccessLog)
    app.include_router(health.router)
    app.include_router(notes.router)

    @app.get("/", include_in_schema=False)
    async def home() -> dict[str, str]:
        return {"service": app.title, "docs": "/docs"}

    return app
