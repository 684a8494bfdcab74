import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from pyflow_service.lifecycle import Readiness, serving


class Server:
    """What a server does with SIGTERM: it notes it."""

    def __init__(self) -> None:
        self.signals = 0
        self.stopped = asyncio.Event()

    def stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.signals += 1
        self.stopped.set()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    before = signal.signal(signal.SIGTERM, server.stop)
    yield server
    assert signal.getsignal(signal.SIGTERM) == server.stop
    signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_readiness_before_it_reaches_the_server(server: Server) -> None:
    readiness = Readiness()

    async def scenario() -> None:
        with serving(readiness, drain_seconds=0.05):
            assert readiness.ready
            signal.raise_signal(signal.SIGTERM)
            assert (readiness.ready, server.signals) == (False, 0)
            await asyncio.wait_for(server.stopped.wait(), timeout=30)

    asyncio.run(scenario())
    assert (readiness.ready, server.signals) == (False, 1)


def test_a_second_sigterm_is_not_kept_waiting(server: Server) -> None:
    async def scenario() -> None:
        with serving(Readiness(), drain_seconds=3600):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    asyncio.run(scenario())
    assert server.signals == 1


def test_without_draining_the_server_stops_at_once(server: Server) -> None:
    async def scenario() -> None:
        with serving(Readiness(), drain_seconds=0):
            signal.raise_signal(signal.SIGTERM)

    asyncio.run(scenario())
    assert server.signals == 1
