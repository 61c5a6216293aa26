"""The webhooks of people: whose, how many, and their secrets."""

import asyncio
import base64
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from standardwebhooks import WebhookVerificationError

from exports import names
from exports.errors import (
    DatabaseUnavailableError,
    EncryptionKeyError,
    ExportError,
    QuotaError,
    SettingsError,
    TaskNotFoundError,
)
from exports.messages.channel import Address, Verdict
from exports.messages.message import ExportFacts, Message, Problem, Subject
from exports.messages.webhook import store as stored
from exports.messages.webhook.kind import missing
from exports.messages.webhook.signature import content
from exports.messages.webhook.store import MAX_WEBHOOKS, WebhookStore
from exports.messages.webhook.stored_secrets import MAX_SECRETS
from exports.models import TaskStatus
from tests.support.protections import protected_by
from tests.support.sent_commands import SentCommands
from tests.support.service import Service
from tests.support.webhook_receiver import answer, closed, open_receiver
from tests.support.webhook_settings import key
from tests.support.webhook_world import DONE, OWNER, STRANGER, WebhookWorld


async def test_a_receiver_gets_a_message_that_it_can_check(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook, secret = await world.add(receiver.url)
        assert await world.channel.addresses(OWNER, DONE) == [
            Address(webhook, f"{receiver.url.removesuffix('/hook')}/…")
        ]
        receiver.next_answers = [answer(503, b"busy", retry_after="7"), closed]
        busy = await world.send(webhook)
        assert (busy.verdict, busy.status, busy.answer) == (Verdict.AGAIN, 503, "busy")
        assert busy.retry_after == 7
        assert (await world.send(webhook)).status is None
        assert (await world.send(webhook)).verdict is Verdict.DELIVERED
        assert (await world.send(webhook, delivery="d2")).verdict is Verdict.DELIVERED
        assert [request.verified(secret) for request in receiver.requests] == [
            {
                "type": "export.done",
                "timestamp": "2026-10-26T07:33:20.007Z",
                "data": {
                    "id": "6720c1f0a1b2c3d4e5f60718",
                    "type": "statsMonthly",
                    "period": "2026-10",
                    "format": "xlsx",
                    "status": "done",
                    "fileName": "十月.xlsx",
                    "rows": 31,
                    "bytes": 0,
                    "error": None,
                    "fileUrl": "https://exports.example.com/exports/6720c1f0a1b2c3d4e5f60718/file",
                    "expiresAt": None,
                    "recurring": None,
                },
            }
        ] * 4
        first, second, third, other = (request.id for request in receiver.requests)
        assert first == second == third != other
        assert "." not in first, "a dot separates what is signed"
        forged = await world.add(f"{receiver.url}/other")
        with pytest.raises(WebhookVerificationError):
            receiver.requests[0].verified(forged[1])


def _longest(character: str) -> list[Message]:
    text = character * 100_000
    facts = ExportFacts(
        id=character * 200,
        type=character * 200,
        period=character * 40,
        format=character * 40,
        status=TaskStatus.FAILED,
        file_name=character * 255,
        error=Problem(code="E_INTERNAL", msg=text),
        file_url="https://exports.example.com/" + "x" * 800,
    )
    subject = Subject(id="x", name=text, reason=text)
    return [
        DONE.model_copy(update={"export": facts}),
        DONE.model_copy(update={"export": None, "subject": subject}),
    ]


@pytest.mark.parametrize("character", ["x", "\x01", "字", "\U0001f4c8", '"'])
def test_a_request_is_under_twenty_kilobytes(character: str) -> None:
    for message in _longest(character):
        assert len(content(message)) < 20_000


async def test_during_a_rotation_the_old_secret_and_the_new_one_are_valid(
    world: WebhookWorld,
) -> None:
    async with open_receiver() as receiver:
        webhook, old = await world.add(receiver.url)
        rotated = await world.webhooks.rotate(webhook, created_by=OWNER)
        again = await world.webhooks.rotate(webhook, created_by=OWNER)
        assert rotated.secret
        assert again.secret
        assert len({old, rotated.secret, again.secret}) == 3
        await world.send(webhook)
        [request] = receiver.requests
        for secret in (old, rotated.secret, again.secret):
            assert request.verified(secret)
        await world.age(webhook, "secrets.2.until", timedelta(hours=24))
        await world.send(webhook)
        assert receiver.requests[-1].verified(again.secret)
        assert receiver.requests[-1].verified(rotated.secret)
        with pytest.raises(WebhookVerificationError):
            receiver.requests[-1].verified(old)


async def test_rotations_at_once_give_secrets_that_are_all_valid_and_not_too_many(
    world: WebhookWorld,
) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        calls = (world.webhooks.rotate(webhook, created_by=OWNER) for _ in range(8))
        done = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in done if isinstance(one, BaseException)]
        made = [one.secret for one in done if not isinstance(one, BaseException)]
        assert len(made) == MAX_SECRETS - 1
        for error in refused:
            assert isinstance(error, QuotaError)
            assert error.retry_at is not None
        await world.send(webhook)
        for secret in made:
            assert secret
            assert receiver.requests[0].verified(secret)


async def test_a_secret_is_shown_once_and_stored_encrypted_for_its_webhook_alone(
    world: WebhookWorld,
) -> None:
    webhook, secret = await world.add("http://localhost:8000/a")
    other, _ = await world.add("http://localhost:8000/b")
    again = await world.webhooks.add("http://LOCALHOST:8000/a", created_by=OWNER)
    assert (again.id, again.secret) == (webhook, None), "the same address is not added twice"
    listed = await world.webhooks.list(created_by=OWNER)
    assert [one.id for one in listed] == [webhook, other]
    assert secret not in repr(again) + repr(listed)

    documents = world.database["ExportWebhooks"]
    document = await documents.find_one({"_id": webhook})
    plain = base64.b64decode(secret.removeprefix("whsec_"))
    assert document is not None
    assert len(plain) == 32
    assert plain not in document["secrets"][0]["data"]
    assert secret[6:].encode() not in str(document).encode()
    # Somebody who can write to the database gives one webhook the secret of another.
    await documents.update_one({"_id": other}, {"$set": {"secrets": document["secrets"]}})
    refused = await world.send(other)
    assert refused.verdict is Verdict.AGAIN
    assert "EXPORTS_WEBHOOK_ENCRYPTION_KEY" in refused.reason


async def test_keys_of_secrets_can_be_changed_and_are_needed(world: WebhookWorld) -> None:
    neither = world.with_keys(webhook_encryption_key=None)
    with pytest.raises(SettingsError, match="EXPORTS_ENCRYPTION_KEY or EXPORTS_WEBHOOK"):
        await neither.webhooks.add("http://localhost:8000/", created_by=OWNER)
    assert await neither.webhooks.list(created_by=OWNER) == []
    async with open_receiver() as receiver:
        shared = neither.with_keys(encryption_key=key("old"))
        webhook, secret = await shared.add(receiver.url)
        changed = shared.with_keys(encryption_key=f"{key('new')},{key('old')}")
        new = await changed.webhooks.rotate(webhook, created_by=OWNER)
        await changed.send(webhook)
        assert new.secret
        assert receiver.requests[0].verified(secret)
        assert receiver.requests[0].verified(new.secret)
        gone = shared.with_keys(encryption_key=key("new"))
        assert (await gone.send(webhook)).verdict is Verdict.DELIVERED
        assert receiver.requests[1].verified(new.secret), "the old secret is lost, and left out"
        for broken in (neither, world):
            outcome = await broken.send(webhook)
            assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, None)
            assert "can't be decrypted" in outcome.reason
            with pytest.raises(EncryptionKeyError):
                await broken.webhooks.test(webhook, created_by=OWNER)
        assert len(receiver.requests) == 2
        assert (await shared.get(webhook)).failing_since is None, "the receiver has not failed"


async def test_of_thirty_who_add_at_once_no_more_succeed_than_one_person_may_have(
    world: WebhookWorld,
) -> None:
    await world.store.indexes.ensure()
    urls = [f"http://localhost:8000/{number % 15}" for number in range(30)]
    calls = (world.webhooks.add(url, created_by=OWNER) for url in urls)
    done = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in done if isinstance(one, BaseException)]
    found = await world.webhooks.list(created_by=OWNER)
    assert len(found) == len({one.url for one in found}) == MAX_WEBHOOKS
    assert {type(error) for error in refused} == {QuotaError}
    secrets = [one.secret for one in done if not isinstance(one, BaseException) and one.secret]
    assert len(secrets) == MAX_WEBHOOKS, "each is shown once"
    await world.webhooks.add("http://localhost:8000/", created_by=STRANGER)
    await world.webhooks.remove(found[0].id, created_by=OWNER)
    await world.add("http://localhost:8000/new")


async def test_who_is_never_first_is_told_so(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object) -> bool:
        return False

    webhook, _ = await world.add("http://localhost:8000/a")
    other, _ = await world.add("http://localhost:8000/b", STRANGER)
    address = names.webhook_address(OWNER, "http://localhost:8000/c")
    await world.database["ExportWebhooks"].update_one(
        {"_id": other}, {"$set": {"address": address}}
    )
    with pytest.raises(QuotaError, match=r"Ask again\.$"):
        await world.webhooks.add("http://localhost:8000/c", created_by=OWNER)
    monkeypatch.setattr(WebhookStore, "_change", late)
    with pytest.raises(QuotaError, match=r"Ask again\.$"):
        await world.webhooks.rotate(webhook, created_by=OWNER)


async def test_what_is_removed_is_gone_with_its_address_and_secret(world: WebhookWorld) -> None:
    webhook, _ = await world.add("http://localhost:8000/hook")
    for _ in range(2):
        await world.webhooks.remove(webhook, created_by=OWNER)
    [document] = await world.database["ExportWebhooks"].find({}).to_list()
    assert set(document) == {"_id", "createdBy", "createdAt", "rotations", "removedAt"}
    assert await world.webhooks.list(created_by=OWNER) == []
    assert await world.channel.addresses(OWNER, DONE) == []
    outcome = await world.send(webhook)
    assert (outcome.verdict, outcome.status) == (Verdict.REFUSED, None)
    again, _ = await world.add("http://localhost:8000/hook")
    assert again != webhook


@protected_by(
    "exports/messages/webhook/store.py",
    'known = {"_id": webhook_id, "createdBy": uid}\n        found',
    instead='known = {"_id": webhook_id}\n        found',
)
async def test_a_webhook_of_somebody_else_is_one_that_does_not_exist(world: WebhookWorld) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        before = await world.database["ExportWebhooks"].find({}).to_list()
        for name in (webhook, "wh_" + "0" * 32, "wh_", "", "x" * 5000, "\ud800", "wh_\x00"):
            for call in ("get", "test", "rotate", "enable", "remove"):
                with pytest.raises(TaskNotFoundError, match=r"^There is no such webhook\.$"):
                    await getattr(world.webhooks, call)(name, created_by=STRANGER)
        assert await world.webhooks.list(created_by=STRANGER) == []
        stranger = DONE.model_copy(update={"created_by": STRANGER})
        sent = await world.channel.send(stranger, webhook, delivery_id="d")
        assert sent.verdict is Verdict.REFUSED
        assert receiver.requests == []
        assert await world.database["ExportWebhooks"].find({}).to_list() == before


async def test_a_message_that_was_taken_counts_even_if_that_can_not_be_stored(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailableError("The database is away.")

    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        monkeypatch.setattr(stored.WebhookStore, "succeeded", away)
        assert (await world.send(webhook)).verdict is Verdict.DELIVERED


async def test_nothing_is_asked_of_the_database_that_its_user_may_not_do(
    world: WebhookWorld, mongo_uri: str
) -> None:
    sent = SentCommands()
    async with AsyncMongoClient[dict[str, Any]](mongo_uri, event_listeners=[sent]) as client:
        listened = replace(world, database=client[world.database.name])
        async with open_receiver() as receiver:
            webhook, _ = await listened.add(receiver.url)
            await listened.webhooks.rotate(webhook, created_by=OWNER)
            receiver.next_answers = [answer(500), answer(200), answer(410)]
            for _ in range(3):
                await listened.send(webhook)
            await listened.webhooks.enable(webhook, created_by=OWNER)
            await listened.webhooks.remove(webhook, created_by=OWNER)
    ours = [command for command in sent.sent if "ExportWebhooks" in command.values()]
    assert {next(iter(command)) for command in ours} == {
        *("createIndexes", "find", "insert", "update")
    }
    for command in ours:
        reads = "find" in command
        concern = command["readConcern"]["level"] if reads else command["writeConcern"]["w"]
        assert concern == "majority"


async def test_an_installation_without_the_packages_says_what_to_install(
    idle_service: Service, world: WebhookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing(world.settings) == ""
    for name in [name for name in sys.modules if name.startswith("exports.messages.webhook.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert missing(world.settings) == "the extra `messages`"
    with pytest.raises(SettingsError, match=r"pip install 'temporal-exports\[messages\]'"):
        _ = idle_service.client.webhooks


@pytest.mark.parametrize("uid", ["", " ", "x" * 201])
async def test_a_webhook_belongs_to_a_person(world: WebhookWorld, uid: str) -> None:
    with pytest.raises(ExportError):
        await world.webhooks.add("http://localhost:8000/", created_by=uid)
