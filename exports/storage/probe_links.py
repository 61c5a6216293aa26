"""The steps of a probe that follow presigned links, as a person's browser does."""

import re
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal, NamedTuple

import urllib3
from urllib3.exceptions import HTTPError

from exports.clock import MAX_SKEW_MS, as_seconds, now_ms
from exports.errors import UnreachableError
from exports.settings import Settings
from exports.storage.bucket import Link, ObjectStore
from exports.storage.s3 import content_disposition

Outcome = Literal["ok", "warning", "failed"]


class Found(NamedTuple):
    """What a step found: see `ProbeResult`."""

    outcome: Outcome
    what: str
    mend: str | None = None


_PUBLIC: Final = "EXPORTS_S3_PUBLIC_ENDPOINT_URL"
_ADDRESS: Final = f"Let {_PUBLIC} be the address at which clients reach the bucket."
_TIMEOUT: Final = urllib3.Timeout(connect=4, read=30)  # seconds
_RETRIES: Final = urllib3.Retry(0, redirect=False)
_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_WHOLE: Final = 200
_PART: Final = 206
_REFUSALS: Final = range(400, 500)

Step = Callable[[], Found | None]
"""A step; it returns None if it was not tried, because an earlier one did not succeed."""


class LinkSteps:
    """The steps. Nothing that they return or raise holds a link or a part of one.

    Args:
        settings: Those of a worker.
        store: The bucket.
        data: The content of the file that is linked.

    Attributes:
        file_name: The name of the file.
        key: Its key, when it has been written.

    Raises:
        UnreachableError: By each step: the address of the link can't be reached from here.
    """

    def __init__(self, settings: Settings, store: ObjectStore, data: bytes) -> None:
        self.file_name: Final = "Oktober 十月 2026.csv"
        self.key = ""
        self._settings = settings
        self._store = store
        self._data = data
        self._followed = False

    def link(self) -> Found | None:
        """Follow a link."""
        if not self.key:
            return None
        try:
            answer = self._get(self._link().url)
        except UnreachableError as error:
            if self._settings.s3_public_endpoint_url is None:
                raise
            return Found("warning", error.msg, "Try a link of an export where its readers are.")
        self._followed = answer.status == _WHOLE
        if not self._followed:
            return Found("failed", f"A link is refused ({_reason(answer)}).", self._mend(answer))
        if answer.data != self._data:
            return Found("failed", "A link does not lead to the bytes of its file.", _ADDRESS)
        if answer.headers.get("Content-Disposition") != content_disposition(self.file_name):
            return Found(
                "warning",
                "A link downloads its file, but not under its name.",
                f"Let {_PUBLIC} be a domain of your own for the bucket, and let no proxy change "
                "the header Content-Disposition.",
            )
        return Found("ok", "A link downloads its file under its name.")

    def range(self) -> Found | None:
        """Ask for some bytes by a link, as a download does that goes on where it was cut off."""
        if not self._followed:
            return None
        answer = self._get(self._link().url, {"Range": "bytes=10-19"})
        if answer.status == _WHOLE and answer.data == self._data:
            return Found(
                "warning", "A link gives the whole file only: a download can't go on in the middle."
            )
        if answer.status != _PART or answer.data != self._data[10:20]:
            return Found("failed", f"A link gives no range ({_reason(answer)}).")
        return Found("ok", "A link gives a range of its file.")

    def unsigned(self) -> Found | None:
        """Follow a link without its signature."""
        if not self._followed:
            return None
        answer = self._get(self._link().url.partition("?")[0])
        if answer.status not in _REFUSALS:
            return Found(
                "failed",
                "A file can be read without a signature: the bucket is public.",
                "Make the bucket private: see docs/access.md.",
            )
        return Found("ok", "Without a signature, a file can't be read.")

    def ended(self) -> Found | None:
        """Follow a link that has ended."""
        if not self._followed:
            return None
        link = self._link(timedelta(seconds=1))
        time.sleep(as_seconds(max(0, link.expires_at - now_ms())) + 1)
        # It ends by the clock of the store, which may be behind this one.
        while (leads := self._get(link.url).status not in _REFUSALS) and (
            now_ms() < link.expires_at + MAX_SKEW_MS
        ):
            time.sleep(1)
        if leads:
            return Found(
                "failed",
                "A link that has ended still leads to its file.",
                f"Let no proxy or CDN at {_PUBLIC} answer without asking the store.",
            )
        return Found("ok", "A link that has ended is refused.")

    def _link(self, ttl: timedelta = timedelta(minutes=1)) -> Link:
        return self._store.link(self.key, file_name=self.file_name, ttl=ttl)

    def _mend(self, answer: urllib3.BaseHTTPResponse) -> str:
        region = answer.headers.get("x-amz-bucket-region", "")
        if _REGION.fullmatch(region) and region != self._settings.s3_region:
            return f"Set EXPORTS_S3_REGION={region}."
        return _ADDRESS

    def _get(self, url: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        tls = ssl.create_default_context()
        if self._settings.s3_ca_bundle is not None:
            tls.load_verify_locations(self._settings.s3_ca_bundle)
        try:
            with urllib3.PoolManager(ssl_context=tls, timeout=_TIMEOUT) as pool:
                return pool.request("GET", url, headers=headers, retries=_RETRIES)
        except HTTPError as error:
            # The text of the error holds the link.
            raise UnreachableError(
                f"This machine can't reach the address of links ({type(error).__name__})."
            ) from None


def _reason(answer: urllib3.BaseHTTPResponse) -> str:
    code = _CODE.search(answer.data)
    return f"HTTP {answer.status}{f', {code[1].decode()}' if code else ''}"
