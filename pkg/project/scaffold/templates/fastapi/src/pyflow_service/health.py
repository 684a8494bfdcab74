"""What Kubernetes asks."""

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from .lifecycle import Readiness

# async: they answer on the event loop even when every worker thread is busy.
router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer to a probe."""

    status: str


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the process works; a restart mends it when this fails.

    Nothing else is looked at here: a restart does not mend a database.
    """
    return Health(status="ok")


@router.get("/readyz", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Say whether requests should be sent here: not during start-up and shutdown."""
    readiness: Readiness = request.app.state.readiness
    if not readiness.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Health(status="not ready")
    return Health(status="ok")
