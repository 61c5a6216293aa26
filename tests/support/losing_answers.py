"""A proxy to the object store that loses the first answer to CompleteMultipartUpload.

The second one is told NoSuchUpload, as on Tencent COS and MinIO: to them, an upload that is
completed does not exist any more. The embedded store would answer as if it were the first.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_NO_SUCH_UPLOAD = b"<Error><Code>NoSuchUpload</Code><Message>Gone</Message></Error>"


class Lost:
    """What the proxy has lost.

    Attributes:
        url: The address of the proxy.
        arrives: Whether the first request reaches the store; if not, it is lost as well.
        completed: How many times the store was asked to complete an upload.
        asked: The body of the last such request.
    """

    def __init__(self, *, arrives: bool) -> None:
        self.url = ""
        self.arrives = arrives
        self.completed = 0
        self.asked = b""


@contextmanager
def losing_answers(store: str, *, arrives: bool = True) -> Generator[Lost]:
    """Run a proxy to a store.

    Args:
        store: The address of the store.
        arrives: Whether the request reaches the store whose answer is lost.
    """
    lost = Lost(arrives=arrives)

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            completes = self.command == "POST" and "uploadId=" in self.path
            if completes:
                lost.completed += 1
                lost.asked = body
            if completes and lost.completed > 1:
                self._answer(404, _NO_SUCH_UPLOAD, {})
            elif completes:
                if lost.arrives:
                    self._asked(body)
                self.close_connection = True
            else:
                self._answer(*self._asked(body))

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay  # noqa: N815 -- the names in the base class

        def _asked(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
            connection = HTTPConnection(urlsplit(store).netloc)
            headers = {name: value for name, value in self.headers.items() if name != "Expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            found = answer.status, answer.read(), dict(answer.headers)
            connection.close()
            return found

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            length = headers.get("Content-Length", str(len(content)))
            for name, value in {**headers, "Content-Length": length}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        lost.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield lost
        finally:
            server.shutdown()
            thread.join()
