"""A stand-in for WeChat's API: the documented requests and answers of two calls, on this machine.

It is no WeChat: nothing here has been compared with the real one. From
https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html
"""

import json
import re
import threading
from collections import Counter, deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.support.leaks import CANARY

APPID: Final = "wx0123456789abcdef"
SECRET: Final = f"{CANARY}-app-secret"
TEMPLATE: Final = "done-template"
PAGES: Final = {"", "pages/exports/export"}

_VALUES: Final = {
    "thing": r"[^\x00-\x1f]{1,20}",
    "character_string": r"[!-~]{1,32}",
    "number": r"\d+(\.\d+)?",
    "phrase": r"[\u4e00-\u9fff]{1,5}",
    "time": r"(\d{4}年\d{1,2}月\d{1,2}日 )?\d{2}:\d{2}(:\d{2})?",
    "date": r"\d{4}年\d{1,2}月\d{1,2}日( \d{2}:\d{2})?",
}


@dataclass
class Wechat:
    """The stand-in, and what it has seen.

    Attributes:
        url: Its address.
        granted: How many messages of a template each openid has granted.
        next_answers: What it answers to the next messages, in place of its own answer: an
            `errcode`, or a text that is no JSON.
        expires_in: Of an access token, in seconds.
        tokens: How often an access token was asked for, without and with `force_refresh`.
        messages: The messages that were sent.
    """

    url: str = ""
    granted: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    next_answers: deque[int | str] = field(default_factory=deque[int | str])
    expires_in: int = 7200
    tokens: Counter[bool] = field(default_factory=Counter[bool])
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _number: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def token(self) -> str:
        """The access token that is valid now."""
        return f"{CANARY}-access-token-{self._number}"

    def replace_token(self) -> None:
        """Make the access token invalid, as another program's forced refresh does."""
        self._number += 1

    def stable_token(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        force = asked.get("force_refresh", False)
        self.tokens[force] += 1
        if asked.get("grant_type") != "client_credential":
            return _refused(40002, "invalid grant_type")
        if asked.get("appid") != APPID:
            return _refused(40013, "invalid appid")
        if asked.get("secret") != SECRET:
            return _refused(40125, "invalid appsecret")
        if force:
            self.replace_token()
        return {"access_token": self.token, "expires_in": self.expires_in}

    def send(self, token: str, sent: dict[str, Any]) -> dict[str, Any] | str:
        if self.next_answers:
            answer = self.next_answers.popleft()
            return answer if isinstance(answer, str) else _refused(answer, "as the test wants")
        who = sent["touser"], sent["template_id"]
        wrong = [
            f"data.{name}.value"
            for name, given in sent["data"].items()
            if not re.fullmatch(_VALUES[name.rstrip("0123456789")], given["value"])
        ]
        refusals = [
            (token != self.token, 40001, "invalid credential, access_token is invalid"),
            (not who[0].startswith("o"), 40003, "invalid openid"),
            (not who[1].startswith(TEMPLATE), 40037, "invalid template_id"),
            (sent.get("page", "").partition("?")[0] not in PAGES, 41030, "invalid page"),
            (bool(wrong), 47003, f"argument invalid! {wrong} invalid"),
            (self.granted[who] < 1, 43101, "user refuse to accept the msg"),
        ]
        for is_refused, code, text in refusals:
            if is_refused:
                return _refused(code, text)
        self.granted[who] -= 1
        self.messages.append(sent)
        return {"errcode": 0, "errmsg": "ok", "msgid": len(self.messages)}

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any] | str:
        """Answer a request."""
        asked = urlsplit(path)
        with self._lock:
            if asked.path == "/cgi-bin/stable_token":
                return self.stable_token(body)
            assert asked.path == "/cgi-bin/message/subscribe/send"
            return self.send(parse_qs(asked.query)["access_token"][0], body)


def _refused(code: int, text: str) -> dict[str, Any]:
    return {"errcode": code, "errmsg": f"{text} rid: 64229bc2-48d0e8b1-2008ed9b"}


@contextmanager
def wechat_stand_in() -> Generator[Wechat]:
    """Run the stand-in."""
    found = Wechat()

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = found.answer(self.path, body)
            content = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(502 if isinstance(answer, str) else 200)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
