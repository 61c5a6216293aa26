"""A store that confirms a write and stores something else; bytes that change on their way."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from exports.errors import StoreUnavailableError
from exports.settings import Settings
from exports.staging.cache import PartCache
from exports.storage import upload as uploads
from exports.storage.bucket import ObjectStore
from exports.storage.upload import Uploaded
from tests.support.chaos.certificates import Certificates
from tests.support.chaos.proxy import Flip, Reset, proxy_to
from tests.support.protections import protected_by
from tests.support.service import Service, downloaded, insert_orders
from tests.support.traffic import Traffic

PART = 5 * 1024 * 1024  # S3's minimum for every part but the last
SHORT, LONG = 100_000, 3 * PART + 7
SIZES = pytest.mark.parametrize(
    ("size", "operation"), [(SHORT, "PutObject"), (LONG, "UploadPart")], ids=["short", "long"]
)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    monkeypatch.setattr(uploads, "PART_SIZE", PART)
    return Traffic.of_new_stores(monkeypatch)


@pytest.fixture
def store(traffic: Traffic, settings: Settings) -> Iterator[ObjectStore]:
    assert not traffic.sent
    opened = ObjectStore(settings)
    yield opened
    opened.close()


def content(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


def upload(store: ObjectStore, data: bytes) -> Uploaded:
    pieces = (data[start : start + 1_000_000] for start in range(0, len(data), 1_000_000))
    return store.upload(
        "files/a", pieces, media_type="text/csv", file_name="a.csv", stop=threading.Event()
    )


def once(change: Callable[[bytes], bytes], *, at: int = 1) -> Callable[[bytes], bytes]:
    """Make a change to one of the bodies only, the first or a later one."""
    calls = count(1)

    def changed(body: bytes) -> bytes:
        return change(body) if next(calls) == at else body

    return changed


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


@SIZES
@protected_by("exports/storage/upload.py", "if not sent.proven:", instead="if False:")
def test_an_upload_with_one_wrong_stored_bit_fails(
    store: ObjectStore, traffic: Traffic, size: int, operation: str
) -> None:
    traffic.with_another_body(operation, once(flipped, at=1 if size == SHORT else 2))
    with pytest.raises(StoreUnavailableError, match="does not hold the bytes that were sent"):
        upload(store, content(size))


@SIZES
@protected_by(
    "exports/storage/upload.py",
    'if stored["ContentLength"] != uploaded.bytes:',
    instead="if False:",
)
def test_an_upload_that_is_stored_only_in_part_fails(
    store: ObjectStore, traffic: Traffic, size: int, operation: str
) -> None:
    at = 1 if size == SHORT else 4  # S3 accepts a short part only as the last one
    traffic.with_another_body(operation, once(lambda body: body[:-1], at=at))
    with pytest.raises(StoreUnavailableError, match=f"{size - 1} of the {size} bytes"):
        upload(store, content(size))


@SIZES
def test_where_no_etag_shows_what_is_stored_the_file_is_read_back(
    store: ObjectStore, traffic: Traffic, size: int, operation: str
) -> None:
    # Those of parts do show it.
    for name in ("PutObject", "CompleteMultipartUpload", "HeadObject"):
        traffic.with_another_answer(name, ETag='"not-an-md5"')
    data = content(size)
    assert upload(store, data) == Uploaded(size, hashlib.sha256(data).hexdigest())
    assert ("GetObject" in traffic.operations()) is (size == SHORT)
    traffic.with_another_body(operation, once(flipped))
    with pytest.raises(StoreUnavailableError, match="does not hold the bytes that were sent"):
        upload(store, data)


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@SIZES
def test_an_upload_with_one_bit_changed_on_its_way_fails(
    settings: Settings, tmp_path: Path, scheme: str, checksums: str, size: int, operation: str
) -> None:
    del operation
    certificates = Certificates.made_in(tmp_path)
    tls = certificates.server if scheme == "https" else None
    with proxy_to(str(settings.s3_endpoint_url), tls) as wire:
        store = ObjectStore(
            settings.model_copy(
                update={
                    "s3_endpoint_url": f"{scheme}://{wire.address}",
                    "s3_checksums": checksums,
                    "s3_ca_bundle": certificates.ca,
                }
            )
        )
        data = content(size)
        wire.suffer(Flip(after=SHORT // 2, toward="server"))
        with pytest.raises(StoreUnavailableError):  # which is retried
            upload(store, data)
        assert wire.happened == 1
        assert upload(store, data).bytes == size
        assert store.get("files/a") == data
        assert list(store.open_uploads("")) == []
        store.close()


async def test_an_export_whose_file_was_stored_wrongly_is_written_again_before_it_is_done(
    traffic: Traffic, service: Service
) -> None:
    await insert_orders(service.database)
    # The first object is the staged part, the second is the file.
    traffic.with_another_body("PutObject", once(flipped, at=2))
    task = await service.exported()
    assert (task.status, task.retries) == ("done", 1)
    assert hashlib.sha256(downloaded(task.download_url)).hexdigest() == task.sha256
    await service.run_of(task.id).result()
    assert service.keys() == [task.object_key]


def _not_at_hand(_: PartCache, key: str) -> None:
    del key


async def test_an_export_whose_staged_rows_were_stored_wrongly_has_no_file(
    traffic: Traffic, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_orders(service.database)
    monkeypatch.setattr(PartCache, "get", _not_at_hand)
    traffic.with_another_body("PutObject", once(flipped))
    task = await service.exported()
    assert task.status == "failed"
    assert task.error
    assert task.error.code == "E_STAGING"
    with pytest.raises(WorkflowFailureError):
        await service.run_of(task.id).result()
    assert service.keys() == []


class SkippingPool(ThreadPoolExecutor):
    """Sends each part but the first under the number after its own."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        number, *rest = args
        return super().submit(fn, number + (number > 1), *rest, **kwargs)


# S3 allows gaps in part numbers, so no server would reject this mistake of ours.
def test_an_upload_whose_parts_have_a_gap_in_their_numbers_is_aborted(
    store: ObjectStore, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "ThreadPoolExecutor", SkippingPool)
    with pytest.raises(StoreUnavailableError, match="A part of the upload is missing"):
        upload(store, content(LONG))
    assert traffic.operations().count("UploadPart") == 4
    assert "CompleteMultipartUpload" not in traffic.operations()
    assert list(store.objects("")) == []
    assert list(store.open_uploads("")) == []


RESUMED = """upload_id = next(
            (
                item["UploadId"]
                for page in [self._client.list_multipart_uploads(Bucket=self._bucket)]
                for item in page.get("Uploads", [])
                if item["Key"] == self._key
            ),
            None,
        ) or self._client.create_multipart_upload("""


@protected_by(
    "exports/storage/upload.py",
    "upload_id = self._client.create_multipart_upload(",
    instead=RESUMED,
)
def test_an_interrupted_upload_starts_again_and_is_never_resumed_from_a_list_of_parts(
    store: ObjectStore, traffic: Traffic
) -> None:
    for lost in ("CompleteMultipartUpload", "AbortMultipartUpload"):
        traffic.cut(lost, times=2)
    with pytest.raises(StoreUnavailableError):
        upload(store, content(LONG))
    [left] = store.open_uploads("")
    traffic.sent.clear()

    data = content(LONG + 1)
    upload(store, data)
    assert store.get("files/a") == data
    assert traffic.operations()[:5] == ["CreateMultipartUpload", *4 * ["UploadPart"]]
    assert not {"ListParts", "ListMultipartUploads"} & {*traffic.operations()}
    assert [item.upload_id for item in store.open_uploads("")] == [left.upload_id]


@pytest.mark.parametrize(
    "cut",
    [
        Reset(after=0, toward="server"),
        Reset(after=1_000_000, toward="server"),
        Reset(after=1_000_000, toward="server", times=4),
        Reset(after=0, toward="client"),
        Reset(after=0, toward="client", times=2),
        Reset(after=700, toward="client"),
        Reset(after=1_500, toward="client", times=100),
    ],
    ids=str,
)
def test_an_upload_over_a_cut_connection_is_complete_or_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, cut: Reset
) -> None:
    monkeypatch.setattr(uploads, "PART_SIZE", PART)
    data = content(LONG)
    with proxy_to(str(settings.s3_endpoint_url)) as wire:
        store = ObjectStore(
            settings.model_copy(update={"s3_endpoint_url": f"http://{wire.address}"})
        )
        wire.suffer(cut)
        with suppress(StoreUnavailableError):
            assert upload(store, data).sha256 == hashlib.sha256(data).hexdigest()
            assert store.get("files/a") == data
        assert wire.happened
        wire.recover()
        for item in store.objects(""):  # perhaps reported as failed, but whole
            assert store.get(item.key) == data
        for left in store.open_uploads(""):  # as the sweep does
            store.remove(left)
        assert list(store.open_uploads("")) == []
        store.close()


@pytest.mark.parametrize("fault", [Reset, Flip])
def test_an_object_that_ends_early_while_it_is_read_is_blamed_on_the_store(
    settings: Settings, tmp_path: Path, fault: type[Reset | Flip]
) -> None:
    certificates = Certificates.made_in(tmp_path)
    with (
        proxy_to(str(settings.s3_endpoint_url), certificates.server) as https,
        proxy_to(https.address) as wire,  # sees the plain text of TLS
    ):
        store = ObjectStore(
            settings.model_copy(
                update={
                    "s3_endpoint_url": f"https://{wire.address}",
                    "s3_ca_bundle": certificates.ca,
                }
            )
        )
        data = content(LONG)
        store.put("staging/a", data)
        wire.suffer(fault(after=1_000_000, toward="client"))
        with pytest.raises(StoreUnavailableError, match="can't be reached"):
            store.get("staging/a")
        assert store.get("staging/a") == data
        store.close()
