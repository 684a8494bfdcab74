"""One log line for each request, with the ID of the request."""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import request_id

HEADER = "X-Request-ID"
# Kubernetes sends these every few seconds. They are logged only if they fail.
PROBES = frozenset({"/healthz", "/readyz"})

logger = logging.getLogger(__name__)

# Clients choose the ID, and it is written to logs and headers.
_acceptable_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


class AccessLog:
    """Middleware that logs requests, and answers those that fail unexpectedly.

    A request keeps the ID in its header X-Request-ID, or gets a new one. The response has the
    same header, also if it is an error.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        current = given if _acceptable_id(given) else uuid4().hex
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = current
            await send(message)

        token = request_id.set(current)
        start = perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("unhandled exception")
            if status:
                # A part of the response is sent: the server has to close the connection.
                raise
            response = JSONResponse({"detail": "Internal Server Error"}, 500)
            await response(scope, receive, send_with_id)
        finally:
            quiet = scope["path"] in PROBES and status < 400
            logger.log(
                logging.DEBUG if quiet else logging.INFO,
                "%s %s",
                scope["method"],
                scope["path"],
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "duration_ms": round((perf_counter() - start) * 1000, 1),
                    "client": scope["client"][0] if scope["client"] else None,
                },
            )
            request_id.reset(token)
