"""Hands over what is to be told: finds out who is told and how, and starts the deliveries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from pydantic import ValidationError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from temporalio.service import RPCError

from exports import names
from exports.clock import millis, now_ms
from exports.documents import Stored, deadline, majority_collection, pages
from exports.errors import ExportError, RequestError
from exports.messages.channel import Channel
from exports.messages.channels import exists
from exports.messages.message import Event, ExportFacts, Message, Problem
from exports.messages.notices import Notice
from exports.messages.people import PeopleStore
from exports.messages.starting import DeliveryStarter
from exports.models import DEFAULT_CHANNELS, TaskStatus
from exports.reports.report import ReportCatalog
from exports.server_errors.temporal import temporal_error
from exports.tasks.collection import IN_OUTBOX, OUTBOX, TaskCollection
from exports.tasks.outbox import Outbox, OutboxEntry
from exports.tasks.task import ExportTask

NOTICED: Final = (names.WEBHOOKS_COLLECTION, names.RECURRING_COLLECTION)
"""The collections, besides that of the tasks, whose documents may have an `outbox`."""
_WITHIN: Final = 1.0
"""Seconds for handing over at once, after which it is left to the sweep.

It takes some milliseconds. If a server is slow, the export must not be: its step and its workflow
are open meanwhile.
"""
_WAITS_FOR_CHANNEL: Final = millis(timedelta(hours=24))
"""Milliseconds for which a message waits for a worker that has its channel."""
_SIDE_BY_SIDE: Final = 16  # documents
_MAX_ID: Final = 200  # characters, as all of these
_MAX_TYPE: Final = 200
_MAX_PERIOD: Final = 100
_MAX_FORMAT: Final = 40
_MAX_FILE_NAME: Final = 255
_MAX_CODE: Final = 40
_MAX_MSG: Final = 2000
_STATUSES: Final = {
    Event.DONE: TaskStatus.DONE,
    Event.EXPIRING: TaskStatus.DONE,
    Event.FAILED: TaskStatus.FAILED,
    Event.CANCELLED: TaskStatus.CANCELLED,
}

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


async def _side_by_side(
    found: Sequence[_T], do: Callable[[_T], Awaitable[int]]
) -> list[int | BaseException]:
    """Do something with each, some at a time; return what came of each, errors too."""
    ended: list[int | BaseException] = []
    for start in range(0, len(found), _SIDE_BY_SIDE):
        some = found[start : start + _SIDE_BY_SIDE]
        ended += await asyncio.gather(*map(do, some), return_exceptions=True)
    return ended


class Messenger:
    """Tells people what happened, by a delivery for each of their addresses.

    Args:
        database: The database of the tasks.
        reports: The configured reports, which know the period of an export.
        channels: The configured channels, by their names.
        starter: Starts deliveries.
        people: Knows who is told how by default.
        public_url: The base address of the HTTP API; None if it is not known.
    """

    def __init__(
        self,
        *,
        database: AsyncDatabase[Stored],
        reports: ReportCatalog,
        channels: Mapping[str, Channel],
        starter: DeliveryStarter,
        people: PeopleStore,
        public_url: str | None,
    ) -> None:
        self._database = database
        self._outbox = Outbox(TaskCollection(database))
        self._reports = reports
        self._channels = channels
        self._starter = starter
        self._people = people
        self._public_url = public_url

    async def tell(self, message: Message, channels: Sequence[str] | None = None) -> bool:
        """Start the delivery of a message to each address of the person it is for.

        To do it again starts nothing more.

        Args:
            message: What to say.
            channels: By which channels; None: by those that the person has chosen.

        Returns:
            Whether that was all. False if this worker lacks a channel that another one may have:
            during a rollout, some workers know a channel and some do not.

        Raises:
            ExportError: Not all deliveries were started.
        """
        wanted = [DEFAULT_CHANNELS] if channels is None else [*channels]
        if DEFAULT_CHANNELS in wanted:
            wanted += await self._people.default_notify(message.created_by)
        failed: ExportError | None = None
        complete = True
        for name in dict.fromkeys(wanted):
            if name == DEFAULT_CHANNELS:
                continue
            channel = self._channels.get(name)
            if channel is None:
                complete &= not _may_come(name, message)
                continue
            try:
                for address in await channel.addresses(message.created_by, message):
                    await self._starter.start(message, name, address)
            except ExportError as error:  # the other channels are not to blame
                failed = error
            except RPCError as error:
                failed = temporal_error(error.status)
        if failed is not None:
            raise failed
        return complete

    async def tells_by_default(self, uid: str | None) -> bool:
        """Return whether a person has chosen to be told; True also if that can't be found out.

        It takes a second at most.
        """
        try:
            async with asyncio.timeout(_WITHIN):
                return uid is None or bool(await self._people.default_notify(uid))
        except Exception:  # noqa: BLE001 -- another system may store anything there; the same is asked again later, and logged
            return True

    async def hand_over_now(self, task_id: str) -> None:
        """Hand over what is to be told of a task. Raises nothing: what fails is left to the sweep.

        It takes a second at most.
        """
        try:
            async with asyncio.timeout(_WITHIN):
                document = await self._outbox.of(task_id)
                if document is not None:
                    await self._hand_over(document)
        except Exception as error:  # noqa: BLE001 -- a message never changes how an export ends
            why = error.code if isinstance(error, ExportError) else type(error).__name__
            _log.warning("A message is left to the sweep: %s", why)

    async def sweep(self) -> int:
        """Hand over what is left, and what is to be told of files that go soon.

        Returns:
            How many messages that were.

        Raises:
            ExportError: Something could not be handed over; everything else was.
        """
        now = now_ms()
        ended: list[int | BaseException] = []
        async for page in self._outbox.left():
            ended += await _side_by_side(page, self._hand_over)
        for name in NOTICED:
            documents = majority_collection(self._database, name)
            async for page in pages(documents, IN_OUTBOX, {OUTBOX: True}):
                found = [(document["_id"], item) for document in page for item in document[OUTBOX]]
                ended += await _side_by_side(found, partial(self._hand_over_notice, documents))
        async for page in self._outbox.to_remind(now):
            ended += await _side_by_side(page, partial(self._remind, now))
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(number for number in ended if isinstance(number, int))

    async def _hand_over(self, document: Stored) -> int:
        handed_over = 0
        for entry in OutboxEntry.all_of(document):
            message = self._message(document, entry)
            notify = ExportTask.from_document(document).notify
            if message is None or await self.tell(message, notify):
                await self._outbox.handed_over(document, entry.id)
                handed_over += 1
        return handed_over

    async def _remind(self, now: int, document: Stored) -> int:
        reminded = await self._outbox.remind(document, now)
        return 0 if reminded is None else await self._hand_over(reminded)

    async def _hand_over_notice(
        self, documents: AsyncCollection[Stored], found: tuple[object, object]
    ) -> int:
        owner, item = found
        try:
            notice = Notice.model_validate(item)
        except ValidationError:
            _log.warning("A notice in %s, %s, can't be read; it stays there", documents.name, owner)
            return 0
        channels = notice.channels
        if channels is not None:
            known = {DEFAULT_CHANNELS, *self._channels}
            channels = [name for name in channels if name in known]
        if not await self.tell(notice.message, channels):
            return 0
        async with deadline(documents):
            await documents.update_one({"_id": owner}, {"$pull": {OUTBOX: {"id": notice.id}}})
        return 1

    def _message(self, document: Stored, entry: OutboxEntry) -> Message | None:
        """Return what to say; None if there is nobody to tell, or nothing any more."""
        task = ExportTask.from_document(document)
        try:
            event = Event(entry.event)
            status = _STATUSES[event]
        except (ValueError, KeyError):  # another system put it there
            return None
        # A reminder is of no use any more once the file has gone.
        if event is Event.EXPIRING and task.status is not TaskStatus.DONE:
            return None
        if document.get("createdBy") != task.created_by or not _fits(task):
            return None
        has_file = status is TaskStatus.DONE
        error = entry.error if status is TaskStatus.FAILED else None
        return Message(
            id=entry.id,
            event=event,
            at=entry.at,
            created_by=task.created_by,
            export=ExportFacts(
                id=task.id,
                type=task.type[:_MAX_TYPE],
                period=self._period(task),
                format=task.format[:_MAX_FORMAT],
                status=status,
                file_name=_cut(task.file_name, _MAX_FILE_NAME) if has_file else None,
                rows=task.rows if has_file else 0,
                bytes=task.bytes if has_file else 0,
                error=None
                if error is None
                else Problem(code=error.code[:_MAX_CODE], msg=error.msg[:_MAX_MSG]),
                file_url=self._file_url(task) if has_file else None,
                expires_at=task.purge_at if has_file else None,
                recurring=_cut(task.recurring, _MAX_ID),
            ),
        )

    def _period(self, task: ExportTask) -> str | None:
        try:
            report = self._reports.named(task.type)
            return _cut(report.period(report.check_params(task.params)), _MAX_PERIOD)
        except Exception:  # noqa: BLE001 -- the report may be gone, and one in Python raises anything
            return None

    def _file_url(self, task: ExportTask) -> str | None:
        if self._public_url is None:
            return None
        return f"{self._public_url.rstrip('/')}/exports/{names.in_path(task.id)}/file"


def _may_come(name: str, message: Message) -> bool:
    """Return whether a message waits for a worker that has a channel; say so, or why not."""
    age = abs(now_ms() - message.at)  # another system may store any time
    waits = exists(name) and age < _WAITS_FOR_CHANNEL
    what = "left to the sweep, for another worker" if waits else "dropped"
    named, which = name[:_MAX_ID], message.id[:_MAX_ID]
    _log.warning("The channel %r is not configured here: message %r is %s", named, which, what)
    return waits


def _cut(text: str | None, most: int) -> str | None:
    return None if text is None else text[:most]


def _fits(task: ExportTask) -> bool:
    """Return whether a task can have a run and a person: another system may store any ids."""
    try:
        names.check_task_id(task.id)
    except RequestError:
        return False
    return 0 < len(task.created_by) <= names.MAX_CREATED_BY_LENGTH
