"""Whatever strangers send, the answer has a code, and nothing is stored.

The calls are those of the OpenAPI document, so a new one is asked here, too. What is no JSON, too
long or no valid token is in `test_form.py` and `test_who.py`.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from exports.api.errors import STATUS
from exports.names import TASKS_COLLECTION
from tests.support import hostile, raw_http
from tests.support.api import STRANGER, Api, open_api
from tests.support.service import MONTH, Service

_ID: Final = "6720c1f0a1b2c3d4e5f60718"
_TEXTS: Final = (
    # NUL, half a character, no UTF-8, and characters that change what people see
    *("a%00b", "%ed%a0%80", "%ff", "%e2%80%aegnp", "%0d%0aX:%20y"),
    # other places, operators, code
    *("%2e%2e%2f%2e%2e%2fetc", "%24where", "%7b%22%24gt%22%3a%22%22%7d", "__proto__", "%25s%25n"),
    # numbers and times where a text is expected, and the other way round
    *("-1", "1e999", "NaN", "9" * 40, "null", "2026-13-45"),
    *("%20", "x" * 300, "%f0%9f%98%80"),
)
"""Percent-encoded, for paths and queries."""
_EVERY: Final = 4
"""A call is asked with every fourth text: each text goes to some calls, and each call gets some."""
_HEADERS: Final = (
    *(b"\xff\xfe", b"\xed\xa0\x80", "任务".encode(), b'"', b'W/"', b'""', b"*, *", b"," * 2000),
    *(b"x" * 4000, b"{", b"$where", b"-1", b"9" * 40, b"a b", b"a\tb", b"%00", b"../../x"),
)


class _Call(NamedTuple):
    """A call of the OpenAPI document.

    Attributes:
        method: Its method.
        path: Its path, with `{id}`.
        query: The names of its parameters.
        headers: The names of the headers that it reads.
        body: Whether it reads a body.
    """

    method: str
    path: str
    query: tuple[str, ...]
    headers: tuple[str, ...]
    body: bool


def _calls(api: Api) -> Iterator[_Call]:
    for path, methods in api.app.openapi()["paths"].items():
        for method, call in methods.items():
            named = {
                place: tuple(
                    one["name"] for one in call.get("parameters", ()) if one["in"] == place
                )
                for place in ("query", "header")
            }
            body = "requestBody" in call
            yield _Call(method.upper(), path, named["query"], named["header"], body)


@pytest.fixture
async def api(idle_service: Service, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Api]:
    with caplog.at_level(logging.INFO):
        async with open_api(idle_service, api_rate=1_000_000) as running:
            yield running
    said = "\n".join(f"{record.levelname} {record.getMessage()}" for record in caplog.records)
    assert "Unexpected" not in said
    assert "ERROR" not in said
    assert "Traceback" not in caplog.text


def _has_a_code(status: int, content: bytes) -> str | None:
    """Check an answer, and return its code; None if it is not an error."""
    if status < 400:
        return None
    said = json.loads(content)
    assert said["ok"] is False
    code: str = said["error"]["code"]
    assert STATUS[code] == status < 500, said
    assert said["error"]["msg"].endswith(".")
    return code


def _code(answer: httpx2.Response) -> str | None:
    return _has_a_code(answer.status_code, answer.content)


async def _nothing_is_stored(service: Service) -> None:
    assert await service.database[TASKS_COLLECTION].count_documents({}) == 0


async def test_any_text_in_a_path_is_an_export_that_does_not_exist(
    api: Api, idle_service: Service
) -> None:
    for number, call in enumerate(_calls(api)):
        if "{" not in call.path:
            continue
        for text in _TEXTS[number % _EVERY :: _EVERY]:
            before, _, after = call.path.partition("{")
            path = f"{before}{text}{after.partition('}')[2]}"
            code = _code(await api.ask(call.method, path, follow_redirects=False))
            assert code in {"E_NOT_FOUND", "E_TYPE", "E_PATH", "E_REQUEST"}, (call, text)
    await _nothing_is_stored(idle_service)


async def test_any_text_in_a_query_is_taken_or_refused(api: Api, idle_service: Service) -> None:
    for call in _calls(api):
        if call.method != "GET" or "{" in call.path:
            continue
        for number, name in enumerate((*call.query, "no_such_parameter")):
            for text in _TEXTS[number % _EVERY :: _EVERY]:
                _code(await api.ask("GET", f"{call.path}?{name}={text}"))
            _code(await api.ask("GET", f"{call.path}?{name}=1&{name}=2&{name}[$ne]=3&{name}"))
    await _nothing_is_stored(idle_service)


async def test_any_header_is_taken_or_refused(api: Api, idle_service: Service) -> None:
    task = await idle_service.create()
    for call in _calls(api):
        if call.method != "GET":
            continue
        path = call.path.replace("{id}", task.id)
        for name in call.headers:
            for value in _HEADERS:
                _code(await api.ask("GET", path, headers={name: value}))
    for value in _HEADERS:
        answer = await api.ask(
            "POST", "/exports", headers={"Idempotency-Key": value}, json={"type": "nope"}
        )
        assert _code(answer) in {"E_TYPE", "E_REQUEST"}, value


async def test_bytes_that_are_no_http_have_an_answer_or_none(
    api: Api, idle_service: Service
) -> None:
    token = api.bearer()["Authorization"].encode()
    body = json.dumps({"type": "statsMonthly", "params": MONTH}).encode()
    head = b"POST /exports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: "
    head += token + b"\r\n"
    for sent in (
        b"GET /exports/\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /exports?created_by=\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /exports/\xed\xa0\x80 HTTP/1.1\r\nHost: x\r\nAuthorization: " + token + b"\r\n\r\n",
        b"GET /exports HTTP/1.1\r\nAuthorization: " + token + b"\r\n\r\n",  # no Host
        b"GET /exports HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET http://x:y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # the beginning of TLS
        b"GET /exports HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        head + b"Idempotency-Key: a\0b\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        head + b"Content-Length: -1\r\n\r\n" + body,
        head + b"Content-Length: 1\r\nContent-Length: 9\r\n\r\n" + body,
        head + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
        head + b"Transfer-Encoding: gzip\r\n\r\n" + body,
    ):
        answer = await raw_http.asked(api.address, sent)
        if answer is not None:
            assert _has_a_code(answer.status, answer.body), sent[:60]
    await _nothing_is_stored(idle_service)


async def test_a_cursor_of_somebody_else_says_no_more_than_one_that_does_not_exist(
    api: Api, idle_service: Service
) -> None:
    mine = await idle_service.create()
    theirs = await idle_service.create(created_by=STRANGER)
    answers = [
        await api.ask("GET", "/exports", params={"after": after}) for after in (theirs.id, _ID)
    ]
    assert [_code(answer) for answer in answers] == ["E_REQUEST"] * 2
    assert answers[0].content == answers[1].content
    assert set(answers[0].headers) == set(answers[1].headers)
    page = await api.ask("GET", "/exports", STRANGER, params={"after": theirs.id})
    assert page.json()["data"]["items"] == []
    assert mine.id not in page.text


_BODIES: Final[st.SearchStrategy[Any]] = st.one_of(
    hostile.SENT,
    st.fixed_dictionaries(
        {"type": st.just("statsMonthly"), "params": hostile.SENT},
        optional={"format": hostile.SENT, "columns": hostile.SENT, "createdBy": hostile.SENT},
    ),
    st.fixed_dictionaries(
        {"type": hostile.SENT, "params": st.just(MONTH)}, optional={"$where": hostile.SENT}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("statsMonthly"),
            "params": st.fixed_dictionaries({"year": hostile.SENT, "month": hostile.SENT}),
        }
    ),
    st.fixed_dictionaries({"action": hostile.SENT, "payload": hostile.SENT, "uid": hostile.SENT}),
)


@examples(
    max_examples=120,
    phases=[Phase.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sent=_BODIES, idempotency_key=st.sampled_from(["", "%ff", "k"]), number=st.integers(0, 1000))
async def test_any_json_is_refused_with_a_code(
    api: Api, idle_service: Service, sent: Any, idempotency_key: str, number: int
) -> None:
    calls = [call for call in _calls(api) if call.body]
    call = calls[number % len(calls)]
    answer = await api.ask(
        call.method,
        call.path.replace("{id}", quote(_ID)),
        content=json.dumps(sent).encode(),  # half a character is written as its escape
        headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},
    )
    assert _code(answer), (call, sent)
    await _nothing_is_stored(idle_service)
