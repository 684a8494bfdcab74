"""Logs as JSON, a line per record, on standard output."""

import json
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime

# The ID of the current request, which every record has.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# The fields of every record. Others were passed as extra.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JSONFormatter(logging.Formatter):
    """One JSON object per record, with a field for each item of `extra`."""

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
    """Write the records of all loggers, including those of the server, to standard output."""
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
                # uvicorn adds its own handlers to these.
                "uvicorn": {"handlers": [], "propagate": True},
                # AccessLog writes this line, with more fields.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )
