"""The streams of events that this process has open: how many, whose, and until when."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from exports.clock import now_ms
from exports.errors import ExportError, RateError
from exports.tokens import TokenStore

CHECK_EVERY: Final = 15.0
"""Seconds after which the tokens of all open streams are looked at again."""
_TRY_AGAIN: Final = 30.0  # seconds


@dataclass(eq=False)
class Stream:
    """One open stream.

    Attributes:
        ends: When the token ends with which it was opened (epoch milliseconds), if it does.
        token: The id of that token, if it is one of ours.
        over: Done when the stream has to end.
    """

    ends: int | None
    token: str | None
    over: asyncio.Future[None]

    def end(self) -> None:
        """Let the stream end."""
        if not self.over.done():
            self.over.set_result(None)


class Streams:
    """All open streams. They end when this process stops, or when their token ends.

    Args:
        per_person: How many one person may have.
        most: How many there may be in all.
        tokens: Our own tokens.
        stopping: Set when this process stops.
    """

    def __init__(
        self, *, per_person: int, most: int, tokens: TokenStore, stopping: asyncio.Event
    ) -> None:
        self._per_person = per_person
        self._most = most
        self._tokens = tokens
        self._stopping = stopping
        self._open = set[Stream]()
        self._of = Counter[str]()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def opened(self, uid: str, *, ends: int | None, token: str | None) -> Generator[Stream]:
        """Count a stream as open until the block is left.

        Args:
            uid: Who follows it.
            ends: See `Stream`.
            token: See `Stream`.

        Raises:
            RateError: This person, or this process, has too many streams open.
        """
        if self._of[uid] >= self._per_person:
            raise RateError(
                f"You have {self._per_person} streams of events open; close one of them.",
                retry_after=_TRY_AGAIN,
            )
        if len(self._open) >= self._most:
            raise RateError("Too many streams of events are open.", retry_after=_TRY_AGAIN)
        stream = Stream(ends, token, asyncio.get_running_loop().create_future())
        if self._stopping.is_set():
            stream.end()
        self._open.add(stream)
        self._of[uid] += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            yield stream
        finally:
            self._open.discard(stream)
            self._of[uid] -= 1
            if not self._of[uid]:
                del self._of[uid]
            if not self._open:
                self._watching.cancel()
                self._watching = None

    async def _watch(self) -> None:
        """End all streams when this process stops, and those without a valid token before."""
        checking = asyncio.create_task(self._keep_checking())
        try:
            await self._stopping.wait()
        finally:
            checking.cancel()
        for stream in self._open:
            stream.end()

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY)
            ours = {stream.token for stream in self._open if stream.token is not None}
            try:
                revoked = ours - await self._tokens.valid(ours) if ours else ours
            except ExportError:  # the database is away, so there is nothing to tell either
                revoked = set[str]()
            for stream in self._open:
                if stream.token in revoked or (stream.ends is not None and stream.ends <= now_ms()):
                    stream.end()
