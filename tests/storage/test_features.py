"""A worker does not start with an object store that can't do what it needs."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exports.errors import StoreRefusedError
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.storage.features import check_features


class _StoreWithoutParts(BaseHTTPRequestHandler):
    """A stand-in of a store that only knows whole objects."""

    def do_POST(self) -> None:
        body = b"<Error><Code>NotImplemented</Code></Error>"
        self.send_response(501)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        del format, args


@pytest.fixture
def without_parts() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _StoreWithoutParts) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_store_without_uploads_in_parts_is_refused(
    settings: Settings, without_parts: str
) -> None:
    with pytest.raises(StoreRefusedError, match="does not support a request that this service"):
        check_features(settings.model_copy(update={"s3_endpoint_url": without_parts}))


def test_the_check_leaves_nothing_in_the_bucket(settings: Settings) -> None:
    check_features(settings)
    store = ObjectStore(settings)
    try:
        assert not [*store.objects(""), *store.open_uploads("")]
    finally:
        store.close()
