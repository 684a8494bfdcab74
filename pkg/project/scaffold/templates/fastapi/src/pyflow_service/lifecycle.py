"""When requests may come: from the end of the start-up to the signal to stop."""

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
    """Whether new requests are wanted."""

    def __init__(self) -> None:
        self.ready = False


@contextmanager
def serving(readiness: Readiness, drain_seconds: float) -> Iterator[None]:
    """Be ready inside of the context, until SIGTERM.

    Kubernetes sends SIGTERM to a pod and takes it out of the Service at the same
    time, so requests still arrive for a moment. The server would refuse them: it
    gets the signal drain_seconds later, or when it comes a second time.
    """
    stop = signal.getsignal(signal.SIGTERM)
    with ExitStack() as stack:
        # A thread other than the main one is a test's: there is no server to stop.
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
