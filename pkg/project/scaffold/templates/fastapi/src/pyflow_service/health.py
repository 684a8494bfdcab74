"""The health checks of Kubernetes."""

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from .lifecycle import Readiness

# async: they answer on the event loop, even if every worker thread is busy.
router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer to a probe."""

    status: str


@router.get("/healthz")
async def healthz() -> Health:
    """Report that the process works. Kubernetes restarts it if this fails.

    Do not check a database here: a restart does not fix it.
    """
    return Health(status="ok")


@router.get("/readyz", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Report whether the service takes requests: not during start-up and shutdown."""
    readiness: Readiness = request.app.state.readiness
    if not readiness.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Health(status="not ready")
    return Health(status="ok")
