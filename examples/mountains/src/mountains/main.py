"""The HTTP API: uvicorn serves `mountains.main:app`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response, status
from fastapi.responses import JSONResponse

from .models import Health, Mountain, MountainIn
from .store import SEED, MountainNotFoundError, MountainStore

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    status.HTTP_404_NOT_FOUND: {"description": "No mountain has this id"}
}

router = APIRouter()


async def get_store(request: Request) -> MountainStore:
    return request.app.state.store


Store = Annotated[MountainStore, Depends(get_store)]


# Before /{mountain_id}: routes match in order, and "healthz" would be read as an id.
# async: it answers on the event loop even when every worker thread is busy.
@router.get("/healthz", tags=["health"])
async def healthz() -> Health:
    return Health()


@router.get("/", tags=["mountains"])
def list_mountains(store: Store) -> list[Mountain]:
    return store.list()


@router.post("/", status_code=status.HTTP_201_CREATED, tags=["mountains"])
def create_mountain(
    new: MountainIn, store: Store, request: Request, response: Response
) -> Mountain:
    mountain = store.create(new)
    # The path alone: right behind any ingress or port-forward, whatever host it is called by.
    response.headers["Location"] = request.url_for("read_mountain", mountain_id=mountain.id).path
    return mountain


@router.get("/{mountain_id}", responses=NOT_FOUND, tags=["mountains"])
def read_mountain(mountain_id: int, store: Store) -> Mountain:
    return store.get(mountain_id)


@router.put("/{mountain_id}", responses=NOT_FOUND, tags=["mountains"])
def replace_mountain(mountain_id: int, new: MountainIn, store: Store) -> Mountain:
    return store.replace(mountain_id, new)


@router.delete(
    "/{mountain_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=NOT_FOUND,
    tags=["mountains"],
)
def delete_mountain(mountain_id: int, store: Store) -> None:
    store.delete(mountain_id)


async def not_found(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status.HTTP_404_NOT_FOUND)


def create_app() -> FastAPI:
    """Return an application with a collection of its own."""
    app = FastAPI(title="Mountains", version="0.1.0")
    app.state.store = MountainStore(SEED)
    app.add_exception_handler(MountainNotFoundError, not_found)
    app.include_router(router)
    return app


app = create_app()
