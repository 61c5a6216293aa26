"""Messages by WeChat, to a stand-in of the documented answers: never tried with the real WeChat."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from exports.errors import ChannelError, SettingsError
from exports.messages.channel import Outcome, Verdict
from exports.messages.message import Event, Message
from exports.messages.wechat.channel import WechatChannel
from exports.messages.wechat.grants import MOST_LEFT, WechatGrants
from exports.messages.wechat.templates import cut, parse_templates
from tests.support.leaks import CANARY
from tests.support.messages import message, reports, settings
from tests.support.wechat_stand_in import APPID, SECRET, TEMPLATE, Wechat, wechat_stand_in

Database = AsyncDatabase[dict[str, Any]]
OPENID = "oABCD-1234_openid"
DONE: dict[str, Any] = {
    "template": TEMPLATE,
    "page": "pages/exports/export?id={id}",
    "fields": {
        "thing1": "{period} {title}",
        "phrase2": "{status}",
        "number3": "{rows}",
        "time4": "{until}",
        "character_string5": "{id}",
        "date6": "{at}",
    },
}
FAILED = {"template": f"{TEMPLATE}-2", "fields": {"thing1": "{problem}"}}
TEMPLATES = {"export.done": DONE, "export.expiring": DONE, "export.failed": FAILED}


@pytest.fixture
def wechat() -> Iterator[Wechat]:
    with wechat_stand_in() as running:
        yield running


def _channel(database: Database, wechat: Wechat, **changes: Any) -> WechatChannel:
    templates = json.dumps(changes.pop("templates", TEMPLATES))
    given = {"wechat_appid": APPID, "wechat_secret": SecretStr(SECRET)}
    given |= {"wechat_base_url": wechat.url, "wechat_templates": templates}
    return WechatChannel(database, settings(**{**given, **changes}), reports())


@pytest.fixture
async def grants(mongo_database: Database) -> WechatGrants:
    return WechatGrants(mongo_database, parse_templates(json.dumps(TEMPLATES)))


@pytest.fixture
async def channel(mongo_database: Database, wechat: Wechat, grants: WechatGrants) -> WechatChannel:
    """A channel, and somebody who has granted one message, here and there."""
    await grants.add(OPENID, TEMPLATE)
    wechat.granted[OPENID, TEMPLATE] = 1
    return _channel(mongo_database, wechat)


async def _sent(
    channel: WechatChannel, delivery: str = "d1", sent: Message | None = None
) -> Outcome:
    return await channel.send(sent or message(uid=OPENID), "own", delivery_id=delivery)


async def test_somebody_who_has_granted_a_message_gets_one(
    channel: WechatChannel, wechat: Wechat
) -> None:
    sent = message(uid=OPENID)
    [address] = await channel.addresses(OPENID, sent)
    assert OPENID not in f"{address}"
    outcome = await channel.send(sent, address.id, delivery_id="d1")
    assert (outcome.verdict, outcome.status) == (Verdict.DELIVERED, 0)
    assert wechat.messages == [
        {
            "touser": OPENID,
            "template_id": TEMPLATE,
            "page": "pages/exports/export?id=665f1c2a9b1e8a0001234567",
            "miniprogram_state": "formal",
            "lang": "en_US",
            "data": {
                "thing1": {"value": "2026-10 月度统计 Monthly"},
                "phrase2": {"value": "已完成"},
                "number3": {"value": "12345"},
                "time4": {"value": "2026年11月1日 08:00"},
                "character_string5": {"value": "665f1c2a9b1e8a0001234567"},
                "date6": {"value": "2026年10月31日 08:00"},
            },
        }
    ]
    assert await channel.addresses(OPENID, sent) == []
    assert (await _sent(channel, "d2")).reason == "There is no grant for another message."
    assert len(wechat.messages) == 1


async def test_a_delivery_that_is_tried_again_takes_no_second_grant(
    channel: WechatChannel, wechat: Wechat, grants: WechatGrants
) -> None:
    await grants.add(OPENID, TEMPLATE)
    wechat.next_answers += [-1, 45009]
    for _ in range(2):
        assert (await _sent(channel)).verdict is Verdict.AGAIN
    assert (await _sent(channel)).verdict is Verdict.DELIVERED
    assert await grants.left(OPENID, TEMPLATE) == 1


async def test_what_wechat_answers_says_whether_it_is_tried_again_and_the_grant_is_used(
    channel: WechatChannel, wechat: Wechat, grants: WechatGrants
) -> None:
    answers: list[tuple[int | str, Verdict, int]] = [
        *((code, Verdict.REFUSED, 1) for code in (47003, 40037, 40003, 41030)),
        (43101, Verdict.REFUSED, 0),
        *((code, Verdict.AGAIN, 1) for code in (-1, 45009, 45011, 40164, 48001, 99999)),
        ("<html>Bad Gateway", Verdict.AGAIN, 0),
    ]
    for code, verdict, left in answers:
        if not await grants.left(OPENID, TEMPLATE):
            await grants.add(OPENID, TEMPLATE)
        wechat.next_answers.append(code)
        outcome = await _sent(channel, f"d{code}")
        assert outcome.status == (502 if isinstance(code, str) else code)
        assert (outcome.verdict, await grants.left(OPENID, TEMPLATE)) == (verdict, left), code
    assert wechat.messages == []


async def test_the_access_token_is_fetched_once_and_again_when_it_has_ended(
    channel: WechatChannel, wechat: Wechat, grants: WechatGrants
) -> None:
    for _ in range(9):
        await grants.add(OPENID, TEMPLATE)
    wechat.granted[OPENID, TEMPLATE] = 10
    outcomes = await asyncio.gather(*(_sent(channel, f"d{number}") for number in range(5)))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.DELIVERED}
    assert wechat.tokens == {False: 1}
    # Another program has made a new one: the usual request gives it.
    wechat.replace_token()
    assert (await _sent(channel, "d5")).verdict is Verdict.DELIVERED
    assert wechat.tokens == {False: 2}
    # WeChat gives the same one again, so that only a refresh helps.
    wechat.next_answers.append(42001)
    assert (await _sent(channel, "d6")).verdict is Verdict.DELIVERED
    assert wechat.tokens == {False: 3, True: 1}
    # It is tried once more, not more often.
    wechat.next_answers += [40001, 40001]
    assert (await _sent(channel, "d7")).verdict is Verdict.AGAIN
    assert wechat.tokens == {False: 4, True: 2}
    assert not wechat.next_answers


async def test_an_access_token_that_is_about_to_end_is_not_used(
    channel: WechatChannel, wechat: Wechat, grants: WechatGrants
) -> None:
    wechat.expires_in = 300
    for number in range(2):
        await _sent(channel, f"d{number}")
        await grants.add(OPENID, TEMPLATE)
    assert wechat.tokens == {False: 2}


async def test_no_secret_is_in_a_log_or_in_what_people_see(
    channel: WechatChannel,
    mongo_database: Database,
    wechat: Wechat,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logger in ("httpx2", "httpcore2", "exports"):
        caplog.set_level(logging.DEBUG, logger)
    seen: list[Outcome] = []
    for wrong, code in (
        ({"wechat_secret": SecretStr(f"{CANARY}-wrong")}, 40125),
        ({"wechat_appid": "wx1"}, 40013),
    ):
        seen.append(await _sent(_channel(mongo_database, wechat, **wrong)))
        assert (seen[-1].verdict, seen[-1].status) == (Verdict.AGAIN, code)
    wechat.next_answers.append(f"echo {wechat.token}")
    seen += [await _sent(channel), await _sent(channel)]
    assert seen[-2].answer == "echo …"
    assert seen[-1].verdict is Verdict.DELIVERED
    assert "EXPORTS_WECHAT_APPID" in caplog.text
    assert "stable_token" in caplog.text, "the requests are logged"
    assert CANARY not in f"{caplog.text} {seen} {channel!r}"
    assert OPENID not in caplog.text


async def test_wechat_that_is_away_is_tried_again(mongo_database: Database) -> None:
    with wechat_stand_in() as gone:
        channel = _channel(mongo_database, gone)
    await channel._grants.add(OPENID, TEMPLATE)  # noqa: SLF001 -- of this database
    outcome = await _sent(channel)
    assert (outcome.verdict, outcome.reason) == (Verdict.AGAIN, "WeChat can't be reached.")
    assert await channel._grants.left(OPENID, TEMPLATE) == 1  # noqa: SLF001 -- of this database


async def test_events_without_a_template_are_not_told(channel: WechatChannel) -> None:
    cancelled = message(Event.CANCELLED, uid=OPENID)
    assert await channel.addresses(OPENID, cancelled) == []
    assert (await _sent(channel, sent=cancelled)).verdict is Verdict.REFUSED


async def test_the_owner_of_a_webhook_reads_which_host_was_switched_off(
    mongo_database: Database, wechat: Wechat, grants: WechatGrants
) -> None:
    await mongo_database["ExportWebhooks"].insert_one(
        {"_id": "r1", "url": "https://a.example.com/path", "createdBy": OPENID, "createdAt": 1}
    )
    await grants.add(OPENID, TEMPLATE)
    wechat.granted[OPENID, TEMPLATE] = 1
    templates = {"webhook.disabled": {"template": TEMPLATE, "fields": {"thing1": "{title}"}}}
    channel = _channel(mongo_database, wechat, templates=templates)
    await _sent(channel, sent=message(Event.WEBHOOK_DISABLED, uid=OPENID))
    assert wechat.messages[0]["data"] == {"thing1": {"value": "a.example.com"}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 20, "x" * 20),
        ("统" * 25, "统" * 20),
        ("x" * 19 + "e\u0301", "x" * 19),
        ("x" * 18 + "e\u0301", "x" * 18 + "e\u0301"),
        ("x" * 19 + "😀", "x" * 19),
        ("x" * 18 + "😀", "x" * 18 + "😀"),
        ("x" * 15 + "👩‍💻", "x" * 15 + "👩‍💻"),
        ("x" * 16 + "👩‍💻", "x" * 16),
        ("x" * 17 + "👍🏽", "x" * 17),
        ("x" * 17 + "🇨🇳", "x" * 17),
        ("x" * 16 + "🇨🇳", "x" * 16 + "🇨🇳"),
    ],
)
def test_a_text_is_cut_between_whole_characters(text: str, shown: str) -> None:
    assert cut(text, 20) == shown


async def test_odd_names_still_fit_the_fields_of_the_template(
    mongo_database: Database, wechat: Wechat, grants: WechatGrants
) -> None:
    templates = {
        "export.done": {
            "template": TEMPLATE,
            "fields": {
                "thing1": "{title}{file}",
                "thing2": "{problem}",
                "character_string3": "{title}",
                "number4": "{file}",
                "phrase5": "{code}",
                "phrase6": "{status}统计导出报表",
            },
        }
    }
    await grants.add(OPENID, TEMPLATE)
    wechat.granted[OPENID, TEMPLATE] = 1
    odd = "统计\n{rows}\u202e" * 40
    sent = message(uid=OPENID, type=odd, file_name=odd)
    channel = _channel(mongo_database, wechat, templates=templates)
    outcome = await _sent(channel, sent=sent)
    assert outcome.verdict is Verdict.DELIVERED, outcome
    [got] = wechat.messages
    assert got["data"]["thing1"]["value"] == "统计 {rows} 统计 {rows}"
    assert got["data"]["phrase6"]["value"] == "已完成统计"


async def test_no_grant_is_taken_twice_and_none_by_somebody_else(grants: WechatGrants) -> None:
    await grants.add("u1", TEMPLATE)
    taken = await asyncio.gather(*(grants.take("u1", TEMPLATE, f"d{n}") for n in range(4)))
    assert sorted(taken) == [False, False, False, True]
    winner = f"d{taken.index(True)}"
    assert await grants.take("u1", TEMPLATE, winner)
    assert not await grants.take("u2", TEMPLATE, "e1")
    await grants.give_back(winner)
    assert await grants.take("u1", TEMPLATE, "e2")
    for _ in range(2):
        assert (await grants.add("u2", TEMPLATE, key="k")).left == 1
    assert (await grants.add("u3", TEMPLATE, key="k")).left == 1
    with pytest.raises(ChannelError):
        await grants.add("u2", "another")


async def test_no_more_than_a_hundred_grants_are_kept(
    grants: WechatGrants, mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_LEFT == 100
    monkeypatch.setattr("exports.messages.wechat.grants.MOST_LEFT", 2)
    for expected in (1, 2, 2):
        assert (await grants.add("u1", TEMPLATE)).left == expected
    indexes = await mongo_database["ExportWechatGrants"].index_information()
    assert indexes["takenAt_1"]["expireAfterSeconds"] == 31 * 24 * 60 * 60


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "must be JSON"),
        ("[]", "dictionary"),
        ('{"export.gone": {"template": "t", "fields": {"thing1": "x"}}}', "export.gone"),
        ('{"webhook.test": {"template": "t", "fields": {"thing1": "x"}}}', "webhook.test"),
        ('{"export.done": {"template": "t"}}', "fields"),
        ('{"export.done": {"template": "t", "fields": {"car_number1": "x"}}}', "thing1"),
        ('{"export.done": {"template": "t", "fields": {"thing1": "{row}"}}}', "in braces"),
        ('{"export.done": {"template": "t", "fields": {"thing1": "{id.x}"}}}', "in braces"),
        ('{"export.done": {"template": "t", "fields": {"thing1": "{id"}}}', "other half"),
        ('{"export.done": {"template": "t", "page": "{}", "fields": {"thing1": "x"}}}', "braces"),
    ],
)
def test_wrong_templates_are_found_at_the_start(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_templates(given)
