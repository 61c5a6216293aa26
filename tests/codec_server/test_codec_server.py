"""People with the token can read encrypted payloads in the Web UI and the CLI; others can't."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload

from dev import binaries
from exports.cli.app import app
from exports.cli.boundary import guarded
from exports.codec_server.app import MAX_BODY_BYTES
from exports.codec_server.settings import CodecSettings
from exports.encryption.codec import EncryptionCodec
from exports.encryption.keys import EncryptionKeys
from exports.errors import SettingsError
from exports.settings import Settings
from tests.support import codec_server
from tests.support.codec_server import TOKEN, CodecServer
from tests.support.leaks import CANARY
from tests.support.protections import protected_by
from tests.support.service import Service, insert_orders, open_service, working

_KEY = f"new:{base64.b64encode(b'n' * 32).decode()}"
_OLD = f"old:{base64.b64encode(b'o' * 32).decode()}"
_LOST = f"lost:{base64.b64encode(b'l' * 32).decode()}"
_UI = "http://localhost:8080"
_SERVER = "exports/codec_server/app.py"


@pytest.fixture(scope="module")
def server() -> Iterator[CodecServer]:
    with codec_server.running(
        EXPORTS_ENCRYPTION_KEY=f"{_KEY},{_OLD}", EXPORTS_CODEC_ORIGINS=_UI
    ) as (found, log):
        yield found
    assert not any("Traceback" in line for line in log)
    assert not any(CANARY in line for line in log)


def _encrypted(text: str, keys: str = _KEY) -> dict[str, Any]:
    codec = EncryptionCodec(EncryptionKeys.of(SecretStr(keys)))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(text).encode())
    [sealed] = asyncio.run(codec.encode([plain]))
    metadata = {name: base64.b64encode(value).decode() for name, value in sealed.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(sealed.data).decode()}


def _texts(answer: codec_server.Answer) -> list[str]:
    assert answer.status == 200
    return [json.loads(base64.b64decode(one["data"])) for one in answer.json["payloads"]]


def test_payloads_under_any_of_the_keys_come_back_readable_and_in_order(
    server: CodecServer,
) -> None:
    given = [_encrypted("一"), _encrypted("two", _OLD), _encrypted("three")]
    assert _texts(server.decode({"payloads": given}, x_namespace="default")) == [
        "一",
        "two",
        "three",
    ]
    assert server.decode({"payloads": []}).json == {"payloads": []}


def test_what_it_encodes_it_can_decode(server: CodecServer) -> None:
    plain = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "InRleHQi"}]}
    sealed = server.ask(
        "POST", "/encode", json.dumps(plain).encode(), authorization=f"Bearer {TOKEN}"
    )
    assert b"InRleHQi" not in sealed.body
    assert server.decode(sealed.json).json == plain


@protected_by(_SERVER, "if not request.session.get(_SIGNED_IN):", instead="if False:")
@pytest.mark.parametrize("path", ["/decode", "/encode"])
@pytest.mark.parametrize(
    "credentials",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff\xff"],
)
def test_a_request_without_the_token_is_refused(
    server: CodecServer, path: str, credentials: str
) -> None:
    body = json.dumps({"payloads": [_encrypted("secret")]}).encode()
    for headers in ({"authorization": credentials}, {"cookie": "exports_codec=eyJpbiI6dHJ1ZX0="}):
        answer = server.ask("POST", path, body, **headers)
        assert (answer.status, answer.code) == (401, "E_CODEC_ACCESS")


def test_signing_in_gives_a_cookie_for_the_right_token_only(
    server: CodecServer,
) -> None:
    page = server.ask("GET", "/")
    assert b'type="password"' in page.body
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    wrong = server.ask("POST", "/sign-in", b"token=wrong")
    assert wrong.status == 401
    assert "set-cookie" not in wrong.headers
    right = server.ask("POST", "/sign-in", f"token={TOKEN}".encode())
    cookie = right.headers["set-cookie"]
    assert right.status == 303
    for part in ("httponly", "samesite=strict", "max-age=43200"):
        assert part in cookie.lower()
    assert TOKEN not in cookie
    assert CANARY not in base64.b64decode(cookie.split("=")[1].split(".")[0] + "==").decode()
    body = json.dumps({"payloads": [_encrypted("read")]}).encode()
    answer = server.ask("POST", "/decode", body, cookie=cookie.split(";")[0], origin=_UI)
    assert _texts(answer) == ["read"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-origin"] == _UI


@pytest.mark.parametrize("origin", ["http://localhost:8081", "https://evil.example", "null", "*"])
def test_a_page_of_another_origin_is_refused_even_with_the_token(
    server: CodecServer, origin: str
) -> None:
    answer = server.decode({"payloads": [_encrypted("secret")]}, origin=origin)
    assert (answer.status, answer.code) == (401, "E_CODEC_ACCESS")
    assert answer.headers.get("access-control-allow-origin") is None


def test_only_a_configured_origin_passes_the_preflight(server: CodecServer) -> None:
    asked = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "authorization,content-type,x-namespace",
    }
    right = server.ask("OPTIONS", "/decode", None, origin=_UI, **asked)
    assert right.status == 200
    assert right.headers["access-control-allow-origin"] == _UI
    assert right.headers["access-control-allow-credentials"] == "true"
    allowed = right.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-namespace"} <= set(allowed.split(", "))
    wrong = server.ask("OPTIONS", "/decode", None, origin="https://evil.example", **asked)
    assert wrong.status == 400
    assert "access-control-allow-origin" not in wrong.headers


def test_a_payload_without_its_key_is_an_error_that_names_the_key(server: CodecServer) -> None:
    answer = server.decode({"payloads": [_encrypted("gone", _LOST)]})
    assert (answer.status, answer.code) == (422, "E_ENCRYPTION_KEY")
    assert "'lost'" in answer.json["error"]["msg"]


def test_a_body_that_is_too_long_is_refused(server: CodecServer) -> None:
    answer = server.decode({"payloads": [{"data": "A" * (MAX_BODY_BYTES + 1)}]})
    assert (answer.status, answer.code) == (413, "E_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/decode", 405), ("PUT", "/encode", 405), ("GET", "/x", 404), ("POST", "/../", 404)],
)
def test_an_unknown_path_or_method_has_an_error_in_json(
    server: CodecServer, method: str, path: str, status: int
) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.code) == (status, "E_REQUEST")
    assert server.ask("GET", "/healthz").json == {"ok": True}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["payloads", "metadata", "data", "encoding", "x"]), inner)
    ),
    max_leaves=8,
)


@examples(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=99)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | _JSON.map(lambda value: json.dumps({"payloads": [value]}).encode())
    | st.integers(1, 9999).map(lambda depth: b"[" * depth)
    | st.just(
        json.dumps({"payloads": [{"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}}]}).encode()
    )
)
def test_any_body_is_answered_in_json_without_a_server_error(
    server: CodecServer, body: bytes
) -> None:
    answer = server.ask("POST", "/decode", body, authorization=f"Bearer {TOKEN}")
    assert answer.status in {200, 400, 422}
    if answer.status != 200:
        assert answer.code in {"E_REQUEST", "E_ENCRYPTION_KEY"}
        assert len(answer.json["error"]["msg"]) < 1000


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENCRYPTION_KEY", "", "These settings are needed and not set: EXPORTS_ENCRYPTION_KEY."),
        ("CODEC_TOKEN", "", "These settings are needed and not set: EXPORTS_CODEC_TOKEN."),
        ("CODEC_TOKEN", f"{CANARY}-short", "EXPORTS_CODEC_TOKEN: must have at least 24 ASCII"),
        (
            "CODEC_TOKEN",
            f"{CANARY} with spaces in it, and long",
            "EXPORTS_CODEC_TOKEN: must have at least",
        ),
        ("CODEC_ORIGINS", "*", "must be https://host or http://host:port"),
        ("CODEC_ORIGINS", f"{_UI},http://localhost:8080/path", "must be https://host"),
        ("CODEC_LISTEN", "8088", "EXPORTS_CODEC_LISTEN: must be host:port"),
        ("CODEC_LISTEN", "localhost:99999", "EXPORTS_CODEC_LISTEN: must be host:port"),
    ],
)
def test_it_does_not_start_with_missing_or_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("EXPORTS_ENCRYPTION_KEY", _KEY)
    monkeypatch.setenv("EXPORTS_CODEC_TOKEN", TOKEN)
    monkeypatch.setenv(f"EXPORTS_{name}", value)
    with pytest.raises(SettingsError) as refused:
        CodecSettings.load()
    assert said in refused.value.msg
    assert CANARY not in refused.value.msg


@pytest.mark.parametrize("package", ["itsdangerous", "starlette", "uvicorn"])
def test_without_its_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for module in [name for name in sys.modules if name.startswith(("starlette.", "uvicorn."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "exports.codec_server.app")
    assert guarded(app, ["codec-server"]) == 2
    assert capsys.readouterr().err == (
        f"E_SETTINGS: The codec server needs the package {package}, which is not installed: pip "
        "install 'temporal-exports[codec]'.\n"
    )


def test_it_listens_on_the_loopback_address_by_default() -> None:
    stated = CodecSettings(encryption_key=SecretStr(_KEY), codec_token=SecretStr(TOKEN))
    assert stated.codec_listen == "127.0.0.1:8088"
    assert stated.codec_origins == ()
    assert CANARY not in f"{stated!r} {stated.model_dump()} {stated.model_dump_json()}"


async def _shown(service: Service, task_id: str, *also: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(binaries.temporal(), "workflow", "show", "--output", "json"),
        *("--workflow-id", service.run_of(task_id).id),
        *("--address", service.temporal.service_client.config.target_host, *also),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    # The command prints payloads in base64, whether they are decrypted or not.
    found = re.findall(r'"data": "([^"]*)"', out.decode())
    return "".join(base64.b64decode(data).decode(errors="replace") for data in found)


async def test_the_temporal_command_shows_payloads_only_with_this_server(
    settings: Settings, temporal_address: str, server: CodecServer
) -> None:
    keys = settings.model_copy(update={"encryption_key": SecretStr(_OLD)})
    async with open_service(keys, temporal_address) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
        await service.run_of(task.id).result()
        endpoint = ("--codec-endpoint", f"http://{server.address}")
        readable, opaque = await asyncio.gather(
            _shown(service, task.id, *endpoint, "--codec-auth", f"Bearer {TOKEN}"),
            _shown(service, task.id),
        )
    assert task.file_name is not None
    assert task.file_name in readable
    assert task.file_name not in opaque
