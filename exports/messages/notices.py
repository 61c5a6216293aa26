"""What is to be told of a document that is not a task: a webhook, a recurring export.

The update that changes such a document also adds a notice to its array `outbox`:

    {"$set": {"switchedOff": …}, "$push": notice(message)}

The next sweep hands it over. A collection with notices has the index `OUTBOX_INDEX` and is one of
`exports.messages.handover.NOTICED`.
"""

from collections.abc import Sequence
from typing import Final

from exports.documents import Stored
from exports.messages.message import Message
from exports.models import DEFAULT_CHANNELS, WireModel
from exports.tasks.collection import OUTBOX

TELL_OWNER: Final = (DEFAULT_CHANNELS, "email", "webhook")
"""How an owner is told that something of theirs was switched off or paused: also one who has chosen
nothing. Of these, a channel that is not configured is left out."""


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
