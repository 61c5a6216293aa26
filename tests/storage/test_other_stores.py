"""What stores do that the embedded one does not: stand-ins answer as their documentation says."""

import hashlib
import threading
from base64 import b64encode

import pytest
from botocore.exceptions import ClientError
from fastcrc import crc64

from exports.errors import StoreUnavailableError
from exports.settings import Settings
from exports.storage import upload as uploads
from exports.storage.bucket import ObjectStore
from exports.storage.s3 import s3_client
from exports.storage.stored_bytes import md5_of
from tests.support.losing_answers import losing_answers
from tests.support.markers_only import PAGE, markers_only
from tests.support.protections import protected_by
from tests.support.traffic import Traffic

PART = 5 * 1024 * 1024  # S3's minimum for every part but the last
SHORT, LONG = b"rows\n" * 20, b"x" * 2 * PART


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    monkeypatch.setattr(uploads, "PART_SIZE", PART)
    return Traffic.of_new_stores(monkeypatch)


def _store(settings: Settings, **changes: str) -> ObjectStore:
    return ObjectStore(settings.model_copy(update=changes))


def _upload(store: ObjectStore, data: bytes) -> None:
    stop = threading.Event()
    store.upload("files/a", iter([data]), media_type="text/csv", file_name="a.csv", stop=stop)


def test_a_store_that_lists_by_markers_only_is_listed_to_its_end(settings: Settings) -> None:
    keys = [f"staging/任务 {number:05}/x&y.arrow" for number in range(2 * PAGE + 345)]
    with markers_only([f"team-a/{key}" for key in [*keys, "files/a"]]) as address:
        store = _store(settings, s3_endpoint_url=address, s3_prefix="team-a/")
        store.check()
        assert [item.key for item in store.objects("staging/")] == keys
        assert [item.key for item in store.objects("staging/", after=keys[1999])] == keys[2000:]
        store.close()
        # The newer way to list gets one page, and no error.
        client = s3_client(settings, address)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings.s3_bucket)
        assert sum(len(page.get("Contents", [])) for page in pages) == PAGE
        client.close()


def test_a_store_is_asked_only_for_large_bodies_whether_it_takes_them(
    settings: Settings, traffic: Traffic
) -> None:
    store = _store(settings)
    store.put("staging/a", SHORT)
    _upload(store, LONG)
    asked = {operation: "expect" in headers for operation, headers in traffic.sent}
    assert (asked["PutObject"], asked["UploadPart"]) == (False, True)
    store.close()


def _encrypted_bucket(
    settings: Settings, traffic: Traffic, *, checksums: bool = False, **answers: object
) -> ObjectStore:
    """A bucket with keys of KMS: no ETag is an MD5, neither of an object nor of a part."""
    for name in ("PutObject", "UploadPart", "CompleteMultipartUpload", "HeadObject"):
        traffic.with_another_answer(name, ETag='"not-an-md5"', **answers)
    # The embedded store joins the parts of `LONG` by the ETags and checksums that it knows.
    data = LONG[:PART]
    part = {"ETag": md5_of(data).hex()}
    if checksums:
        part["ChecksumSHA256"] = b64encode(hashlib.sha256(data).digest()).decode()
    parts = [{"PartNumber": number, **part} for number in (1, 2)]
    traffic.with_parameters("CompleteMultipartUpload", MultipartUpload={"Parts": parts})
    return _store(settings, s3_checksums="when_supported" if checksums else "when_required")


@pytest.mark.parametrize("data", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("proof", ["SHA-256", "CRC-64", "none"])
def test_a_file_is_read_back_only_if_neither_etag_nor_checksum_shows_that_it_has_arrived(
    settings: Settings, traffic: Traffic, data: bytes, proof: str
) -> None:
    answers: dict[str, object] = {}
    if proof == "CRC-64":  # Tencent COS has it in every answer
        crc = str(crc64.xz(data[:PART]))
        answers = {"ResponseMetadata": {"HTTPHeaders": {"x-cos-hash-crc64ecma": crc}}}
    store = _encrypted_bucket(settings, traffic, checksums=proof == "SHA-256", **answers)
    _upload(store, data)
    assert ("GetObject" in traffic.operations()) is (proof == "none")
    store.close()


def test_a_file_whose_parts_have_their_md5_and_the_whole_has_none_is_not_read_back(
    settings: Settings, traffic: Traffic
) -> None:
    for name in ("CompleteMultipartUpload", "HeadObject"):
        traffic.with_another_answer(name, ETag='"not-an-md5"')
    store = _store(settings)
    _upload(store, LONG)
    assert "GetObject" not in traffic.operations()
    traffic.with_another_body("UploadPart", lambda body: b"y" * len(body))
    with pytest.raises(StoreUnavailableError, match="does not hold the bytes that were sent"):
        _upload(store, LONG)
    store.close()


@pytest.mark.parametrize("data", [SHORT, LONG], ids=["short", "long"])
@protected_by(
    "exports/storage/stored_bytes.py",
    "return bool(sha256 == b64encode(hashlib.sha256(data).digest()).decode())",
    instead="return True",
)
def test_a_checksum_of_other_bytes_is_no_proof(
    settings: Settings, traffic: Traffic, data: bytes
) -> None:
    other = {"ChecksumSHA256": "b3RoZXIgYnl0ZXM="}
    store = _encrypted_bucket(settings, traffic, checksums=True, **other)
    _upload(store, data)
    assert "GetObject" in traffic.operations()
    store.close()


@protected_by(
    "exports/storage/upload.py",
    "if not self._is_there(looks=_LOOKS if joins else 1):",
    instead="if True:",
)
def test_a_file_whose_last_answer_was_lost_is_not_sent_again(
    settings: Settings, traffic: Traffic
) -> None:
    with losing_answers(str(settings.s3_endpoint_url)) as lost:
        store = _store(settings, s3_endpoint_url=lost.url, s3_checksums="when_supported")
        _upload(store, LONG)
        assert lost.completed == 2, "the second one is told NoSuchUpload"
        assert lost.asked.count(b"<ChecksumSHA256>") == 2, "AWS wants to be told of each part again"
        assert traffic.part_numbers() == [1, 2]
        assert traffic.operations().count("UploadPart") == 2
        assert store.get("files/a") == LONG
        assert list(store.open_uploads("")) == []
        store.close()


def test_a_file_whose_parts_the_store_is_still_joining_is_looked_for_again(
    settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_BETWEEN_LOOKS", 0.01)
    looks = iter(range(3))

    def not_yet() -> None:
        if next(looks, None) is not None:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")

    with losing_answers(str(settings.s3_endpoint_url)) as lost:
        traffic.before("HeadObject", not_yet)
        store = _store(settings, s3_endpoint_url=lost.url)
        _upload(store, LONG)
        assert store.get("files/a") == LONG
        store.close()


def test_an_upload_that_is_gone_and_left_no_object_has_failed(
    settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_BETWEEN_LOOKS", 0.01)
    with losing_answers(str(settings.s3_endpoint_url), arrives=False) as lost:
        store = _store(settings, s3_endpoint_url=lost.url)
        with pytest.raises(StoreUnavailableError, match="NoSuchUpload"):
            _upload(store, LONG)
        assert [*store.objects(""), *store.open_uploads("")] == []
        assert "AbortMultipartUpload" in traffic.operations()
        store.close()
