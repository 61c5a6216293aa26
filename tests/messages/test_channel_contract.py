"""What every channel promises, whoever is at its other end."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from exports.encryption.keys import EncryptionKeys
from exports.encryption.sealed import Safe
from exports.messages.channel import Channel, Verdict
from exports.messages.email.channel import EmailChannel
from exports.messages.people import PeopleStore
from exports.messages.webhook.channel import WebhookChannel
from exports.messages.webhook.sending import Sender
from exports.messages.webhook.service import Webhooks
from exports.messages.webhook.store import WebhookStore
from exports.messages.wechat.channel import WechatChannel
from exports.messages.wechat.grants import WechatGrants
from exports.messages.wechat.templates import parse_templates
from tests.support.leaks import CANARY
from tests.support.mail_server import mail_server
from tests.support.messages import message, reports, settings
from tests.support.webhook_receiver import answer, open_receiver
from tests.support.webhook_settings import key
from tests.support.wechat_stand_in import APPID, SECRET, TEMPLATE, wechat_stand_in

Database = AsyncDatabase[dict[str, Any]]
UID = "o-u1"


class Installed(NamedTuple):
    """A channel by which `UID` can be reached, and its other end.

    Attributes:
        channel: The channel.
        arrived: Returns how many messages have arrived.
        refuse: Lets the other end refuse the next message for good.
        delay: Lets the other end put off the next message.
    """

    channel: Channel
    arrived: Callable[[], int]
    refuse: Callable[[], object]
    delay: Callable[[], object]


@asynccontextmanager
async def _email(database: Database) -> AsyncGenerator[Installed]:
    await PeopleStore(database).learn(UID, email=f"{CANARY}@example.com")
    async with mail_server() as server:
        given = settings(
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_tls="none",
            mail_from="exports@example.com",
        )
        yield Installed(
            EmailChannel(database, given, reports()),
            arrived=lambda: len(server.received),
            refuse=lambda: server.answers.update(RCPT="550 No such user"),
            delay=lambda: server.answers.update(RCPT="451 Try later"),
        )


@asynccontextmanager
async def _wechat(database: Database) -> AsyncGenerator[Installed]:
    templates = json.dumps({"export.done": {"template": TEMPLATE, "fields": {"thing1": "{title}"}}})
    grants = WechatGrants(database, parse_templates(templates))
    with wechat_stand_in() as wechat:
        for _ in range(4):
            await grants.add(UID, TEMPLATE)
        wechat.granted[UID, TEMPLATE] = 4
        given = settings(
            wechat_appid=APPID,
            wechat_secret=SecretStr(SECRET),
            wechat_base_url=wechat.url,
            wechat_templates=templates,
        )
        yield Installed(
            WechatChannel(database, given, reports()),
            arrived=lambda: len(wechat.messages),
            refuse=lambda: wechat.next_answers.append(43101),
            delay=lambda: wechat.next_answers.append(-1),
        )


@asynccontextmanager
async def _webhook(database: Database) -> AsyncGenerator[Installed]:
    keys = EncryptionKeys.of(SecretStr(key("k1")))
    store, sender = WebhookStore(database, Safe(keys, setting="KEYS")), Sender(loopback=True)
    arrived: list[int] = []

    async def take(writer: asyncio.StreamWriter) -> None:
        arrived.append(200)
        await answer(200)(writer)

    async with open_receiver() as receiver:
        receiver.then = take
        await Webhooks(store, sender).add(f"{receiver.url}/{CANARY}", created_by=UID)
        yield Installed(
            WebhookChannel(store, sender),
            arrived=lambda: len(arrived),
            refuse=lambda: receiver.next_answers.append(answer(410)),
            delay=lambda: receiver.next_answers.append(answer(503)),
        )


@pytest.mark.parametrize("install", [_email, _wechat, _webhook])
async def test_a_channel_keeps_what_it_promises(
    install: Callable[[Database], AbstractAsyncContextManager[Installed]],
    mongo_database: Database,
) -> None:
    sent = message(uid=UID)
    async with install(mongo_database) as installed:
        channel = installed.channel
        assert await channel.addresses("somebody-else", sent) == []
        [address] = await channel.addresses(UID, sent)
        assert re.fullmatch(r"[\w-]{1,64}", address.id), "it becomes part of a workflow's id"
        assert CANARY not in f"{address}"

        delivered = await channel.send(sent, address.id, delivery_id="d1")
        assert delivered.verdict is Verdict.DELIVERED
        assert installed.arrived() == 1

        gone = await channel.send(sent, "another-address", delivery_id="d2")
        assert gone.verdict is Verdict.REFUSED
        installed.delay()
        delayed = await channel.send(sent, address.id, delivery_id="d3")
        assert delayed.verdict is Verdict.AGAIN
        installed.refuse()
        refused = await channel.send(sent, address.id, delivery_id="d4")
        assert refused.verdict is Verdict.REFUSED
        assert installed.arrived() == 1
        for outcome in (delivered, gone, delayed, refused):
            assert re.fullmatch(r"[A-Z].*\.", outcome.reason), "a sentence"
            assert len(outcome.answer) <= 1024
            assert CANARY not in f"{outcome}"
