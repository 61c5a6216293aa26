"""Downloads a finished file through its presigned link: the whole file, checked, or nothing."""

import hashlib
import os
import secrets
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from exports.errors import DownloadError, RequestError, UnreachableError
from exports.tasks.task import ExportTask

_CHUNK: Final = 1024 * 1024  # bytes
_TIMEOUT: Final = 30.0  # seconds without an answer


def check_destination(path: str) -> Path:
    """Return the real path of `path` if a file can be written there.

    Args:
        path: A file, which is replaced if it exists, or a directory. A path that ends with a slash
            is a directory, and must exist.

    Raises:
        RequestError: It is not a file or a directory (but a device, for example), or its directory
            does not exist or is not writable.
    """
    real = Path(os.path.realpath(Path(path).expanduser()))
    if real.exists() and not real.is_file() and not real.is_dir():
        raise RequestError("The output must be a file or a directory.")
    directory = real if real.is_dir() or path.endswith(("/", os.sep)) else real.parent
    if not directory.is_dir():
        raise RequestError("The directory of the output does not exist.")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise RequestError("The directory of the output can't be written to.")
    return real


def download(task: ExportTask, destination: Path, *, ca_bundle: Path | None = None) -> Path:
    """Download the file of a task that is done.

    The file gets its name only when it is complete and its SHA-256 is the task's. Until then it has
    a temporary name in the same directory; a temporary file is removed in any case.

    Args:
        task: The task, with its link.
        destination: A file or directory, as `check_destination` returned it.
        ca_bundle: Certificates (PEM) to trust in addition to the machine's.

    Returns:
        The path of the file.

    Raises:
        DownloadError: The task has no file, the link has expired, the file arrived damaged, or it
            can't be written.
        UnreachableError: The object store can't be reached; says at which address.
    """
    if task.download_url is None or task.sha256 is None:
        raise DownloadError("The export has no file to download.")
    if destination.is_dir():
        destination /= Path(task.file_name or task.id).name
    partial = destination.with_name(f".{secrets.token_hex(8)}.part")
    try:
        digest = _save(task.download_url, partial, _trusting(ca_bundle))
        if digest != task.sha256:
            raise DownloadError(
                "The file arrived damaged: its SHA-256 is not the task's. Download it again."
            )
        partial.replace(destination)
    except OSError as error:
        raise DownloadError(f"The file can't be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return destination


def _trusting(ca_bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(ca_bundle)
    return context


def _save(url: str, path: Path, tls: ssl.SSLContext) -> str:
    digest = hashlib.sha256()
    with _opened(url, tls) as pieces, path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _opened(url: str, tls: ssl.SSLContext) -> Generator[Iterator[bytes]]:
    address = urlsplit(url)
    if address.scheme not in ("http", "https"):
        raise DownloadError("The link is not an http or https address.")
    with _translated(address.netloc):
        response = cast("HTTPResponse", urlopen(url, timeout=_TIMEOUT, context=tls))  # noqa: S310 -- the scheme is checked above
    with response:
        yield _pieces(response, address.netloc)


def _pieces(response: HTTPResponse, host: str) -> Iterator[bytes]:
    while True:
        with _translated(host):
            piece = response.read(_CHUNK)
        if not piece:
            return
        yield piece


@contextmanager
def _translated(host: str) -> Generator[None]:
    # Separate from writing, which raises OSError too, for other reasons.
    try:
        yield
    except HTTPError as error:
        error.close()
        raise DownloadError(
            f"The object store refused the link (HTTP {error.code}); it may have expired."
        ) from None
    except (URLError, HTTPException, OSError):
        raise UnreachableError(f"The object store can't be reached at {host}.") from None
