"""Readiness: the service takes requests from the end of its start-up until SIGTERM."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

logger = logging.getLogger(__name__)


class Readiness:
    """Whether the service takes new requests."""

    def __init__(self) -> None:
        self.ready = False


@contextmanager
def serving(readiness: Readiness, drain_seconds: float) -> Iterator[None]:
    """Be ready inside the context, until SIGTERM.

    Kubernetes sends SIGTERM to a pod and removes the pod from the Service at the same time.
    Requests still arrive for a moment, and the server would refuse them. So the server gets
    the signal after drain_seconds, or when it comes a second time.
    """
    stop = signal.getsignal(signal.SIGTERM)
    with ExitStack() as stack:
        # Only tests run in another thread: there is no server to stop.
        if callable(stop) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _draining(readiness, drain_seconds, stop))
            stack.callback(signal.signal, signal.SIGTERM, stop)
        readiness.ready = True
        try:
            yield
        finally:
            readiness.ready = False


def _draining(readiness: Readiness, seconds: float, stop: Handler) -> Handler:
    loop = asyncio.get_running_loop()

    def drain(signum: int, frame: FrameType | None) -> None:
        first, readiness.ready = readiness.ready, False
        if first and seconds > 0:
            logger.info("draining", extra={"seconds": seconds})
            loop.call_soon_threadsafe(loop.call_later, seconds, stop, signum, None)
        else:
            stop(signum, frame)

    return drain
