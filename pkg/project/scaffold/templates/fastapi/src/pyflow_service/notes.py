"""Notes: an example of a resource. Replace it.

Notes are kept in memory: a restart loses them, and each replica has its own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class NoteIn(BaseModel):
    """A note as a client sends it."""

    # forbid: a misspelled field is an error (422) instead of lost data.
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Text


class Note(NoteIn):
    """A note as it is stored."""

    id: UUID
    created: datetime


class NoteStore:
    """Notes by id, oldest first. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._notes: dict[UUID, Note] = {}

    def list(self, offset: int, limit: int) -> Sequence[Note]:
        with self._lock:
            return [*self._notes.values()][offset : offset + limit]

    def get(self, note_id: UUID) -> Note | None:
        with self._lock:
            return self._notes.get(note_id)

    def add(self, new: NoteIn) -> Note:
        note = Note(id=uuid4(), created=datetime.now(UTC), text=new.text)
        with self._lock:
            self._notes[note.id] = note
        return note

    def remove(self, note_id: UUID) -> bool:
        """Return whether the note existed."""
        with self._lock:
            return self._notes.pop(note_id, None) is not None


async def get_store(request: Request) -> NoteStore:
    store: NoteStore = request.app.state.notes
    return store


Store = Annotated[NoteStore, Depends(get_store)]

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    status.HTTP_404_NOT_FOUND: {"description": "No note has this id"}
}

router = APIRouter(prefix="/notes", tags=["notes"])


@router.get("")
def list_notes(
    store: Store,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Sequence[Note]:
    return store.list(offset, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
def create_note(new: NoteIn, store: Store, request: Request, response: Response) -> Note:
    note = store.add(new)
    response.headers["Location"] = request.app.url_path_for("read_note", note_id=note.id)
    return note


@router.get("/{note_id}", responses=NOT_FOUND)
def read_note(note_id: UUID, store: Store) -> Note:
    note = store.get(note_id)
    if note is None:
        raise _not_found(note_id)
    return note


@router.delete("/{note_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
def delete_note(note_id: UUID, store: Store) -> None:
    if not store.remove(note_id):
        raise _not_found(note_id)


def _not_found(note_id: UUID) -> HTTPException:
    return HTTPException(status.HTTP_404_NOT_FOUND, f"no note {note_id}")
