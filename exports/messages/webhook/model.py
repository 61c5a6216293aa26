"""What is known of a webhook."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field

from exports.models import WireModel


class SwitchedOff(WireModel):
    """Why a webhook gets no messages.

    Attributes:
        at: Since when (epoch milliseconds).
        reason: Why, in one sentence.
    """

    at: int
    reason: str


class Webhook(WireModel):
    """An address of a person that gets their messages.

    Attributes:
        id: Its id, `wh_…`.
        url: The address.
        created_by: Whose it is.
        created_at: When it was added (epoch milliseconds).
        failing_since: Since when every attempt has failed (epoch milliseconds); None if the last
            one did not. Five days of this switch it off.
        last_failed_at: When the last attempt failed (epoch milliseconds); None if it did not.
        switched_off: Why it gets no messages; None if it gets them.
    """

    id: str
    url: str
    created_by: str
    created_at: int
    failing_since: int | None = None
    last_failed_at: int | None = None
    switched_off: SwitchedOff | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored webhook, without its secrets."""
        return cls.model_validate({**document, "id": document["_id"]})

    @property
    def shown(self) -> str:
        """The address without its path, which may be as good as a secret."""
        return f"{urlsplit(self.url).scheme}://{self.host}/…"

    @property
    def host(self) -> str:
        """The host of the address, with its port if that is not the usual one."""
        return urlsplit(self.url).netloc


class WebhookWithSecret(Webhook):
    """A webhook, and its secret, which can't be shown again.

    Attributes:
        secret: The new secret, `whsec_…`. None if the webhook was there already.
    """

    secret: str | None = Field(repr=False)


class Tried(WireModel):
    """How an attempt to send a message went.

    Attributes:
        delivered: Whether the receiver has it.
        reason: What happened, in one sentence.
        status: The HTTP status of the answer; None if there was no answer.
        answer: The first 1,024 characters of the answer.
        milliseconds: How long it took.
    """

    delivered: bool
    reason: str
    status: int | None
    answer: str
    milliseconds: int
