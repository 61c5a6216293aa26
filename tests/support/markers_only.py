"""A stand-in for an object store that lists by markers only, as Tencent COS documents it.

It does not know the parameter `list-type`, so it has no tokens: a page says `NextMarker`.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

PAGE = 1000
_KEY = (
    "<Contents><Key>{}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
    "<Size>1</Size></Contents>"
)


def _page(keys: Sequence[str], asked: dict[str, str]) -> str:
    after = [
        key
        for key in keys
        if key.startswith(asked.get("prefix", "")) and key > asked.get("marker", "")
    ]
    page = after[: min(PAGE, int(asked.get("max-keys", PAGE)))]
    more = len(after) > len(page)
    written = quote if asked.get("encoding-type") == "url" else str
    listed = "".join(_KEY.format(written(key)) for key in page)
    marker = f"<NextMarker>{written(page[-1])}</NextMarker>" if more else ""
    encoding = "<EncodingType>url</EncodingType>" if written is quote else ""
    return (
        f"<ListBucketResult>{encoding}<IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{marker}{listed}</ListBucketResult>"
    )


@contextmanager
def markers_only(keys: Sequence[str]) -> Generator[str]:
    """Run the stand-in with these keys in its bucket, and yield its address."""
    found = sorted(keys)

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = _page(found, {name: value for name, [value] in query.items()}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
