"""Everything that the product asks of an object store, with each variant of the protocol.

http and https, with and without S3's newer checksums, the bucket in the path and in the host name.
Over https boto3 frames a body differently than over http, so each variant is sent and read back.
"""

import hashlib
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from exports.download import download
from exports.errors import SettingsError, StoreUnavailableError, UnreachableError
from exports.settings import Settings
from exports.storage import upload as uploads
from exports.storage.bucket import ObjectStore
from exports.storage.s3 import content_disposition
from exports.storage.upload import StoppedError, Uploaded
from exports.tasks.task import ExportTask
from tests.support.chaos.certificates import Certificates
from tests.support.chaos.proxy import Proxy, proxy_to
from tests.support.traffic import Traffic

PART = 5 * 1024 * 1024  # S3's minimum for every part but the last
NAME = "订单 2026-10.csv"
TYPE = "text/csv; charset=utf-8"


@dataclass(frozen=True)
class Way:
    """One variant of the S3 protocol."""

    scheme: str
    checksums: str
    style: str

    def __str__(self) -> str:
        return f"{self.scheme}-{self.checksums}-{self.style}"


WAYS = [
    Way(*way)
    for way in product(("http", "https"), ("when_required", "when_supported"), ("path", "virtual"))
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def names_below_localhost_are_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6761, section 6.3, has it so; not every resolver does."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **kwargs: Any) -> Any:
        below = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if below else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_SIZE", PART)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return Traffic.of_new_stores(monkeypatch)


@pytest.fixture
def https(settings: Settings, certificates: Certificates) -> Iterator[Proxy]:
    """The object store behind TLS, as behind a load balancer."""
    with proxy_to(str(settings.s3_endpoint_url), certificates.server) as wire:
        yield wire


def spoken(settings: Settings, way: Way, https: Proxy, certificates: Certificates) -> Settings:
    port = https.port if way.scheme == "https" else str(settings.s3_endpoint_url).split(":")[-1]
    host = "localhost" if way.style == "virtual" else "127.0.0.1"
    return settings.model_copy(
        update={
            "s3_endpoint_url": f"{way.scheme}://{host}:{port}",
            "s3_addressing_style": way.style,
            "s3_checksums": way.checksums,
            "s3_ca_bundle": certificates.ca if way.scheme == "https" else None,
        }
    )


def upload(store: ObjectStore, data: bytes, stop: threading.Event | None = None) -> Uploaded:
    pieces = (data[start : start + 1_000_000] for start in range(0, len(data), 1_000_000))
    return store.upload(
        "files/a", pieces, media_type=TYPE, file_name=NAME, stop=stop or threading.Event()
    )


def content(size: int) -> bytes:
    """Bytes of every value; no two parts are alike."""
    return hashlib.shake_128(str(size).encode()).digest(size)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_byte_that_is_written_is_read_again(
    settings: Settings, https: Proxy, certificates: Certificates, traffic: Traffic, way: Way
) -> None:
    store = ObjectStore(spoken(settings, way, https, certificates))
    store.check()

    part = content(70_001)
    store.put("staging/a", part)
    assert store.get("staging/a") == part
    assert store.get("staging/a", first_bytes=4096) == part[:4096]
    store.put("staging/empty", b"")
    assert store.get("staging/empty") == b""

    for size, requests in ((0, ["PutObject"]), (70_001, ["PutObject"])):
        whole = content(size)
        before = len(traffic.sent)
        assert upload(store, whole) == Uploaded(size, hashlib.sha256(whole).hexdigest())
        assert traffic.operations()[before:] == requests, "the answer shows what the store has"
        assert store.get("files/a") == whole

    long = content(2 * PART + 70_001)
    assert upload(store, long) == Uploaded(len(long), hashlib.sha256(long).hexdigest())
    assert traffic.part_numbers() == [1, 2, 3]
    assert store.get("files/a") == long
    assert fetched(store, certificates) == (long, TYPE, content_disposition(NAME))

    stop = threading.Event()
    traffic.before("UploadPart", stop.set)
    with pytest.raises(StoppedError):
        upload(store, long, stop)
    assert "AbortMultipartUpload" in traffic.operations()
    assert list(store.open_uploads("")) == []

    assert sorted(item.key for item in store.objects("")) == [
        "files/a",
        "staging/a",
        "staging/empty",
    ]
    store.remove_all(["staging/a", "staging/empty", "staging/was-never-there"])
    [left] = store.objects("")
    store.remove(left)
    assert list(store.objects("")) == []
    store.close()
    check_spoken(traffic, way, settings.s3_bucket)


def fetched(store: ObjectStore, certificates: Certificates) -> tuple[bytes, str, str]:
    """Content, type and name of the file as somebody without credentials gets it."""
    url = store.link("files/a", file_name=NAME, ttl=timedelta(minutes=1)).url
    trust = ssl.create_default_context(cafile=certificates.ca)
    with urllib.request.urlopen(url, timeout=30, context=trust) as answer:
        return answer.read(), answer.headers["Content-Type"], answer.headers["Content-Disposition"]


def check_spoken(traffic: Traffic, way: Way, bucket: str) -> None:
    """Check that the variant was really used: otherwise the variants could not be told apart."""
    virtual = way.style == "virtual"
    assert {*traffic.hosts} == {f"{bucket}.localhost" if virtual else "127.0.0.1"}
    bodies = [headers for name, headers in traffic.sent if name in {"PutObject", "UploadPart"}]
    framed = [headers.get("content-encoding") == "aws-chunked" for headers in bodies]
    unsigned = [
        headers["x-amz-content-sha256"].startswith("STREAMING-UNSIGNED") for headers in bodies
    ]
    newer = [any("checksum" in name or "trailer" in name for name in headers) for headers in bodies]
    supported = way.checksums == "when_supported"
    assert {*newer} == {supported}
    assert {*framed} == {*unsigned} == {supported and way.scheme == "https"}


@pytest.mark.parametrize("size", [100, 2 * PART])
def test_a_store_whose_certificate_is_not_trusted_gets_nothing(
    settings: Settings, https: Proxy, certificates: Certificates, size: int
) -> None:
    way = Way("https", "when_required", "path")
    trusting = spoken(settings, way, https, certificates)
    stranger = ObjectStore(trusting.model_copy(update={"s3_ca_bundle": None}))
    with pytest.raises(StoreUnavailableError, match="SSLError"):
        upload(stranger, content(size))
    stranger.close()
    store = ObjectStore(trusting)
    assert list(store.objects("")) == []
    store.close()


def test_a_file_that_holds_no_certificates_is_refused(settings: Settings, tmp_path: Path) -> None:
    rubbish = tmp_path / "ca.pem"
    rubbish.write_text("no certificate")
    for path in (rubbish, tmp_path / "missing.pem", tmp_path):
        with pytest.raises(SettingsError, match="EXPORTS_S3_CA_BUNDLE"):
            ObjectStore(settings.model_copy(update={"s3_ca_bundle": path}))


def test_the_command_line_trusts_the_same_certificates(
    settings: Settings, https: Proxy, certificates: Certificates, tmp_path: Path
) -> None:
    store = ObjectStore(
        spoken(settings, Way("https", "when_required", "path"), https, certificates)
    )
    data = content(100)
    done = ExportTask.model_validate(
        {
            "id": "t1",
            "status": "done",
            "fileName": "a.csv",
            "sha256": upload(store, data).sha256,
            "downloadUrl": store.link("files/a", file_name=NAME, ttl=timedelta(minutes=1)).url,
        }
    )
    with pytest.raises(UnreachableError):
        download(done, tmp_path)
    assert download(done, tmp_path, ca_bundle=certificates.ca).read_bytes() == data
    store.close()


def test_many_objects_are_deleted_without_the_call_that_tencent_refuses(
    settings: Settings, traffic: Traffic
) -> None:
    # It wants a Content-MD5, which boto3 does not send any more.
    store = ObjectStore(settings)
    keys = [f"staging/{number}" for number in range(20)]
    for key in keys:
        store.put(key, b"x")
    store.remove_all(keys)
    assert list(store.objects("")) == []
    assert "DeleteObjects" not in traffic.operations()
    store.close()
