"""Server-sent events: what becomes of one export, and of all exports of a person."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from exports.api.errors import documented
from exports.api.event_texts import (
    ID_OF_ALL,
    ID_OF_ONE,
    OVERLAP,
    EventsOfAll,
    EventsOfOne,
    time_of,
)
from exports.api.exports import TaskId
from exports.api.parts import Parts, PartsOfApp
from exports.api.streams import Stream
from exports.api.who import Asks, Person, whose
from exports.errors import ExportError, OperatorError, RequestError, TaskNotFoundError
from exports.tasks.task import ExportTask

router = APIRouter(prefix="/exports", tags=["exports"])

COMMENT_EVERY: Final = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the stream."""
_CONNECT_AGAIN: Final = 3000  # milliseconds until a browser does, after the end of a stream
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _last_event_id(form: re.Pattern[str], example: str) -> Any:  # noqa: ANN401 -- as FastAPI declares `Header`
    return Header(
        alias="Last-Event-ID",
        description="The `id` of the last event that you have got. Browsers send it by themselves.",
        json_schema_extra={"pattern": f"^{form.pattern}$", "examples": [example]},
    )


_LastOfOne = Annotated[str | None, _last_event_id(ID_OF_ONE, "9f86d081884c7d65")]
_LastOfAll = Annotated[str | None, _last_event_id(ID_OF_ALL, "1793000000400-9f86d081884c7d65")]
_STREAM: Final = {
    "description": "Events `progress` and `end`, both with an `ExportEvent` as their `data`.",
    "content": {
        "text/event-stream": {
            # As FastAPI describes events, and OpenAPI 3.2 does.
            "itemSchema": {
                "type": "object",
                "properties": {
                    "event": {"enum": ["progress", "end"]},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": "#/components/schemas/ExportEvent"},
                    },
                    "id": {"type": "string"},
                },
                "required": ["event", "data", "id"],
            },
            "example": "event: progress\n"
            'data: {"id":"6720c1f0a1b2c3d4e5f60718","type":"statsMonthly","format":"csv",'
            '"createdBy":"u1","status":"running","stage":"upload","rows":1240,"total":1240,'
            '"bytes":65536,"retries":0,"nextRunAt":null,"error":null,'
            '"updatedAt":1793000001500}\n'
            "id: 9f86d081884c7d65\n\n",
        }
    },
}


class _Followed:
    """An open stream, and the states that it tells of."""

    def __init__(self, stream: Stream, states: AsyncIterator[ExportTask]) -> None:
        self._stream = stream
        self._states = states
        self._next: asyncio.Future[ExportTask] | None = None

    async def events(
        self, first: list[ExportTask], event: Callable[[ExportTask], bytes | None], *, one: bool
    ) -> AsyncGenerator[bytes]:
        """Yield what is sent, until the stream is over or, of one export, until that has ended."""
        yield format_sse_event(retry=_CONNECT_AGAIN)
        for task in first:
            if (sent := event(task)) is not None:
                yield sent
        if one and first[0].status.ended:
            return
        while not self._stream.over.done():
            self._next = self._next or asyncio.ensure_future(anext(self._states))
            await asyncio.wait(
                (self._next, self._stream.over),
                timeout=COMMENT_EVERY,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self._next.done():
                yield KEEPALIVE_COMMENT
                continue
            try:
                task, self._next = self._next.result(), None
            except (StopAsyncIteration, ExportError):  # whoever connects again is told why
                return
            if (sent := event(task)) is not None:
                yield sent
            if one and task.status.ended:
                return

    async def aclose(self) -> None:
        """Wait for no state any more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


@dataclass(frozen=True)
class _Opened:
    followed: _Followed
    first: list[ExportTask]
    last: str | None


async def _one(
    id: TaskId,  # noqa: A002 -- the name in the path
    parts: PartsOfApp,
    person: Asks,
    last: _LastOfOne = None,
) -> AsyncGenerator[_Opened]:
    """Open the stream of an export before the answer begins, so that an error is an error."""
    _check(last, ID_OF_ONE)
    with _stream(parts, person) as stream:
        async with aclosing(parts.client.watch(id, created_by=person.sees)) as states:
            first = [await anext(states)]
            async with aclosing(_Followed(stream, states)) as followed:
                yield _Opened(followed, first, last)


async def _all(
    parts: PartsOfApp,
    person: Asks,
    created_by: Annotated[
        str | None, Query(description="Whose. Only an operator may name somebody else.")
    ] = None,
    last: _LastOfAll = None,
) -> AsyncGenerator[_Opened]:
    """Open the stream of all exports of a person before the answer begins."""
    _check(last, ID_OF_ALL)
    since = None if last is None else time_of(last) - OVERLAP
    with _stream(parts, person) as stream:
        async with (
            parts.client.watch_all(created_by=whose(person, created_by), since=since) as states,
            aclosing(_Followed(stream, states)) as followed,
        ):
            yield _Opened(followed, states.take(), last)


@router.get(
    "/events",
    operation_id="followExports",
    summary="Follow exports",
    response_class=Response,  # with EventSourceResponse, FastAPI expects a generator
    responses={200: _STREAM, **documented(OperatorError)},
)
async def follow_exports(opened: Annotated[_Opened, Depends(_all)]) -> EventSourceResponse:
    """Get an event for each of your newest 50 exports, then one for each change of any of them.

    An operator follows those of everybody. With `Last-Event-ID`, the first events are those of what
    has changed since. They may repeat what had changed within ten seconds before.
    """
    events = EventsOfAll()
    first = events.news(opened.first, opened.last)
    return EventSourceResponse(
        opened.followed.events(first, events.event, one=False), headers=_HEADERS
    )


@router.get(
    "/{id}/events",
    operation_id="followExport",
    summary="Follow an export",
    response_class=Response,  # with EventSourceResponse, FastAPI expects a generator
    responses={
        200: _STREAM,
        204: {"description": "It has ended, and you know how: do not connect again."},
        **documented(TaskNotFoundError),
    },
)
async def follow_export(opened: Annotated[_Opened, Depends(_one)]) -> Response:
    """Get an event that says how an export is, then one for each change, until it has ended.

    With `Last-Event-ID`, the first event is left out if nothing has changed since.
    """
    events = EventsOfOne(opened.last)
    [now] = opened.first
    if now.status.ended and events.told(now):
        return Response(status_code=204)
    return EventSourceResponse(
        opened.followed.events(opened.first, events.event, one=True), headers=_HEADERS
    )


def _stream(parts: Parts, person: Person) -> AbstractContextManager[Stream]:
    return parts.streams.opened(person.uid, ends=person.expires_at, token=person.token)


def _check(last: str | None, form: re.Pattern[str]) -> None:
    if last is not None and not form.fullmatch(last):
        problem = {"Last-Event-ID": "is not the id of an event of this stream"}
        raise RequestError(
            "Last-Event-ID must be the id of an event of this stream; without it, the stream "
            "begins anew.",
            fields=problem,
        )
