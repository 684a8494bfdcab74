import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mountains.models import MountainIn
from mountains.store import MountainStore


@pytest.fixture
def eager_thread_switching() -> Iterator[None]:
    """Switch threads as often as the interpreter can, so that a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_thread_switching")
def test_threads_never_share_an_id() -> None:
    store = MountainStore()
    new = MountainIn(name="Mount Madison", elevation="1,636 meters", coordinate="somewhere")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: store.create(new).id, range(4000)))
    assert sorted(ids) == list(range(1, 4001))
    assert [mountain.id for mountain in store.list()] == list(range(1, 4001))
