"""What can be set from outside: environment variables, named as the fields."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
]


class Settings(BaseSettings):
    """A wrong value ends the program when it starts, and says which."""

    model_config = SettingsConfigDict(frozen=True)

    # LOG_LEVEL
    log_level: LogLevel = "INFO"
    # DRAIN_SECONDS: how long requests are still served after SIGTERM. Together with
    # the server's own wait for open requests it has to fit into the pod's
    # terminationGracePeriodSeconds, which is 30 if nothing else is said.
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
