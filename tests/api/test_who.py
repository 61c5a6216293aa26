"""Who asks: a token or a session says it, and nothing else can."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from exports import tokens
from exports.api.settings import ApiSettings
from exports.api.who import SESSION_COOKIE
from exports.errors import SettingsError
from exports.tokens import TokenStore
from tests.support import jwts
from tests.support.api import OPERATOR, OWNER, Api, open_api
from tests.support.jwts import AUDIENCE, ISSUER, OTHER_KEY, PUBLIC_PEM, SECRET, by_key, by_secret
from tests.support.leaks import CANARY
from tests.support.protections import protected_by
from tests.support.service import Service

_WHO = "exports/api/who.py"
_JWT = {"api_jwt_issuer": ISSUER, "api_jwt_audience": AUDIENCE}


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


class _InALongTime:
    """Takes the place of the module `time`, where nothing is cached any more."""

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() + 60


async def _code(api: Api, token: str, path: str = "/me") -> tuple[int, str]:
    answer = await api.ask("GET", path, None, headers={"Authorization": f"Bearer {token}"})
    found = answer.json()
    return answer.status_code, found["data"]["uid"] if found["ok"] else found["error"]["code"]


async def test_without_a_valid_token_there_is_no_access(api: Api) -> None:
    none_of_these: list[dict[str, Any]] = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic dTE6"},
        {"Authorization": f"Bearer exp_{'0' * 16}_{'A' * 43}"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Cookie": f"{SESSION_COOKIE}=x"},
        {"Cookie": f"{SESSION_COOKIE}=exp_{'0' * 16}_{'A' * 43}"},
        {"X-User": "u1"},
    ]
    for sent in none_of_these:
        for method, path in (("GET", "/me"), ("GET", "/exports"), ("POST", "/exports/x/cancel")):
            answer = await api.ask(method, path, None, headers=sent)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "E_TOKEN"), sent
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_every_call_that_the_document_protects_needs_a_token(api: Api) -> None:
    public: list[str] = []
    for path, methods in api.app.openapi()["paths"].items():
        for method, call in methods.items():
            answer = await api.ask(method.upper(), path, None, json={})
            if (method, path) == ("get", "/session"):
                assert answer.json()["data"] is None  # who is signed in: nobody
            elif call.get("security"):
                assert answer.json()["error"]["code"] == "E_TOKEN", (method, path)
            else:
                public.append(path)
    assert sorted(public) == ["/healthz", "/readyz"]


async def test_a_token_says_who_asks_until_it_ends_or_is_revoked(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.ask("GET", "/me")).json()["data"]["uid"] == OWNER
    assert (await api.ask("GET", "/me", OPERATOR)).json()["data"]["operator"] is True
    text, token = await api.tokens.create("u9", expires_in=timedelta(hours=1))
    assert (await _code(api, text)) == (200, "u9")
    assert token.expires_at is not None
    monkeypatch.setattr(tokens, "now_ms", lambda: token.expires_at)
    assert (await _code(api, text)) == (401, "E_TOKEN")
    monkeypatch.undo()
    monkeypatch.setattr(tokens, "CACHED_FOR", 0.0)
    other, of_other = await api.tokens.create("u9")
    assert (await _code(api, other)) == (200, "u9")
    for _ in range(2):
        await api.tokens.revoke(of_other.id)
        assert (await _code(api, other)) == (401, "E_TOKEN")


async def test_only_a_hash_of_a_token_is_stored_and_no_list_shows_more(api: Api) -> None:
    text, token = await api.tokens.create("u9", expires_in=timedelta(days=1))
    secret = text.removeprefix(f"exp_{token.id}_")
    stored = await api.tokens._tokens.find_one({"_id": token.id})  # noqa: SLF001 -- what is stored
    assert secret not in f"{stored} {await api.tokens.list()} {token!r}"
    indexes = await api.tokens._tokens.index_information()  # noqa: SLF001 -- same
    assert {"key": [("expiresAt", 1)], "expireAfterSeconds": 0}.items() <= indexes[
        "expiresAt_1"
    ].items()


async def test_many_requests_with_one_token_read_the_database_once(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    reads = TokenStore._read  # noqa: SLF001 -- counted

    async def counted(store: TokenStore, token_id: str, text: str) -> object:
        read.append(token_id)
        return await reads(store, token_id, text)

    monkeypatch.setattr(TokenStore, "_read", counted)
    async with open_api(idle_service) as api:
        for _ in range(5):
            assert (await api.ask("GET", "/me")).status_code == 200
    assert len(read) == 1


async def _open_session(api: Api, who: str = OWNER) -> dict[str, str]:
    opened = await api.ask("POST", "/session", who)
    assert opened.status_code == 200
    api.http.cookies.clear()
    cookie = opened.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    assert api.token[who] not in cookie
    return {"Cookie": cookie.partition(";")[0]}


async def test_a_browser_changes_its_token_for_a_cookie_and_gives_it_back(api: Api) -> None:
    cookie = await _open_session(api)
    ours = {**cookie, "Origin": api.url}
    assert (await api.ask("GET", "/me", None, headers=cookie)).json()["data"]["uid"] == OWNER
    # What is in the cookie is no token, and the other way round.
    value = cookie["Cookie"].partition("=")[2]
    assert await _code(api, value) == (401, "E_TOKEN")
    wrong = {"Cookie": f"{SESSION_COOKIE}={api.token[OWNER]}"}
    assert (await api.ask("GET", "/me", None, headers=wrong)).status_code == 401
    # A session makes no other one, which could go on for ever.
    assert (await api.ask("POST", "/session", None, headers=ours)).status_code == 400
    closed = await api.ask("DELETE", "/session", None, headers=ours)
    assert closed.status_code == 200
    assert f'{SESSION_COOKIE}=""' in closed.headers["set-cookie"]
    assert (await api.ask("GET", "/me", None, headers=cookie)).status_code == 401
    assert (await api.ask("GET", "/me")).status_code == 200, "the token is still valid"


async def test_the_page_knows_who_is_signed_in_and_only_an_operator_gets_the_web_ui(
    idle_service: Service,
) -> None:
    namespace = idle_service.connections.temporal.namespace
    async with open_api(idle_service, api_web_ui_url="https://temporal.example.com/ui/") as api:

        async def shown(cookie: dict[str, str]) -> Any:
            answer = await api.ask("GET", "/session", None, headers=cookie)
            assert answer.status_code == 200
            return answer.json()["data"]

        assert await shown({}) is None
        person, operator = [await _open_session(api, who) for who in (OWNER, OPERATOR)]
        assert (await shown(person)).items() >= {
            ("uid", OWNER),
            ("operator", False),
            ("webUi", None),
        }
        workflows = f"https://temporal.example.com/ui/namespaces/{namespace}/workflows"
        assert (await shown(operator))["webUi"] == workflows
        assert (await api.ask("GET", "/me", OPERATOR)).json()["data"]["webUi"] == workflows
        ours = {**operator, "Origin": api.url}
        assert (await api.ask("DELETE", "/session", None, headers=ours)).status_code == 200
        assert await shown(operator) is None
    settings = ApiSettings(api_web_ui_url="https://x")
    assert settings.web_ui("exports/eu") == "https://x/namespaces/exports%2Feu/workflows"


@protected_by("exports/tokens.py", "if token.parent is None or await", instead="if True or await")
async def test_a_session_ends_with_its_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    text, token = await api.tokens.create("u9", expires_in=timedelta(hours=1))
    opened = await api.ask("POST", "/session", None, headers={"Authorization": f"Bearer {text}"})
    assert opened.json()["data"]["expiresAt"] == token.expires_at
    cookie = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
    assert (await api.ask("GET", "/me", None, headers=cookie)).status_code == 200
    monkeypatch.setattr(tokens, "time", _InALongTime)
    await api.tokens.revoke(token.id)
    assert (await api.ask("GET", "/me", None, headers=cookie)).status_code == 401
    # It may be opened while its token is being revoked.
    late, _ = await api.tokens.open_session("u9", operator=False, ends=None, parent=token.id)
    cookie = {"Cookie": f"{SESSION_COOKIE}={late}"}
    assert (await api.ask("GET", "/me", None, headers=cookie)).status_code == 401


@protected_by(_WHO, "if request.method not in _READS:", instead="if False:")
async def test_with_a_cookie_only_a_page_of_our_own_origin_changes_anything(
    api: Api, idle_service: Service
) -> None:
    cookie = await _open_session(api)
    task = await idle_service.create()
    path = f"/exports/{task.id}/cancel"
    others: list[dict[str, str]] = [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": api.url.replace("127.0.0.1", "localhost")},
        {"Origin": f"{api.url}.evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": f"{api.url}/"},
    ]
    for other in others:
        answer = await api.ask("POST", path, None, headers={**cookie, **other})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "E_ORIGIN"), other
    assert (await idle_service.document(task.id))["status"] == "pending"
    # To read is allowed: no page of another origin can see the answer.
    read = {**cookie, "Origin": "https://evil.example"}
    shown = await api.ask("GET", f"/exports/{task.id}", None, headers=read)
    assert shown.status_code == 200
    assert "access-control-allow-origin" not in shown.headers
    for ours in ({"Origin": api.url}, {"Sec-Fetch-Site": "same-origin"}):
        answer = await api.ask("POST", path, None, headers={**cookie, **ours})
        assert answer.status_code == 200


async def test_behind_a_proxy_the_public_origin_counts_and_the_cookie_is_secure(
    idle_service: Service,
) -> None:
    public = "https://exports.example.com"
    async with open_api(idle_service, api_origin=public) as api:
        opened = await api.ask("POST", "/session")
        assert "Secure" in opened.headers["set-cookie"]
        cookie = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
        closed = await api.ask("DELETE", "/session", None, headers={**cookie, "Origin": public})
        assert closed.status_code == 200
    async with open_api(idle_service) as api:
        forwarded = {"X-Forwarded-Proto": "https"}
        opened = await api.ask("POST", "/session", headers=forwarded)
        assert "Secure" in opened.headers["set-cookie"]


def _unsigned(alg: str) -> str:
    parts = ({"alg": alg, "typ": "JWT", "kid": "first"}, jwts.claims())
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b""]).decode()


def _signed_with_the_public_key() -> str:
    # PyJWT refuses to sign like this, so the signature is made by hand.
    head, body, _ = _unsigned("HS256").split(".")
    made = jwt.get_algorithm_by_name("HS256").sign(f"{head}.{body}".encode(), PUBLIC_PEM)
    return f"{head}.{body}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


_WRONG: dict[str, Callable[[Callable[..., str]], str]] = {
    "expired": lambda sign: sign(exp=jwts.claims()["exp"] - 3600),
    "no end": lambda sign: sign(exp=None),
    "not yet valid": lambda sign: sign(nbf=jwts.claims()["exp"] + 3600),
    "another issuer": lambda sign: sign(iss="https://other.example"),
    "no issuer": lambda sign: sign(iss=None),
    "another audience": lambda sign: sign(aud="shop"),
    "no audience": lambda sign: sign(aud=None),
    "no uid": lambda sign: sign(sub=None),
    "a blank uid": lambda sign: sign(sub=" "),
    "a uid that is too long": lambda sign: sign(sub="u" * 201),
    "a uid with a NUL": lambda sign: sign(sub="u1\0"),
    "a uid with half a character": lambda sign: sign(sub="u1\ud800"),
    "no signature": lambda _: _unsigned("none"),
    "no signature, in capitals": lambda _: _unsigned("NONE"),
    "the public key as a secret": lambda _: _signed_with_the_public_key(),
    "another key": lambda _: by_key(OTHER_KEY),
    "an unknown kid": lambda _: by_key(OTHER_KEY, kid="second"),
    "a kid that is a path": lambda _: by_key(OTHER_KEY, kid="../../dev/null"),
    "no kid": lambda _: by_key(kid=None),
    "rubbish": lambda _: "a.b.c",
    "a deep header": lambda _: f"{base64.urlsafe_b64encode(b'[' * 6000).decode()}.e30.",
    "a changed body": lambda sign: sign().replace(".", ".e30", 1),
}


@protected_by(
    "exports/api/jwts.py", 'options={"require": ["exp", "iss", "aud"],', instead="options={"
)
async def test_a_jwt_is_refused_unless_everything_in_it_is_right(idle_service: Service) -> None:
    with jwts.provider() as provider:
        by_url = {"api_jwt_jwks_url": provider.url}
        by_text = {"api_jwt_secret": SecretStr(SECRET)}
        for settings, sign in ((by_url, by_key), (by_text, by_secret)):
            async with open_api(idle_service, **settings, **_JWT) as api:
                assert await _code(api, sign()) == (200, "u1")
                assert await _code(api, sign(aud=["shop", AUDIENCE])) == (200, "u1")
                for name, wrong in _WRONG.items():
                    assert await _code(api, wrong(sign)) == (401, "E_TOKEN"), name
                # Tokens of our own are valid as well.
                assert (await api.ask("GET", "/me")).status_code == 200
        assert provider.asked == 1, "an unknown kid does not ask the provider again and again"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jwt_secret": SECRET}, "EXPORTS_API_JWT_ISSUER and EXPORTS_API_JWT_AUDIENCE must be set"),
        ({"jwt_secret": CANARY}, "EXPORTS_API_JWT_SECRET: must have at least 32 bytes"),
        ({"jwt_jwks_url": "file:///etc/keys"}, "EXPORTS_API_JWT_JWKS_URL: must begin with https"),
        ({"jwt_jwks_url": "https://x", "jwt_secret": SECRET}, "only one of EXPORTS_API_JWT_SECRET"),
        ({"cors_origins": "*"}, "must be https://host or http://host:port"),
        ({"origin": "exports.example.com"}, "EXPORTS_API_ORIGIN: must be https://host"),
        ({"listen": "8000"}, "EXPORTS_API_LISTEN: must be host:port"),
        ({"rate": "0"}, "EXPORTS_API_RATE: must be more than 0"),
    ],
)
def test_it_does_not_start_with_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"EXPORTS_API_{name.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        ApiSettings.load()
    assert said in refused.value.msg
    assert CANARY not in refused.value.msg


async def test_a_jwt_without_settings_for_it_is_refused(api: Api) -> None:
    assert await _code(api, by_secret()) == (401, "E_TOKEN")


async def test_a_key_that_a_jwt_needs_is_fetched_again_when_the_provider_is_back(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exports.api.jwts._PAUSE_AFTER_FAILURE", 1000.0)
    with jwts.provider() as provider:
        provider.status = 503
        async with open_api(idle_service, api_jwt_jwks_url=provider.url, **_JWT) as api:
            codes = await asyncio.gather(*(_code(api, by_key()) for _ in range(8)))
            assert set(codes) == {(503, "E_UNREACHABLE")}
            assert provider.asked == 1
            provider.status = 200
            monkeypatch.setattr("exports.api.jwts._PAUSE_AFTER_FAILURE", 0.0)
            assert await _code(api, by_key()) == (200, "u1")


async def test_a_claim_makes_an_operator_only_if_it_says_so(idle_service: Service) -> None:
    makes_one = ["admin", "exports admin", ["user", "admin"]]
    makes_none = [None, "user", "administrator", [["admin"]], {"admin": True}, True, 7]
    settings = {"api_jwt_operator_claim": "roles", "api_jwt_operator_value": "admin"}
    async with open_api(
        idle_service, api_jwt_secret=SecretStr(SECRET), api_jwt_uid_claim="uid", **_JWT, **settings
    ) as api:
        for claim in (*makes_one, *makes_none):
            token = by_secret(roles=claim, uid="u7")
            answer = await api.ask("GET", "/me", None, headers={"Authorization": f"Bearer {token}"})
            assert answer.json()["data"]["operator"] is (claim in makes_one), claim
            assert answer.json()["data"]["uid"] == "u7"


async def test_one_person_who_asks_too_often_waits_and_others_do_not(
    idle_service: Service,
) -> None:
    async with open_api(idle_service, api_rate=5) as api:
        answers = [await api.ask("GET", "/me") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        refused = answers[-1]
        assert refused.json()["error"]["code"] == "E_RATE"
        assert refused.json()["error"]["retryable"] is True
        assert 0 < int(refused.headers["retry-after"]) <= 12
        assert (await api.ask("GET", "/me", OPERATOR)).status_code == 200
        assert (await api.ask("GET", "/healthz", None)).status_code == 200
