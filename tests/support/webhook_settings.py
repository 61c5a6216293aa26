"""Settings with which a person can have webhooks on this machine."""

import base64

from pydantic import SecretStr

from exports.settings import Settings


def key(name: str) -> str:
    """Return an encryption key with this id."""
    return f"{name}:{base64.b64encode(name.encode().ljust(32, b'.')).decode()}"


def with_webhooks(settings: Settings) -> Settings:
    """Return settings with a key for the secrets of webhooks, which may lead to this machine."""
    update = {"webhook_encryption_key": SecretStr(key("k1")), "webhook_loopback": True}
    return settings.model_copy(update=update)
