"""One attempt at a webhook: what reaches the receiver, and what a receiver can't do to us."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from exports.messages.channel import Outcome, Verdict
from exports.messages.webhook.sending import MAX_ANSWER_BYTES, Sender
from tests.support.chaos.certificates import Certificates
from tests.support.webhook_receiver import (
    Answer,
    Receiver,
    answer,
    closed,
    never,
    open_receiver,
    trickling,
)

NAME = "hooks.example.com"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n"
SOON = 0.2  # seconds
TLS = ssl.create_default_context()


async def _loopback(_: str, __: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as running:
        yield running


async def _post(receiver: Receiver, *, within: float = 30) -> Outcome:
    sender = Sender(loopback=True, tls=TLS, timeout=within)
    return await sender.post(receiver.url, b"{}", {"a": "b"})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("tls"), NAME)


def _trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca)


async def test_a_receiver_sees_its_own_name_and_nobody_can_stand_in_for_it(
    certificates: Certificates,
) -> None:
    asked_for: list[str | None] = []

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        asked_for.append(name)

    certificates.server.sni_callback = note
    sender = Sender(loopback=True, resolve=_loopback, tls=_trusting(certificates))
    async with open_receiver(tls=certificates.server, name=NAME) as receiver:
        outcome = await sender.post(f"{receiver.url}?a=%2F", b'{"a":1}', {"webhook-id": "1"})
        assert outcome.verdict is Verdict.DELIVERED, outcome
        [request] = receiver.requests
        assert (request.method, request.path, request.json) == ("POST", "/hook?a=%2F", {"a": 1})
        assert request.headers["host"] == receiver.url.split("/")[2]
        assert asked_for == [NAME]

        # The certificate is valid for the IP address, and that is not enough.
        impostor = receiver.url.replace(NAME, "other.example.com")
        outcome = await sender.post(impostor, b"{}", {})
        assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, None)
        assert "certificate" in outcome.reason
        outcome = await Sender(loopback=True, resolve=_loopback).post(receiver.url, b"{}", {})
        assert "certificate" in outcome.reason, "of an authority that nobody knows"
        assert len(receiver.requests) == 1


async def test_a_name_that_moves_inside_after_it_was_added_is_not_followed(
    receiver: Receiver,
) -> None:
    answers = [["93.184.216.34"], ["93.184.216.34", "127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]
    looked_up = 0

    async def rebinding(_: str, __: int) -> Sequence[str]:
        nonlocal looked_up
        looked_up += 1
        return answers[looked_up - 1]

    sender = Sender(loopback=False, resolve=rebinding, tls=TLS)
    url = receiver.url.replace("http://127.0.0.1", f"https://{NAME}")
    assert await sender.check(url) == url
    for _ in answers[1:]:
        outcome = await sender.post(url, b"{}", {})
        assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, None)
        assert "not public" in outcome.reason
    assert looked_up == len(answers), "once for each attempt"
    assert receiver.requests == []


async def test_an_attempt_connects_to_what_was_checked_and_does_not_look_again(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def resolve(name: str, _: int) -> Sequence[str]:
        looked_up.append(name)
        return ["127.0.0.1"]

    async def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the name was looked up again")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", forbidden)
    async with open_receiver(tls=certificates.server, name=NAME) as receiver:
        sender = Sender(loopback=True, resolve=resolve, tls=_trusting(certificates))
        assert (await sender.post(receiver.url, b"{}", {})).verdict is Verdict.DELIVERED
    assert looked_up == [NAME]


async def test_the_next_address_of_a_name_is_tried_if_there_is_no_connection(
    receiver: Receiver,
) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return ["::1", "127.9.9.9", "127.0.0.1"]

    sender = Sender(loopback=True, resolve=resolve, tls=TLS)
    outcome = await sender.post(receiver.url.replace("127.0.0.1", NAME), b"{}", {})
    assert outcome.verdict is Verdict.DELIVERED
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_answer_of_success_is_a_delivery(receiver: Receiver, status: int) -> None:
    receiver.then = answer(status)
    outcome = await _post(receiver)
    assert (outcome.verdict, outcome.status) == (Verdict.DELIVERED, status)


@pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 404, 429, 500, 502, 503, 504, 599])
async def test_any_other_answer_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.then = answer(status, b"" if status == 304 else b"no")
    outcome = await _post(receiver)
    assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, status)
    assert str(status) in outcome.reason


async def test_a_receiver_that_is_gone_gets_no_other_attempt(receiver: Receiver) -> None:
    receiver.then = answer(410)
    assert (await _post(receiver)).verdict is Verdict.REFUSED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.then = answer(status, location=f"{receiver.url}/inside", refresh="0")
    outcome = await _post(receiver)
    assert (outcome.verdict, outcome.status) == (Verdict.AGAIN, status)
    assert [request.path for request in receiver.requests] == ["/hook"]


async def test_no_proxy_and_no_password_of_the_environment_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login user password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with open_receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert (await _post(receiver)).verdict is Verdict.DELIVERED
        assert proxy.requests == []
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    "how",
    [
        never,
        closed,
        trickling(b"", b"H"),
        trickling(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        trickling(b"\x16\x03\x01\x00\x05", b"\xff\x00"),
        trickling(b"HTTP/1.1 999999 OK\r\n\r\n", b"x"),
    ],
    ids=["silent", "closes", "one byte", "headers", "continue", "rubbish", "no status"],
)
async def test_a_receiver_without_a_whole_answer_is_tried_again(
    receiver: Receiver, how: Answer
) -> None:
    receiver.then = how
    outcome = await _post(receiver, within=SOON)
    assert (outcome.verdict, outcome.status, outcome.answer) == (Verdict.AGAIN, None, "")
    assert outcome.reason


async def test_who_says_ok_and_never_ends_has_the_message(receiver: Receiver) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    receiver.next_answers = [
        trickling(OK, b""),
        trickling(OK, b"x"),
        trickling(chunked, b"1\r\nx\r\n"),
        trickling(chunked, b"rubbish"),
        answer(200, b"", content_length="7"),
    ]
    every = range(len(receiver.next_answers))
    outcomes = await asyncio.gather(*(_post(receiver, within=3) for _ in every))
    for outcome in outcomes:
        assert (outcome.verdict, outcome.status) == (Verdict.DELIVERED, 200)
        assert set(outcome.answer) <= {"x"}


async def test_an_answer_of_fifty_megabytes_is_not_read(receiver: Receiver) -> None:
    sent = 0
    broken = asyncio.Event()

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK)
        try:
            while sent < 50_000_000:
                writer.write(b"x" * 100_000)
                await writer.drain()
                sent += 100_000
        except ConnectionError:
            broken.set()

    receiver.then = flood
    outcome = await _post(receiver)
    assert (outcome.verdict, outcome.answer) == (Verdict.DELIVERED, "x" * 1024)
    await broken.wait()
    assert sent < 50_000_000, "the rest stays with its sender"


async def test_an_answer_is_kept_as_it_came_and_cut(receiver: Receiver) -> None:
    assert MAX_ANSWER_BYTES == 4096
    receiver.then = answer(500, "é\x00".encode() * 3000)
    assert (await _post(receiver)).answer == "é\x00" * 512
    receiver.then = answer(500, b"\x1f\x8b\x08bomb\xff", content_encoding="gzip")
    assert (
        await _post(receiver)
    ).answer == "\x1f\N{REPLACEMENT CHARACTER}\x08bomb\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        *((wrong, None) for wrong in ("", "soon", "-1", "1.5", "nan", "9" * 30, "١٢")),
        ("Wed, 99 Oct 2015 99:28:00 +9999999999999999999", None),
    ],
)
async def test_a_receiver_may_say_when_to_come_again(
    receiver: Receiver, value: str, seconds: float | None
) -> None:
    receiver.then = answer(503, retry_after=value)
    assert (await _post(receiver)).retry_after == seconds


async def test_a_receiver_may_name_the_time_to_come_again(receiver: Receiver) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    receiver.then = answer(429, retry_after=format_datetime(at, usegmt=True))
    outcome = await _post(receiver)
    assert outcome.retry_after is not None
    assert 0 < outcome.retry_after <= 3600


async def test_an_attempt_says_nothing_of_the_address_in_the_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await _post(receiver)
    assert "/hook" not in caplog.text
