"""Asks WeChat: fetches the access token, and sends a subscription message.

https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import httpx2

from exports.message_settings import MessageSettings
from exports.messages.wording import one_line

SENT: Final = 0
TOKEN_ENDED: Final = frozenset({40001, 40014, 42001})
"""The access token is wrong or has ended."""

_TOKEN_PATH: Final = "/cgi-bin/stable_token"  # noqa: S105 -- a path
_SEND_PATH: Final = "/cgi-bin/message/subscribe/send"
_TIMEOUT: Final = 10.0  # seconds of one request
# WeChat gives a new token when less than this is left of the old one. Both are valid then.
_HANDED_OVER_BEFORE_END: Final = 300.0
_MAX_ANSWER: Final = 1024  # characters


def _has_no_token(record: logging.LogRecord) -> bool:
    return "access_token" not in record.getMessage()


# The token is in the address, and the HTTP client logs the addresses of all requests.
logging.getLogger("httpx2").addFilter(_has_no_token)


class Answer(NamedTuple):
    """What WeChat answered.

    Attributes:
        code: Its `errcode`; None if there was none.
        text: The first 1,024 characters, without the access token.
        status: The HTTP status.
    """

    code: int | None
    text: str
    status: int


class WechatApi:
    """Sends subscription messages.

    Args:
        settings: The mini-program, its secret, and the address of WeChat's API.
    """

    def __init__(self, settings: MessageSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context()
        self._one_at_a_time = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def send(self, message: Mapping[str, Any]) -> Answer:
        """Send a message, once more with a new access token if WeChat says that it has ended.

        Raises:
            HTTPError: Of httpx2: WeChat can't be reached, or did not answer in time.
        """
        async with httpx2.AsyncClient(
            base_url=self._settings.wechat_base_url, verify=self._tls, timeout=_TIMEOUT
        ) as http:
            refused = await self._fetch_token(http)
            token = self._token
            if refused is None:
                refused = await _post(http, _SEND_PATH, message, token)
            if refused.code in TOKEN_ENDED and token:
                refused = await self._fetch_token(http, instead_of=token) or await _post(
                    http, _SEND_PATH, message, self._token
                )
            return refused

    async def _fetch_token(
        self, http: httpx2.AsyncClient, *, instead_of: str | None = None
    ) -> Answer | None:
        """Fetch the access token if none is known that is valid; return why there is none.

        Args:
            http: The client.
            instead_of: A token that WeChat refuses. Another worker may have replaced it, so that
                the usual request gives a new one. Only if it does not, a refresh is enforced:
                WeChat allows 20 a day, and each ends the token of all other workers.
        """
        async with self._one_at_a_time:
            if self._token != instead_of and time.monotonic() < self._until:
                return None
            refused = await self._ask_for_token(http, force=False)
            if refused is None and self._token == instead_of:
                refused = await self._ask_for_token(http, force=True)
            return refused

    async def _ask_for_token(self, http: httpx2.AsyncClient, *, force: bool) -> Answer | None:
        settings = self._settings
        secret = settings.wechat_secret
        request = {
            "grant_type": "client_credential",
            "appid": settings.wechat_appid,
            "secret": "" if secret is None else secret.get_secret_value(),
            "force_refresh": force,
        }
        answer = await http.post(_TOKEN_PATH, json=request)
        found = _json(answer)
        token, seconds = found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(seconds, int):
            self._token = ""
            return _answer(answer, found)
        self._token = token
        self._until = time.monotonic() + seconds - _HANDED_OVER_BEFORE_END
        return None


async def _post(
    http: httpx2.AsyncClient, path: str, message: Mapping[str, Any], token: str
) -> Answer:
    answer = await http.post(path, params={"access_token": token}, json=message)
    return _answer(answer, _json(answer), token)


def _json(answer: httpx2.Response) -> Mapping[str, Any]:
    try:
        found: object = answer.json()
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _answer(answer: httpx2.Response, found: Mapping[str, Any], token: str = "") -> Answer:
    code = found.get("errcode")
    text = answer.text.replace(token, "…") if token else answer.text
    return Answer(
        code=code if isinstance(code, int) else None,
        text=one_line(text)[:_MAX_ANSWER],
        status=answer.status_code,
    )
