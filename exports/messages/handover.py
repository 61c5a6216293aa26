"""Hands over what is to be told: finds out who is told and how, and starts the deliveries."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from pymongo.asynchronous.database import AsyncDatabase
from temporalio.service import RPCError

from exports import names
from exports.clock import now_ms
from exports.errors import ExportError, RequestError
from exports.messages.channel import Channel
from exports.messages.message import Event, ExportFacts, Message, Problem
from exports.messages.notices import Notice
from exports.messages.people import PeopleStore
from exports.messages.starting import DeliveryStarter
from exports.models import DEFAULT_CHANNELS, TaskStatus
from exports.reports.report import ReportCatalog
from exports.server_errors.temporal import temporal_error
from exports.tasks.collection import IN_OUTBOX, OUTBOX, Stored, TaskCollection, deadline
from exports.tasks.outbox import Outbox, OutboxEntry
from exports.tasks.task import ExportTask

NOTICED: Final = (names.WEBHOOKS_COLLECTION, names.RECURRING_COLLECTION)
"""The collections, besides that of the tasks, whose documents may have an `outbox`."""
_WITHIN: Final = 10.0
"""Seconds for handing over at once, after which it is left to the sweep."""
_SIDE_BY_SIDE: Final = 16  # documents
_MAX_TYPE: Final = 200  # characters
_MAX_FORMAT: Final = 40  # characters
_MAX_CODE: Final = 40  # characters
_MAX_MSG: Final = 2000  # characters
_STATUSES: Final = {
    Event.DONE: TaskStatus.DONE,
    Event.EXPIRING: TaskStatus.DONE,
    Event.FAILED: TaskStatus.FAILED,
    Event.CANCELLED: TaskStatus.CANCELLED,
}

_log = logging.getLogger(__name__)


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

    async def tell(self, message: Message, channels: Sequence[str] | None = None) -> None:
        """Start the delivery of a message to each address of the person it is for.

        To do it again starts nothing more.

        Args:
            message: What to say.
            channels: By which channels; None: by those that the person has chosen.

        Raises:
            ExportError: Not all deliveries were started.
        """
        wanted = [DEFAULT_CHANNELS] if channels is None else [*channels]
        if DEFAULT_CHANNELS in wanted and self._channels:
            wanted += await self._people.default_notify(message.created_by)
        failed: ExportError | None = None
        for name in dict.fromkeys(wanted):
            if name == DEFAULT_CHANNELS:
                continue
            channel = self._channels.get(name)
            if channel is None:
                _log.warning("Nobody is told by %s: it is not configured here", name)
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

    async def tell_of(self, task_id: str) -> None:
        """Hand over, at once, what is to be told of a task. What fails is left to the sweep."""
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
        await self._outbox.remind(now_ms())
        ended: list[int | BaseException] = []
        async for page in self._outbox.left():
            for start in range(0, len(page), _SIDE_BY_SIDE):
                some = page[start : start + _SIDE_BY_SIDE]
                ended += await asyncio.gather(*map(self._hand_over, some), return_exceptions=True)
        ended += await asyncio.gather(
            *map(self._hand_over_notices, NOTICED), return_exceptions=True
        )
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(number for number in ended if isinstance(number, int))

    async def _hand_over(self, document: Stored) -> int:
        entries = OutboxEntry.all_of(document)
        for entry in entries:
            message = self._message(document, entry)
            if message is not None:
                await self.tell(message, ExportTask.from_document(document).notify)
            await self._outbox.handed_over(document, entry.id)
        return len(entries)

    async def _hand_over_notices(self, collection: str) -> int:
        documents = self._database[collection]
        async with deadline(documents):
            found = await documents.find(IN_OUTBOX).to_list()
        notices = [(document["_id"], item) for document in found for item in document[OUTBOX]]
        for owner, item in notices:
            notice = Notice.model_validate(item)
            await self.tell(notice.message, notice.channels)
            async with deadline(documents):
                await documents.update_one({"_id": owner}, {"$pull": {OUTBOX: {"id": notice.id}}})
        return len(notices)

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
                file_name=task.file_name if has_file else None,
                rows=task.rows if has_file else 0,
                bytes=task.bytes if has_file else 0,
                error=None
                if error is None
                else Problem(code=error.code[:_MAX_CODE], msg=error.msg[:_MAX_MSG]),
                file_url=self._file_url(task) if has_file else None,
                expires_at=task.purge_at if has_file else None,
                recurring=task.recurring,
            ),
        )

    def _period(self, task: ExportTask) -> str | None:
        try:
            report = self._reports.named(task.type)
            return report.period(report.check_params(task.params))
        except Exception:  # noqa: BLE001 -- the report may be gone, and one in Python raises anything
            return None

    def _file_url(self, task: ExportTask) -> str | None:
        if self._public_url is None:
            return None
        return f"{self._public_url.rstrip('/')}/exports/{names.in_path(task.id)}/file"


def _fits(task: ExportTask) -> bool:
    """Return whether a task can have a run and a person: another system may store any ids."""
    try:
        names.check_task_id(task.id)
    except RequestError:
        return False
    return 0 < len(task.created_by) <= names.MAX_CREATED_BY_LENGTH
