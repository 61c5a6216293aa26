"""`ExportClient`, put together from a class for each subject."""

from contextlib import AsyncExitStack
from copy import copy
from types import TracebackType
from typing import Self

from exports import names
from exports.client.cancelling import Cancelling
from exports.client.estimating import Estimating
from exports.client.files import Files
from exports.client.previews import Previews
from exports.client.retrying import Retrying
from exports.client.sweeping import Sweeping
from exports.client.telling import Telling
from exports.client.webhooks import WebhooksOfPeople
from exports.client.wechat import GrantingWechat
from exports.connections import Connections
from exports.recurring import RecurringExports
from exports.reports.file import load_reports
from exports.settings import Settings


class ExportClient(
    Estimating,
    Retrying,
    Cancelling,
    Files,
    Previews,
    Telling,
    WebhooksOfPeople,
    GrantingWechat,
    Sweeping,
):
    """Everything that a person or a service can do with exports.

    `created_by` is the person who asks. For that person, a task of somebody else does not exist
    (`TaskNotFoundError`). None is an operator, who sees all tasks; never pass None for a user.

    Use it as an async context manager:

        async with await ExportClient.connect() as client:
            task = await client.create("statsMonthly", {"year": 2026, "month": 10}, created_by="u1")
            task = await client.wait(task.id, created_by="u1")

    Raises:
        DatabaseUnavailableError: By every method but `sweep`: the database that holds the tasks
            did not answer within 10 seconds (`timeoutMS` in its URI changes that). A write may
            have been applied.
        DatabaseAccessError: By the same: it refused the credentials or the permission.
        DatabaseRefusedError: By the same: it refused a command.
    """

    @classmethod
    async def connect(
        cls, settings: Settings | None = None, *, origin: str = names.FROM_CLIENT
    ) -> Self:
        """Connect to Temporal, MongoDB and the object store.

        Args:
            settings: By default, those of the environment.
            origin: Where requests come from, for the audit record; a short name of a program.

        Raises:
            SettingsError: A setting is missing or wrong.
            ReportsFileError: The reports file has a mistake.
            UnreachableError: A server did not answer within 7 seconds.
            DatabaseAccessError: MongoDB refused the credentials.
            BucketMissingError: The bucket does not exist.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused a request, or is not at this address.
            ClockError: The clock of this machine is wrong.
        """
        settings = settings or Settings.load()
        reports = load_reports(settings.reports_file)
        async with AsyncExitStack() as closing:
            connections = await Connections.open(settings, closing)
            return cls(
                connections=connections,
                settings=settings,
                reports=reports,
                closing=closing.pop_all(),
                origin=origin,
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._closing.__aexit__(kind, error, trace)

    @property
    def recurring(self) -> RecurringExports:
        """The recurring exports."""
        return RecurringExports(
            self._database, self._temporal, self._reports, self._settings, origin=self._origin
        )

    def with_origin(self, origin: str) -> Self:
        """Return a client with the same connections and another origin for the audit record."""
        other = copy(self)
        other._take_origin(origin)  # noqa: SLF001 -- of this class
        return other
