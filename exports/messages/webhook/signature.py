"""What a receiver gets, and how it is signed: https://www.standardwebhooks.com."""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final, NamedTuple

from exports.clock import from_epoch_ms
from exports.messages.message import Message
from exports.messages.webhook.model import Webhook

PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32  # the specification wants 24 to 64
_LONGEST_SENTENCE: Final = 1000  # characters, so that a request stays under 20 kB


class Signing(NamedTuple):
    """A webhook and what signs its messages.

    Attributes:
        webhook: The webhook.
        secrets: The newest first. In a rotation there are several.
    """

    webhook: Webhook
    secrets: Sequence[bytes]


def new_secret() -> bytes:
    """Return a new secret of a webhook."""
    return secrets.token_bytes(_SECRET_BYTES)


def written(secret: bytes) -> str:
    """Return a secret as people and libraries write it: `whsec_…`."""
    return f"{PREFIX}{base64.b64encode(secret).decode()}"


def content(message: Message) -> bytes:
    """Return the body of a message's requests: `{"type", "timestamp", "data"}`."""
    about = message.export or message.subject
    data = about.model_dump(mode="json", by_alias=True) if about else {}
    error = data.get("error")
    if error:
        error["msg"] = error["msg"][:_LONGEST_SENTENCE]
    for name in ("name", "reason"):
        if name in data:
            data[name] = data[name][:_LONGEST_SENTENCE]
    whole = {
        "type": message.event.value,
        "timestamp": f"{from_epoch_ms(message.at):%Y-%m-%dT%H:%M:%S}.{message.at % 1000:03}Z",
        "data": data,
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def headers(
    body: bytes, *, delivery_id: str, now_ms: int, signing: Sequence[bytes]
) -> Mapping[str, str]:
    """Return the headers of one attempt.

    Args:
        body: What is sent.
        delivery_id: Of the delivery, the same for all attempts, so that a receiver notices a
            message that it has. It has no dot, which separates what is signed.
        now_ms: When the attempt is made (epoch milliseconds).
        signing: The secrets. Each signs, so that a receiver may have any of them.
    """
    timestamp = str(now_ms // 1000)
    signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
    signatures = (hmac.digest(secret, signed, "sha256") for secret in signing)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"temporal-exports/{version('temporal-exports')}",
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }
