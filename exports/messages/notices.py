"""What is to be told of a document that is no task: a webhook, a recurring export.

The update that changes such a document also adds a notice to its array `outbox`:

    {"$set": {"switchedOff": …}, "$push": notice(message)}

The next sweep hands it over. A collection with notices has the index `OUTBOX_INDEX` and is one of
`exports.messages.handover.NOTICED`.
"""

from collections.abc import Sequence

from exports.messages.message import Message
from exports.models import WireModel
from exports.tasks.collection import OUTBOX, Stored


class Notice(WireModel):
    """A message that is to be handed over.

    Attributes:
        id: That of the message.
        message: What to say.
        channels: By which channels; None: by the person's default.
    """

    id: str
    message: Message
    channels: list[str] | None = None


def notice(message: Message, channels: Sequence[str] | None = None) -> Stored:
    """Return what an update adds with `$push`, so that the message's `created_by` is told.

    Args:
        message: What to say. Its id must be the same if the same update is made again.
        channels: By which channels; None: by the person's default.
    """
    stored = Notice(
        id=message.id,
        message=message,
        channels=None if channels is None else list(channels),
    )
    return {OUTBOX: stored.model_dump(mode="json")}
