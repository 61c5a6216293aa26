"""A file is downloaded whole and checked, or not at all."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from exports.download import check_destination, download
from exports.errors import DownloadError, RequestError, UnreachableError
from exports.tasks.task import ExportTask

CONTENT = b"day,orders\r\n2026-10-01,3\r\n" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Store(BaseHTTPRequestHandler):
    """An object store with a good object, and others that arrive damaged."""

    def do_GET(self) -> None:
        status = 403 if self.path.startswith("/refused") else 200
        content = CONTENT[:-1] + b"x" if self.path.startswith("/damaged") else CONTENT
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(ConnectionError):  # the client may close the connection before the end
            self.wfile.write(content[:-1] if self.path.startswith("/cut-off") else content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        pass


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def finished(url: str | None, **changes: object) -> ExportTask:
    values = {"id": "t1", "status": "done", "fileName": "sales-2026-10.csv", "sha256": SHA256}
    return ExportTask.model_validate({**values, "downloadUrl": url, **changes})


def test_a_file_is_put_under_the_name_that_was_asked_for(store: str, tmp_path: Path) -> None:
    target = tmp_path / "mine.csv"
    target.write_text("what was here before")
    assert download(finished(f"{store}/good"), check_destination(str(target))) == target
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("slash", ["", "/"])
def test_in_a_directory_a_file_gets_its_own_name(store: str, tmp_path: Path, slash: str) -> None:
    path = download(finished(f"{store}/good"), check_destination(f"{tmp_path}{slash}"))
    assert path == tmp_path / "sales-2026-10.csv"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../../evil.csv", "..", "/etc/passwd", "a\0b", ""])
def test_the_name_in_a_document_can_not_lead_out_of_the_directory(
    store: str, tmp_path: Path, name: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = download(finished(f"{store}/good", fileName=name), inside)
    assert path == inside / "t1", "the id of the task is in place of the name"


def test_a_link_to_a_file_stays_a_link(store: str, tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.touch()
    link.symlink_to(target)
    download(finished(f"{store}/good"), check_destination(str(link)))
    assert link.is_symlink()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "about"),
    [("damaged", "SHA-256"), ("cut-off", "SHA-256"), ("refused", "HTTP 403")],
)
def test_a_file_that_does_not_arrive_whole_leaves_the_old_one_as_it_was(
    store: str, tmp_path: Path, path: str, about: str
) -> None:
    target = tmp_path / "mine.csv"
    target.write_text("what was here before")
    with pytest.raises(DownloadError, match=about):
        download(finished(f"{store}/{path}?X-Amz-Signature=secret"), target)
    assert target.read_text() == "what was here before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_store_that_can_not_be_reached_is_named_without_the_signature_of_the_link(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnreachableError) as raised:
        download(finished("http://127.0.0.1:1/key?X-Amz-Signature=secret"), tmp_path)
    assert raised.value.msg == "The object store can't be reached at 127.0.0.1:1."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:1", None])
def test_only_http_and_https_addresses_are_downloaded(tmp_path: Path, url: str | None) -> None:
    with pytest.raises(DownloadError):
        download(finished(url), tmp_path)


def test_a_file_without_a_checksum_is_not_trusted(store: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        download(finished(f"{store}/good", sha256=None), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["missing/file.csv", "missing/", "file/below.csv"])
def test_a_path_where_no_file_can_be_written_is_refused_before_the_download(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError):
        check_destination(str(tmp_path / path) + ("/" if path.endswith("/") else ""))
