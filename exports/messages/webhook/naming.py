"""What the owner of a webhook sees in place of its id."""

from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.documents import Stored, majority_collection, read_one
from exports.messages.message import Event, Message
from exports.messages.webhook.model import Webhook


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
    own = {"_id": subject.id, "createdBy": message.created_by}
    found = await read_one(majority_collection(database, names.WEBHOOKS_COLLECTION), own)
    if found is None or "url" not in found:  # it was removed
        return message
    named = subject.model_copy(update={"name": Webhook.from_document(found).host})
    return message.model_copy(update={"subject": named})
