"""A file appears in the bucket whole or not at all."""

import gc
import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from exports.errors import FormatLimitError, StoreUnavailableError
from exports.runtime.outages import Patience
from exports.settings import Settings
from exports.storage import upload as uploads
from exports.storage.bucket import ObjectStore
from exports.storage.upload import StoppedError, Uploaded
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 5 * 1024 * 1024  # the smallest part that S3 accepts, except for the last
IN_FLIGHT = 4


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_SIZE", PART)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return Traffic.of_new_stores(monkeypatch)


@pytest.fixture
def store(traffic: Traffic, settings: Settings) -> Iterator[ObjectStore]:
    assert not traffic.sent
    opened = ObjectStore(settings)
    yield opened
    opened.close()


def content(size: int) -> bytes:
    """Content in which all parts differ."""
    block = b"".join(hashlib.sha256(number.to_bytes(4)).digest() for number in range(4096))
    return b"".join(number.to_bytes(8) + block for number in range(size // len(block) + 1))[:size]


def in_pieces(data: bytes, size: int = 1024 * 1024) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def upload(
    store: ObjectStore, pieces: Iterator[bytes], stop: threading.Event | None = None
) -> Uploaded:
    return store.upload(
        "files/export.csv",
        pieces,
        media_type="text/csv; charset=utf-8",
        file_name="订单.csv",
        stop=stop or threading.Event(),
    )


def nothing_is_left(store: ObjectStore) -> bool:
    return not [*store.objects(""), *store.open_uploads("")]


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, 0),
        (1, 0),
        (PART - 1, 0),
        (PART, 0),
        (PART + 1, 2),
        (2 * PART, 2),
        (6 * PART, 6),
        (6 * PART + 7, 7),
    ],
)
def test_the_object_holds_what_was_written(
    store: ObjectStore, traffic: Traffic, size: int, parts: int
) -> None:
    data = content(size)
    uploaded = upload(store, in_pieces(data))
    assert uploaded == Uploaded(bytes=size, sha256=hashlib.sha256(data).hexdigest())
    assert store.get("files/export.csv") == data
    assert traffic.part_numbers() == list(range(1, parts + 1))
    assert all(len(traffic.bodies[number]) == PART for number in range(1, parts))
    assert ("PutObject" in traffic.operations()) == (parts == 0)
    assert not [*store.open_uploads("")]


@pytest.mark.parametrize("size", [1, PART, 3 * PART, 20 * PART])
def test_pieces_may_be_of_any_size(store: ObjectStore, size: int) -> None:
    data = content(3 * PART + 5) if size > 1 else content(1000)
    upload(store, in_pieces(data, size))
    assert store.get("files/export.csv") == data


@pytest.mark.parametrize("size", [10, 2 * PART])
def test_the_object_has_the_content_type_and_the_name_of_the_file(
    store: ObjectStore, settings: Settings, s3_client: "S3Client", size: int
) -> None:
    upload(store, in_pieces(content(size)))
    found = s3_client.head_object(
        Bucket=settings.s3_bucket, Key=f"{settings.s3_prefix}files/export.csv"
    )
    assert found["ContentType"] == "text/csv; charset=utf-8"
    assert found["ContentDisposition"] == (
        "attachment; filename=\"__.csv\"; filename*=UTF-8''%E8%AE%A2%E5%8D%95.csv"
    )


@pytest.mark.parametrize("before", [0, 1, PART, 2 * PART, 7 * PART + 3])
def test_if_the_encoder_fails_nothing_is_left(
    store: ObjectStore, traffic: Traffic, before: int
) -> None:
    def encoder() -> Iterator[bytes]:
        yield from in_pieces(content(before))
        raise FormatLimitError("Too many rows.")

    with pytest.raises(FormatLimitError, match="Too many rows"):
        upload(store, encoder())
    assert nothing_is_left(store)
    assert "CompleteMultipartUpload" not in traffic.operations()


def test_no_part_arrives_after_the_upload_was_aborted(store: ObjectStore, traffic: Traffic) -> None:
    def encoder() -> Iterator[bytes]:
        yield from in_pieces(content(IN_FLIGHT * PART))
        raise FormatLimitError("Too many rows.")

    traffic.before("UploadPart", lambda: time.sleep(0.3))
    with pytest.raises(FormatLimitError):
        upload(store, encoder())
    arrived = [what for kind, what in traffic.events if kind == "answer"]
    assert sorted(arrived[1:-1]) == [f"UploadPart {n}" for n in range(1, IN_FLIGHT + 1)]
    assert traffic.events.index(("send", "AbortMultipartUpload")) > max(
        traffic.events.index(("answer", part)) for part in arrived[1:-1]
    )
    assert nothing_is_left(store)


@pytest.mark.parametrize("size", [100, 6 * PART])
@pytest.mark.parametrize("read", [0, 1, 4, "all"])
def test_an_upload_that_is_stopped_leaves_nothing(
    store: ObjectStore, size: int, read: int | str
) -> None:
    stop = threading.Event()
    data = content(size)

    def encoder() -> Iterator[bytes]:
        for number, piece in enumerate(in_pieces(data, size // 10)):
            if number == read:
                stop.set()
            yield piece
        stop.set()

    with pytest.raises(StoppedError):
        upload(store, encoder(), stop)
    assert nothing_is_left(store)


def test_an_upload_can_be_stopped_while_its_last_parts_are_sent(
    store: ObjectStore, traffic: Traffic
) -> None:
    stop = threading.Event()
    traffic.before("UploadPart", stop.set)
    with pytest.raises(StoppedError):
        upload(store, iter([content(3 * PART)]), stop)
    assert nothing_is_left(store)


def test_if_a_part_cannot_be_sent_the_upload_fails(store: ObjectStore, traffic: Traffic) -> None:
    traffic.cut("UploadPart")
    with pytest.raises(StoreUnavailableError, match="ConnectionClosedError"):
        upload(store, in_pieces(content(8 * PART)))
    assert nothing_is_left(store)
    assert len(traffic.part_numbers()) <= IN_FLIGHT


def test_a_connection_that_is_lost_once_is_tried_again(
    store: ObjectStore, traffic: Traffic
) -> None:
    traffic.cut("UploadPart", times=1)
    data = content(3 * PART)
    upload(store, in_pieces(data))
    assert store.get("files/export.csv") == data


def test_after_an_outage_only_the_parts_that_were_not_sent_are_sent(
    store: ObjectStore, traffic: Traffic
) -> None:
    traffic.cut("UploadPart", times=7)  # more than botocore tries again by itself
    data = content(3 * PART)
    with Patience(60).in_use():
        upload(store, in_pieces(data))
    assert store.get("files/export.csv") == data
    answered = [what for kind, what in traffic.events if kind == "answer"]
    assert answered.count("CreateMultipartUpload") == 1
    assert sorted(what for what in answered if "UploadPart" in what) == [
        *("UploadPart 1", "UploadPart 2", "UploadPart 3")
    ]
    assert list(store.open_uploads("files/")) == []


def test_an_upload_that_cannot_be_completed_is_aborted(
    store: ObjectStore, traffic: Traffic
) -> None:
    traffic.cut("CompleteMultipartUpload")
    with pytest.raises(StoreUnavailableError):
        upload(store, in_pieces(content(2 * PART)))
    assert nothing_is_left(store)


def test_the_error_says_why_the_upload_failed_even_if_the_abort_fails_too(
    store: ObjectStore, traffic: Traffic
) -> None:
    def encoder() -> Iterator[bytes]:
        yield from in_pieces(content(2 * PART))
        raise FormatLimitError("Too many rows.")

    traffic.cut("AbortMultipartUpload")
    with pytest.raises(FormatLimitError):
        upload(store, encoder())
    # The sweep finds it here and removes it.
    [orphan] = store.open_uploads("files/")
    traffic.before("AbortMultipartUpload", lambda: None)
    store.remove(orphan)
    assert nothing_is_left(store)


def test_a_stored_file_that_differs_from_what_was_sent_is_an_error(
    store: ObjectStore, traffic: Traffic
) -> None:
    traffic.with_parameters("PutObject", Body=b"cut off")
    with pytest.raises(StoreUnavailableError, match="7 of the 100 bytes"):
        upload(store, iter([content(100)]))


def test_a_stored_long_file_that_differs_from_what_was_sent_is_an_error(
    store: ObjectStore, traffic: Traffic
) -> None:
    traffic.before("HeadObject", lambda: store.put("files/export.csv", b"cut off"))
    with pytest.raises(StoreUnavailableError, match=f"7 of the {2 * PART} bytes"):
        upload(store, in_pieces(content(2 * PART)))


def test_a_short_file_is_written_with_one_request(store: ObjectStore, traffic: Traffic) -> None:
    upload(store, iter([content(100)]))
    assert traffic.operations() == ["PutObject"]


def test_the_encoder_waits_for_a_slow_object_store(store: ObjectStore, traffic: Traffic) -> None:
    read = 0
    ahead: list[int] = []
    data = content(10 * PART)

    def encoder() -> Iterator[bytes]:
        nonlocal read
        for piece in in_pieces(data):
            read += len(piece)
            arrived = sum(
                what.startswith("UploadPart") for kind, what in traffic.events if kind == "answer"
            )
            ahead.append(read - arrived * PART)
            yield piece

    traffic.before("UploadPart", lambda: time.sleep(0.1))
    upload(store, encoder())
    # The parts in flight, and the part that is being filled.
    assert max(ahead) <= (IN_FLIGHT + 1) * PART
    assert max(ahead) > 2 * PART, "several parts are sent at the same time"


def test_memory_does_not_hold_parts_that_have_been_sent(
    store: ObjectStore, traffic: Traffic
) -> None:
    holders: list[int] = []
    data = content(8 * PART)

    def encoder() -> Iterator[bytes]:
        yield from in_pieces(data)
        gc.collect()
        holders.extend(sys.getrefcount(traffic.bodies[number]) for number in (1, 2, 3))

    upload(store, encoder())
    # One reference is that of `traffic`, the other is the argument of getrefcount.
    assert holders == [2, 2, 2]


def test_later_parts_are_larger_so_that_the_store_takes_a_file_of_200_gigabytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 10_000  # parts of an upload
    sizes = [uploads.PART_SIZE << number // uploads.PARTS_OF_A_SIZE for number in range(most)]
    assert sum(sizes[:4000]) < 200e9 < sum(sizes)
    monkeypatch.setattr(uploads, "PART_SIZE", 4)
    monkeypatch.setattr(uploads, "PARTS_OF_A_SIZE", 3)
    pieces = [bytes([number]) * 7 for number in range(12)]
    parts = list(vars(uploads)["_in_parts"](pieces))
    assert [len(part) for part in parts] == [4, 4, 4, 8, 8, 8, 16, 16, 16]
    assert b"".join(parts) == b"".join(pieces)
