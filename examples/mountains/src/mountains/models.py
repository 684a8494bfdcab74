"""The requests and responses of the API."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class MountainIn(BaseModel):
    """A mountain as a client describes it: the server alone chooses ids."""

    # forbid: a misspelt field is a 422, not data lost in silence.
    # frozen: the store hands out its own objects, and threads share them.
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    elevation: Text
    coordinate: Text
    links: Annotated[tuple[HttpUrl, ...], Field(max_length=20)] = ()


class Mountain(MountainIn):
    """A mountain in the collection."""

    id: int


class Health(BaseModel):
    """The answer to a probe."""

    status: str = "ok"
