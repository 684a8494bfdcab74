"""The service. The server runs `main:app`."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

from fastapi import FastAPI, Response, status

# How many seconds the service still answers requests after SIGTERM.
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "5"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the service needs, and close it after the last request."""
    drain_on_sigterm(app)
    app.state.ready = True
    yield
    app.state.ready = False


def drain_on_sigterm(app: FastAPI) -> None:
    """Pass SIGTERM to the server after DRAIN_SECONDS, or when it comes a second time.

    Kubernetes sends SIGTERM to a pod and removes the pod from the Service at the same time.
    Requests still arrive for a moment, and the server would refuse them.
    """
    stop = signal.getsignal(signal.SIGTERM)
    # Only tests run in another thread: there is no server to stop.
    if not callable(stop) or threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def drain(signum: int, frame: FrameType | None) -> None:
        first, app.state.ready = app.state.ready, False
        if first and DRAIN_SECONDS > 0:
            loop.call_soon_threadsafe(loop.call_later, DRAIN_SECONDS, stop, signum, None)
        else:
            stop(signum, frame)

    signal.signal(signal.SIGTERM, drain)


app = FastAPI(title="pyflow-service", lifespan=lifespan)
app.state.ready = False


# async: these answer on the event loop, even if every worker thread is busy.
@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Report that the process works. Kubernetes restarts it if this fails."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz(response: Response) -> dict[str, str]:
    """Report whether the service takes requests: not during start-up and shutdown."""
    if not app.state.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return {"status": "not ready"}
    return {"status": "ok"}


@app.get("/")
def hello(name: str = "world") -> dict[str, str]:
    """Greet someone. This is an example: replace it."""
    return {"message": f"Hello, {name}!", "docs": "/docs"}
