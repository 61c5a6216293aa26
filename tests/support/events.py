"""Reads server-sent events, as a browser's EventSource does."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.service import PATIENCE


@dataclass(frozen=True)
class Event:
    """One event, or a comment."""

    name: str
    data: Any = None
    id: str | None = None


class Events:
    """The answer to a request for events; iterates over its events and comments."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._read = _events(answer)

    async def next(self, name: str | None = None) -> Event:
        """Return the next event, or the next one with this name."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            async for event in self._read:
                if event.name == name or (name is None and event.name not in ("comment", "retry")):
                    return event
        raise AssertionError("the stream has ended")

    async def rest(self) -> list[Event]:
        """Return what is left, when the stream has ended as it should."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return [event async for event in self._read if event.name not in ("comment", "retry")]


async def _events(answer: httpx2.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}
        else:
            yield Event("retry" if "retry" in fields else "comment")
            fields = {}


@asynccontextmanager
async def following(
    http: httpx2.AsyncClient, path: str, headers: dict[str, str], last: str | None = None
) -> AsyncGenerator[Events]:
    """Follow a stream, from after the event with this id."""
    given = headers if last is None else {**headers, "Last-Event-ID": last}
    async with http.stream("GET", path, headers=given) as answer:
        yield Events(answer)
