"""Settings from environment variables, which have the names of the fields."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
]


class Settings(BaseSettings):
    """The settings. The program does not start with a wrong value, and names it."""

    model_config = SettingsConfigDict(frozen=True)

    # LOG_LEVEL
    log_level: LogLevel = "INFO"
    # DRAIN_SECONDS: how many seconds the service still answers requests after SIGTERM.
    # Together with the server's wait for open requests it has to be shorter than the
    # terminationGracePeriodSeconds of the pod, 30 by default.
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
