"""Whatever is sent, the answer has one form, the right status, and says nothing secret."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema
import pytest

from dev.pages import error_classes
from exports.api import body
from exports.api.body import MAX_BODY_BYTES
from exports.api.errors import STATUS
from exports.client import ExportClient
from exports.errors import ExportError
from exports.reports.file import load_reports
from tests.support.api import Api, open_api
from tests.support.leaks import CANARY
from tests.support.paths import REPOSITORY
from tests.support.protections import protected_by
from tests.support.service import MONTH, Service

_NEW = {"type": "statsMonthly", "params": MONTH}
_AS_JSON = {"Content-Type": "application/json"}
_ELSEWHERE = "https://app.example.com"


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service, api_cors_origins=(_ELSEWHERE,)) as running:
        yield running


def _refused(answer: httpx2.Response) -> tuple[int, str]:
    content = answer.json()
    assert set(content) == {"ok", "error"}
    assert content["ok"] is False
    error = content["error"]
    assert {"code", "msg", "retryable"} <= set(error) <= {"code", "msg", "retryable", "fields"}
    assert error["msg"].endswith(".")
    assert STATUS[error["code"]] == answer.status_code
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error["code"]


def test_every_error_code_has_one_status() -> None:
    assert set(STATUS) == {ExportError.code, *(kind.code for kind in error_classes())}
    for kind in error_classes():
        if not kind.permanent:
            assert STATUS[kind.code] in {429, 500, 503, 504}, "who asked may try again"


async def test_what_is_not_there_is_said_in_the_same_form(api: Api) -> None:
    for path in ("/nope", "/exports/", "/exports//", "/exports/x/nope", "/docs/static/nope"):
        assert _refused(await api.ask("GET", path)) == (404, "E_PATH"), path
    for method, path, allowed in (
        ("DELETE", "/exports", "GET, POST"),
        ("PUT", "/exports/x", "GET"),
        ("PUT", "/session", "DELETE, GET, POST"),
        ("HEAD", "/healthz", "GET"),
        ("POST", "/docs/static/swagger-ui.css", "GET"),
    ):
        answer = await api.ask(method, path)
        assert answer.headers["allow"] == allowed
        if method != "HEAD":
            assert _refused(answer) == (405, "E_METHOD")


async def test_a_wrong_request_is_told_which_field_is_wrong(api: Api) -> None:
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"json": {}}, {"type": "Field required"}),
        (
            {"json": []},
            {"body": "Input should be a valid dictionary or object to extract fields from"},
        ),
        ({"content": b"{", "headers": _AS_JSON}, {"body": "JSON decode error"}),
        ({"json": {**_NEW, "formt": "csv"}}, {"formt": "is not known here"}),
        ({"json": {**_NEW, "uid": "u2"}}, {"uid": "is not known here"}),
        ({"json": {**_NEW, "columns": [1]}}, {"columns.0": "Input should be a valid string"}),
        ({"json": _NEW, "params": {"dryrun": "true"}}, {"dryrun": "is not known here"}),
        (
            {"json": {**_NEW, "params": {**MONTH, "columns": ["day"]}, "columns": ["day"]}},
            {"columns": "is given twice"},
        ),
    ]
    for sent, fields in cases:
        answer = await api.ask("POST", "/exports", **sent)
        assert _refused(answer) == (400, "E_REQUEST"), sent
        assert answer.json()["error"]["fields"] == fields
    listed = await api.ask("GET", "/exports", params={"limit": "0", "status": CANARY})
    assert set(listed.json()["error"]["fields"]) == {"limit", "status"}
    assert CANARY not in listed.text


async def test_a_body_that_is_no_json_is_refused(api: Api, idle_service: Service) -> None:
    for content in (b"{", b"\xff", b'{"a": 1}x', b"[" * 100_000, b"1" * 5000, b"\0"):
        answer = await api.ask("POST", "/exports", content=content, headers=_AS_JSON)
        assert _refused(answer) == (400, "E_REQUEST"), content[:20]
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/xml", "x", ""):
        answer = await api.ask(
            "POST", "/exports", content=json.dumps(_NEW).encode(), headers={"Content-Type": kind}
        )
        assert _refused(answer) == (415, "E_MEDIA_TYPE"), kind
    assert await idle_service.client.list(created_by=None) == []


@protected_by("exports/api/body.py", "if int(declared) > MAX_BODY_BYTES:", instead="if False:")
async def test_a_body_that_is_too_long_is_refused_before_it_is_read(api: Api) -> None:
    long = json.dumps({**_NEW, "type": "x" * MAX_BODY_BYTES}).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(long), 65_536):
            yield long[start : start + 65_536]

    for content in (long, in_pieces(), b"x" * (10 * MAX_BODY_BYTES)):
        answer = await api.ask("POST", "/exports", content=content, headers=_AS_JSON)
        assert _refused(answer) == (413, "E_TOO_LARGE")
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_BODY_TIMEOUT", 0.01)
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(b"POST /exports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_what_is_not_http_has_an_answer_of_the_same_form(api: Api) -> None:
    for sent in (
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \0\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
        b"POST /exports HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /exports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        reader, writer = await asyncio.open_connection(*api.address)
        writer.write(sent)
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(content)["error"]["code"] == "E_REQUEST"
        writer.close()
        await writer.wait_closed()


@protected_by(
    "exports/api/boundary.py", '_log.error("Unexpected error: %s", place)', instead="raise"
)
async def test_an_error_that_nobody_expected_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ValueError(f"{CANARY} http://s3/?X-Amz-Signature=0")

    monkeypatch.setattr(ExportClient, "get", broken)
    answer = await api.ask("GET", "/exports/x")
    assert _refused(answer) == (500, "E_INTERNAL")
    assert CANARY not in answer.text + caplog.text
    assert "ValueError in test_form.py:" in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_log_has_a_line_per_request_without_ids_queries_and_tokens(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="exports.api"):
        await api.ask("GET", f"/exports/{CANARY}", params={"x": CANARY})
        await api.ask("GET", f"/{CANARY}", None)
    lines = [record.getMessage() for record in caplog.records if record.name == "exports.api"]
    assert re.fullmatch(r"GET /exports/\{id\} 400, \d+ ms, u1", lines[0])
    assert re.fullmatch(r"GET \(no such path\) 404, \d+ ms, -", lines[1])


async def test_every_answer_tells_browsers_to_keep_it_to_themselves(api: Api) -> None:
    for path in ("/healthz", "/me", "/exports/x", "/nope", "/openapi.json"):
        headers = (await api.ask("GET", path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_only_pages_of_a_named_origin_see_answers_and_never_with_a_cookie(api: Api) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    right = await api.ask("OPTIONS", "/exports", None, headers={"Origin": _ELSEWHERE, **asked})
    assert right.status_code == 200
    assert right.headers["access-control-allow-origin"] == _ELSEWHERE
    wrong = await api.ask("OPTIONS", "/exports", None, headers={"Origin": "https://x", **asked})
    assert "access-control-allow-origin" not in wrong.headers
    for path in ("/exports/x", "/nope"):
        shown = await api.ask("GET", path, headers={"Origin": _ELSEWHERE})
        assert shown.headers["access-control-allow-origin"] == _ELSEWHERE
        assert "access-control-allow-credentials" not in shown.headers


async def test_the_page_about_the_api_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.ask("GET", "/docs", None)
    named = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    paths = [one or other for one, other in named]
    assert "/openapi.json" in paths
    for path in paths:
        assert path.startswith("/")
        found = await api.ask("GET", path, None)
        assert found.status_code == 200
    assert "://" not in page.text
    assert "connect-src 'self'" in page.headers["content-security-policy"]


async def test_the_openapi_document_names_every_call_and_every_answer(api: Api) -> None:
    document = (await api.ask("GET", "/openapi.json", None)).json()
    assert document["openapi"].startswith("3.1")
    calls = {
        f"{method.upper()} {path}": call
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    }
    assert "HTTPValidationError" not in json.dumps(document)
    assert len({call["operationId"] for call in calls.values()}) == len(calls)
    for name, call in calls.items():
        assert call["summary"], name
        open_to_all = name in {"GET /healthz", "GET /readyz"}
        assert ("security" in call) is not open_to_all, name
        assert ("401" in call["responses"]) is not open_to_all, name
    _check_examples(document)
    [example] = document["components"]["schemas"]["NewExport"]["examples"]
    assert (await api.ask("POST", "/exports?dry_run=true", json=example)).status_code == 200
    for report in load_reports(REPOSITORY / "exports.toml"):
        if report.type != example["type"]:
            assert report.type not in json.dumps(document), "that takes a token"
    links = calls["POST /exports"]["responses"]["201"]["links"]
    assert {link["operationId"] for link in links.values()} <= {
        *(call["operationId"] for call in calls.values()),
        "getPreview",
    }


def _check_examples(document: dict[str, Any]) -> None:
    """Check that each answer of the calls about exports has an example, and what it says."""
    checked: set[str] = set()
    for methods in document["paths"].values():
        for call in methods.values():
            for answer in call["responses"].values():
                for content in answer.get("content", {}).values():
                    if "example" in content and "$ref" in content.get("schema", {}):
                        schema = {**content["schema"], "components": document["components"]}
                        jsonschema.validate(content["example"], schema)
                        checked.add(content["schema"]["$ref"].rpartition("/")[2])
    assert checked >= {"Ok_ExportTask_", "Ok_Created_", "Ok_Page_", "Failed"}
