"""What the owner of a webhook sees in place of its id."""

from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.messages.message import Event, Message
from exports.messages.webhook.model import Webhook
from exports.tasks.collection import Stored, deadline


async def with_host(message: Message, database: AsyncDatabase[Stored]) -> Message:
    """Return a message about a webhook with its host in place of its id; any other as it is.

    The host may be a secret, so it is in no message that goes through Temporal or to a receiver.

    Args:
        message: The message, for the owner of the webhook.
        database: The database of `ExportWebhooks`.

    Raises:
        ExportError: The database did not answer.
    """
    subject = message.subject
    if message.event is not Event.WEBHOOK_DISABLED or subject is None:
        return message
    webhooks = database[names.WEBHOOKS_COLLECTION]
    async with deadline(webhooks):
        found = await webhooks.find_one({"_id": subject.id, "createdBy": message.created_by})
    if found is None or "url" not in found:  # it was removed
        return message
    named = subject.model_copy(update={"name": Webhook.from_document(found).host})
    return message.model_copy(update={"subject": named})
