"""The webhooks of people: whose, how many, their secrets, and when they are switched off."""

import asyncio
import base64
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from standardwebhooks import WebhookVerificationError

from exports import names
from exports.clock import millis
from exports.errors import (
    DatabaseUnavailableError,
    EncryptionKeyError,
    ExportError,
    QuotaError,
    RateError,
    SettingsError,
    TaskNotFoundError,
)
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.delivery import LONGEST_RETRY_AFTER
from exports.messages.message import Event, ExportFacts, Message, Problem, Subject
from exports.messages.notices import Notice
from exports.messages.webhook import store as stored
from exports.messages.webhook.channel import LONGEST_PAUSE, WebhookChannel
from exports.messages.webhook.kind import missing
from exports.messages.webhook.model import Webhook
from exports.messages.webhook.naming import with_host
from exports.messages.webhook.sending import Sender
from exports.messages.webhook.service import Webhooks
from exports.messages.webhook.signature import content
from exports.messages.webhook.store import MAX_TESTS, MAX_WEBHOOKS, WebhookStore
from exports.messages.webhook.stored_secrets import MAX_SECRETS
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.collection import IN_OUTBOX
from tests.support.protections import protected_by
from tests.support.sent_commands import SentCommands
from tests.support.service import Service
from tests.support.webhook_receiver import Receiver, answer, closed, open_receiver
from tests.support.webhook_settings import key
from workflows import policies

OWNER, STRANGER = "u1", "u2"
SENDER = Sender(loopback=True)
DONE = Message(
    id="m1",
    event=Event.DONE,
    at=1_793_000_000_007,
    created_by=OWNER,
    export=ExportFacts(
        id="6720c1f0a1b2c3d4e5f60718",
        type="statsMonthly",
        period="2026-10",
        format="xlsx",
        status=TaskStatus.DONE,
        file_name="十月.xlsx",
        rows=31,
        file_url="https://exports.example.com/exports/6720c1f0a1b2c3d4e5f60718/file",
    ),
)


@dataclass
class World:
    """A store of webhooks, what people do with it, and the channel that uses it."""

    database: AsyncDatabase[dict[str, Any]]
    settings: Settings

    def with_keys(self, **keys: str | None) -> "World":
        update = {name: key and SecretStr(key) for name, key in keys.items()}
        return World(self.database, self.settings.model_copy(update=update))

    @property
    def store(self) -> WebhookStore:
        return WebhookStore.of_settings(self.database, self.settings)

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.store, SENDER)

    @property
    def channel(self) -> WebhookChannel:
        return WebhookChannel(self.store, SENDER)

    async def told(self) -> list[Notice]:
        """What the next sweep tells people."""
        found = await self.database["ExportWebhooks"].find(IN_OUTBOX).to_list()
        return [Notice.model_validate(item) for one in found for item in one["outbox"]]

    async def add(self, url: str, who: str = OWNER) -> tuple[str, str]:
        """Return the id and the secret of a new webhook."""
        added = await self.webhooks.add(url, created_by=who)
        assert added.secret is not None
        return added.id, added.secret

    async def send(self, webhook_id: str, *, delivery: str = "d1") -> Outcome:
        return await self.channel.send(DONE, webhook_id, delivery_id=delivery)

    async def age(self, webhook_id: str, name: str, by: timedelta) -> None:
        """Move a time of a webhook into the past."""
        await self.database["ExportWebhooks"].update_one(
            {"_id": webhook_id}, {"$inc": {name: -millis(by)}}
        )


@pytest.fixture
def world(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> World:
    return World(mongo_database, settings).with_keys(webhook_encryption_key=key("k1"))


async def test_a_receiver_gets_a_message_that_it_can_check(world: World) -> None:
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


async def test_during_a_rotation_the_old_secret_and_the_new_one_are_valid(world: World) -> None:
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
    world: World,
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
    world: World,
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


async def test_keys_of_secrets_can_be_changed_and_are_needed(world: World) -> None:
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
        assert (await _get(shared, webhook)).failing_since is None, "the receiver has not failed"


async def test_of_thirty_who_add_at_once_no_more_succeed_than_one_person_may_have(
    world: World,
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


async def test_who_is_never_first_is_told_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_what_is_removed_is_gone_with_its_address_and_secret(world: World) -> None:
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
async def test_a_webhook_of_somebody_else_is_one_that_does_not_exist(world: World) -> None:
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


async def test_a_receiver_that_is_gone_is_switched_off_and_its_owner_told(world: World) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        other, _ = await world.add(f"{receiver.url}/other")
        receiver.next_answers = [answer(410)]
        assert (await world.send(webhook)).verdict is Verdict.REFUSED
        [notice] = await world.told()
        told = notice.message
        assert notice.channels == ["default", "email", "webhook"]
        assert (told.event, told.created_by) == (Event.WEBHOOK_DISABLED, OWNER)
        assert told.subject is not None
        assert told.subject.id == webhook
        host = receiver.url.split("/")[2]
        assert host not in told.model_dump_json(), "it may be a secret, and goes through Temporal"
        seen = await with_host(told, world.database)
        assert seen.subject is not None
        assert (seen.subject.id, seen.subject.name) == (webhook, host), "what its owner sees"
        stranger = told.model_copy(update={"created_by": STRANGER})
        assert await with_host(stranger, world.database) == stranger
        assert "410" in told.subject.reason
        assert [one.id for one in await world.channel.addresses(OWNER, told)] == [other]
        off = await world.webhooks.get(webhook, created_by=OWNER)
        assert off.switched_off is not None

        assert (await world.send(webhook)).verdict is Verdict.REFUSED
        assert len(receiver.requests) == 1, "it gets nothing more"
        assert len(await world.told()) == 1
        assert (await world.webhooks.test(webhook, created_by=OWNER)).delivered
        for _ in range(2):
            on = await world.webhooks.enable(webhook, created_by=OWNER)
            assert on.switched_off is None
        assert (await world.send(webhook)).verdict is Verdict.DELIVERED


async def _failing(world: World, receiver: Receiver) -> str:
    webhook, _ = await world.add(receiver.url)
    receiver.then = answer(500)
    await world.send(webhook)
    return webhook


async def _get(world: World, webhook: str) -> Webhook:
    return await world.webhooks.get(webhook, created_by=OWNER)


async def test_five_days_of_nothing_but_failures_switch_a_webhook_off(world: World) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        await world.age(webhook, "failingSince", timedelta(days=5, minutes=-1))
        await world.send(webhook)
        assert (await _get(world, webhook)).switched_off is None
        await world.age(webhook, "failingSince", timedelta(minutes=1))
        await world.send(webhook)
        off = (await _get(world, webhook)).switched_off
        assert off is not None
        assert off.reason == "Every attempt of 5 days has failed."
        assert [one.message.event for one in await world.told()] == [Event.WEBHOOK_DISABLED]
        on = await world.webhooks.enable(webhook, created_by=OWNER)
        assert on.failing_since is None


async def test_a_failure_of_last_month_says_nothing_about_today(world: World) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        for name in ("failingSince", "lastFailedAt"):
            await world.age(webhook, name, timedelta(days=30))
        await world.send(webhook)
        after = await _get(world, webhook)
        assert after.switched_off is None
        assert after.failing_since == after.last_failed_at
        assert await world.told() == []
        # The longest wait between two attempts is no such gap.
        await world.age(webhook, "failingSince", timedelta(days=5))
        longest = max(policies.DELIVERY_DELAYS) * (1 + policies.DELIVERY_JITTER)
        await world.age(webhook, "lastFailedAt", longest)
        await world.send(webhook)
        assert (await _get(world, webhook)).switched_off is not None
    assert max(longest, timedelta(seconds=LONGEST_RETRY_AFTER)) < LONGEST_PAUSE


async def test_one_success_begins_the_five_days_anew(world: World) -> None:
    async with open_receiver() as receiver:
        webhook = await _failing(world, receiver)
        await world.age(webhook, "failingSince", timedelta(days=6))
        # A success that is stored while another attempt, which is to fail, is on its way.
        since = (await _get(world, webhook)).failing_since
        receiver.next_answers = [answer(200)]
        await world.send(webhook)
        before = await _get(world, webhook)
        await world.store.switch_off(before, "It fails.", tell=["email"], failing_since=since)
        assert (await _get(world, webhook)).switched_off is None
        await world.send(webhook)
        after = await _get(world, webhook)
        assert after.switched_off is None
        assert after.failing_since is not None
        assert await world.told() == []


async def test_a_test_tells_how_it_went_and_changes_nothing(world: World) -> None:
    async with open_receiver() as receiver:
        webhook, secret = await world.add(receiver.url)
        before = await _get(world, webhook)
        for status in (410, 500, 200):
            receiver.next_answers = [answer(status, b"seen")]
            tried = await world.webhooks.test(webhook, created_by=OWNER)
            assert (tried.status, tried.delivered) == (status, status == 200)
            assert tried.answer == "seen"
        assert await _get(world, webhook) == before
        content = receiver.requests[0].verified(secret)
        assert content["type"] == "webhook.test"
        assert content["data"]["id"] == webhook
        assert len({request.id for request in receiver.requests}) == 3


async def test_of_many_tests_at_once_only_a_few_are_sent(world: World) -> None:
    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        tests = (world.webhooks.test(webhook, created_by=OWNER) for _ in range(MAX_TESTS + 3))
        done = await asyncio.gather(*tests, return_exceptions=True)
        refused = [one for one in done if isinstance(one, BaseException)]
        assert (len(receiver.requests), len(refused)) == (MAX_TESTS, 3)
        for error in refused:
            assert isinstance(error, RateError)
            assert 0 < error.retry_after <= 60
        await world.age(webhook, "testedAt.0", timedelta(minutes=1))
        assert (await world.webhooks.test(webhook, created_by=OWNER)).delivered
        with pytest.raises(RateError):
            await world.webhooks.test(webhook, created_by=OWNER)


async def test_a_message_that_was_taken_counts_even_if_that_can_not_be_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailableError("The database is away.")

    async with open_receiver() as receiver:
        webhook, _ = await world.add(receiver.url)
        monkeypatch.setattr(stored.WebhookStore, "succeeded", away)
        assert (await world.send(webhook)).verdict is Verdict.DELIVERED


async def test_nothing_is_asked_of_the_database_that_its_user_may_not_do(
    world: World, mongo_uri: str
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
    idle_service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing(world.settings) == ""
    for name in [name for name in sys.modules if name.startswith("exports.messages.webhook.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert missing(world.settings) == "the extra `messages`"
    with pytest.raises(SettingsError, match=r"pip install 'temporal-exports\[messages\]'"):
        _ = idle_service.client.webhooks


@pytest.mark.parametrize("uid", ["", " ", "x" * 201])
async def test_a_webhook_belongs_to_a_person(world: World, uid: str) -> None:
    with pytest.raises(ExportError):
        await world.webhooks.add("http://localhost:8000/", created_by=uid)
