"""Where messages to a person go: what the directory says, then what the person's tokens said."""

from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from exports.mail_addresses import Sender, is_mail_address, parse_sender
from exports.messages.directory import Directory, Reach
from exports.messages.people import PeopleStore
from exports.messages.wording import Language
from tests.support.messages import settings

Database = AsyncDatabase[dict[str, Any]]
ID = "665f1c2a9b1e8a0001234567"


async def test_the_directory_has_priority_over_what_tokens_said(mongo_database: Database) -> None:
    people = PeopleStore(mongo_database)
    for uid in ("u1", "u2", "u3", "u4", ID):
        await people.learn(uid, email="token@example.com", language="zh-CN")
    await mongo_database["users"].insert_many(
        [
            {"uid": "u1", "contact": {"mail": "one@example.com"}, "lang": "en-US", "wx": "o1"},
            {"uid": "u2", "contact": {"mail": None}, "lang": 7, "wx": ""},
            {"uid": "u3"},
            *({"uid": "u4", "contact": {"mail": f"{n}@example.com"}} for n in range(2)),
            {"uid": ["u5"], "contact": {"mail": "five@example.com"}},
            {"uid": ObjectId(ID), "contact": {"mail": "six@example.com"}},
            {"uid": "u7", "contact": {"mail": "a@example.com\nBcc: b@example.com"}},
            {"uid": "u8", "contact": {"mail": ["a@example.com", "b@example.com"]}},
        ]
    )
    directory = Directory(
        mongo_database,
        settings(
            directory_collection="users",
            directory_uid_field="uid",
            directory_email_field="contact.mail",
            directory_language_field="lang",
            directory_openid_field="wx",
        ),
    )
    chinese, english = Language.CHINESE, Language.ENGLISH
    for uid, expected in {
        "u1": Reach("one@example.com", english, "o1"),
        "u2": Reach(None, english, None),
        "u3": Reach("token@example.com", chinese, "u3"),
        "u4": Reach("token@example.com", chinese, "u4"),
        "u5": Reach(None, english, "u5"),
        ID: Reach("six@example.com", chinese, ID),
        "u7": Reach(None, english, "u7"),
        "u8": Reach(None, english, "u8"),
    }.items():
        assert await directory.find(uid) == expected, uid


async def test_without_a_directory_tokens_and_the_default_language_count(
    mongo_database: Database,
) -> None:
    await PeopleStore(mongo_database).learn("u1", email="a@example.com")
    directory = Directory(mongo_database, settings(message_language="zh"))
    assert await directory.find("u1") == Reach("a@example.com", Language.CHINESE, "u1")
    assert await directory.find("某人") == Reach(None, Language.CHINESE, None)


@pytest.mark.parametrize(
    "address",
    ["a@example.com", "first.last+exports@mail.example.co.uk", "o'b@localhost", "1@xn--a"],
)
def test_an_address_is_one_address(address: str) -> None:
    assert is_mail_address(address)
    assert parse_sender(f"数据 Exports <{address}>") == Sender("数据 Exports", address)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "@example.com", "a@", "a@@example.com", "a b@example.com", ".a@example.com"),
        *(
            "a..b@example.com",
            "a@example..com",
            "a@-example.com",
            "a@example.com.",
            "ä@example.com",
        ),
        *("a@example.com,b@example.com", "a@example.com b@example.com", "a@example.com;b@c.de"),
        *("a@example.com\n", "a@example.com\r\nBcc: b@example.com", "A <a@example.com>"),
        *('"a b"@example.com', "a@[127.0.0.1]", "a@例子.com", f"{'x' * 65}@example.com"),
        f"a@{'x.' * 130}com",
    ],
)
def test_what_could_become_a_second_address_or_a_header_is_no_address(text: str) -> None:
    assert not is_mail_address(text)
