"""Whom an export is told to, and by which channels."""

from collections.abc import Sequence
from functools import cached_property

from exports import names
from exports.client.deliveries import Deliveries
from exports.client.part import ClientPart
from exports.messages.channels import available, checked
from exports.messages.deliveries import DeliveryStore
from exports.messages.people import PeopleStore
from exports.messages.starting import DeliveryStarter
from exports.models import WireModel


class NotifyChoice(WireModel):
    """How a person is told of exports.

    Attributes:
        notify: The channels that they have chosen; none if they are told nothing.
        available: The channels that this installation has configured.
    """

    notify: list[str]
    available: list[str]


class Telling(ClientPart):
    """Lets people choose how they are told, and shows them what was."""

    @cached_property
    def deliveries(self) -> Deliveries:
        """The messages that were sent, or are on their way."""
        store = DeliveryStore(self._database)
        queue = self._settings.task_queue
        starter = DeliveryStarter(self._temporal, task_queue=queue, store=store)
        return Deliveries(self._temporal, tasks=self._tasks, store=store, starter=starter)

    async def notify_choice(self, *, created_by: str) -> NotifyChoice:
        """Return how a person is told of their exports, unless a request says otherwise.

        Raises:
            RequestError: `created_by` can't be the name of a person.
        """
        chosen = await PeopleStore(self._database).default_notify(names.check_uid(created_by))
        return NotifyChoice(notify=chosen, available=available(self._settings))

    async def choose_notify(self, channels: Sequence[str], *, created_by: str) -> NotifyChoice:
        """Store by which channels a person is told of their exports.

        It counts for all exports that were asked for without channels of their own, as soon as
        they end.

        Args:
            channels: Names of channels; none to be told nothing.
            created_by: The person.

        Raises:
            RequestError: `created_by` can't be the name of a person.
            ChannelError: There is no such channel, or this installation has not configured it.
        """
        chosen = checked(channels, self._settings)
        await PeopleStore(self._database).set_notify(names.check_uid(created_by), chosen)
        return NotifyChoice(notify=chosen, available=available(self._settings))
