"""The outermost layer: every request has a line in the log, and every answer its headers.

No error leaves it: what nobody expected is answered with `E_INTERNAL`, and logged by its kind and
place alone, because its text may contain a row or a token.
"""

import logging
import time
from pathlib import Path
from traceback import extract_tb
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exports.api.errors import answer_of
from exports.errors import UnexpectedError
from exports.runtime.metrics import time_request

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_log = logging.getLogger("exports.api")


class Boundary:
    """The layer around everything else.

    Args:
        app: What is inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as error:  # noqa: BLE001 -- see above
            *_, frame = extract_tb(error.__traceback__)
            place = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
            _log.error("Unexpected error: %s", place)
            # If the answer has begun, returning early cuts it off.
            if not status:
                message = "Something went wrong inside the service."
                await answer_of(UnexpectedError(message))(scope, receive, send_on)
        finally:
            took = time.perf_counter() - began
            time_request(scope["method"], _template(scope), status, took)
            _log.info(
                "%s %s %d, %.0f ms, %s",
                scope["method"],
                _template(scope),
                status,
                took * 1000,
                getattr(scope.get("state", {}).get("person"), "uid", "-"),
            )


def _template(scope: Scope) -> str:
    """Return the path of a request as it is declared, without the ids in it."""
    return getattr(scope.get("route"), "path", "(no such path)")
