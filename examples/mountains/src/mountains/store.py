"""The collection of mountains, in memory."""

from collections.abc import Iterable
from threading import Lock

from pydantic import HttpUrl

from .models import Mountain, MountainIn

SEED = (
    MountainIn(
        name="Mount Adams",
        elevation="1,766 meters",
        coordinate="44°19′14″N 71°17′29W",  # noqa: RUF001 - prime marks, not apostrophes
        links=(
            HttpUrl("https://en.wikipedia.org/wiki/Mount_Adams_(New_Hampshire)"),
            HttpUrl("http://www.mountwashington.org/visitor/mountains/mountains.html"),
        ),
    ),
)


class MountainNotFoundError(LookupError):
    """No mountain has this id."""

    def __init__(self, mountain_id: int) -> None:
        super().__init__(f"no mountain {mountain_id}")


class MountainStore:
    """Mountains by id, in the order they were created.

    Safe to share between threads. Ids start at 1 and are never used again, so an
    old Location does not lead to another mountain.
    """

    def __init__(self, seed: Iterable[MountainIn] = ()) -> None:
        self._lock = Lock()
        self._mountains: dict[int, Mountain] = {}
        self._last_id = 0
        for mountain in seed:
            self.create(mountain)

    def list(self) -> list[Mountain]:
        with self._lock:
            return [*self._mountains.values()]

    def get(self, mountain_id: int) -> Mountain:
        with self._lock:
            return self._existing(mountain_id)

    def create(self, new: MountainIn) -> Mountain:
        with self._lock:
            mountain = _with_id(self._last_id + 1, new)
            self._last_id = mountain.id
            self._mountains[mountain.id] = mountain
            return mountain

    def replace(self, mountain_id: int, new: MountainIn) -> Mountain:
        with self._lock:
            self._existing(mountain_id)
            mountain = self._mountains[mountain_id] = _with_id(mountain_id, new)
            return mountain

    def delete(self, mountain_id: int) -> None:
        with self._lock:
            self._existing(mountain_id)
            del self._mountains[mountain_id]

    def _existing(self, mountain_id: int) -> Mountain:
        try:
            return self._mountains[mountain_id]
        except KeyError:
            raise MountainNotFoundError(mountain_id) from None


def _with_id(mountain_id: int, new: MountainIn) -> Mountain:
    return Mountain(id=mountain_id, **dict(new))
