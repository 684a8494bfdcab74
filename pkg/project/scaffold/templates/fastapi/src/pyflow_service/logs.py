"""Logs as JSON, a line per record, on standard output."""

import json
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime

# Of the request that is being answered, in every record that is logged meanwhile.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# What every record has; anything else was passed as extra.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JSONFormatter(logging.Formatter):
    """One JSON object per record; what is passed as `extra` becomes fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            fields["request_id"] = current
        fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send the records of all loggers, the server's too, to standard output."""
    logging.captureWarnings(capture=True)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JSONFormatter}},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "formatter": "json",
                    "stream": "ext://sys.stdout",
                }
            },
            "root": {"level": level, "handlers": ["stdout"]},
            "loggers": {
                # uvicorn has given these handlers of their own.
                "uvicorn": {"handlers": [], "propagate": True},
                # AccessLog writes that line, with more in it.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )
