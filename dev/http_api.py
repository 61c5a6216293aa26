"""The HTTP API of `make dev` and `make demo KEEP=1`, with tokens to try it."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient

from dev import readiness
from dev.endpoints import Endpoints
from dev.private import write_private
from dev.process import Process
from exports.tokens import TokenStore

_OPERATOR: Final = "operator"
TOKENS: Final = {
    "EXPORTS_API_TOKEN": "u1",
    "EXPORTS_API_TOKEN_U2": "u2",
    "EXPORTS_API_TOKEN_OPERATOR": _OPERATOR,
}
"""Whose token is in which variable."""
_GRACE: Final = 10.0
"""Seconds."""


class HttpApi:
    """The API as a process of its own, which starts when this is created.

    Args:
        endpoints: Where the servers are, and where the API is to listen.
        directory: Where its log and its tokens are kept.
        environment: The environment variables of a client.
        cwd: Its working directory.

    Attributes:
        process: The process.
    """

    def __init__(
        self, endpoints: Endpoints, directory: Path, environment: Mapping[str, str], cwd: Path
    ) -> None:
        self._endpoints = endpoints
        self._saved = directory / "api-tokens.json"
        self._tokens: dict[str, str] = {}
        self.process: Final = Process(
            "The HTTP API",
            [sys.executable, "-m", "exports.cli.app", "api"],
            log=directory / "api.log",
            environment={
                **environment,
                "EXPORTS_API_LISTEN": endpoints.api_url.removeprefix("http://"),
            },
            cwd=cwd,
            grace=_GRACE,
        )

    def wait(self) -> None:
        """Wait until it is ready, and until there is a token for everybody.

        Raises:
            CrashError: It has ended, or was not ready in time.
        """
        readiness.wait_until(readiness.api, self._endpoints, self.process)
        self._tokens = kept_tokens(self._endpoints, self._saved)

    def variables(self) -> dict[str, str]:
        """Return the variables for those who ask over HTTP, with the tokens in plain text."""
        return {"EXPORTS_API_URL": self._endpoints.api_url, **self._tokens}

    def links(self) -> str:
        """Return the links with which a browser signs in, a line for each person."""
        return "\n".join(
            f"  {uid:<9} {self._endpoints.api_url}/#token={self._tokens[name]}"
            for name, uid in TOKENS.items()
        )


def kept_tokens(endpoints: Endpoints, saved: Path) -> dict[str, str]:
    """Return the tokens in a file, with new ones in place of those that are not valid."""
    tokens: dict[str, str] = json.loads(saved.read_text()) if saved.exists() else {}
    tokens = asyncio.run(_valid_tokens(endpoints, tokens))
    write_private(saved, json.dumps(tokens))
    return tokens


async def _valid_tokens(endpoints: Endpoints, known: Mapping[str, str]) -> dict[str, str]:
    tokens = dict(known)
    async with AsyncMongoClient[dict[str, Any]](endpoints.tasks_uri) as client:
        store = TokenStore(client[endpoints.mongo_database])
        for name, uid in TOKENS.items():
            if await store.find(tokens.get(name, "")) is None:
                tokens[name], _ = await store.create(uid, operator=uid == _OPERATOR)
    return tokens
