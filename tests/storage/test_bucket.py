"""Objects and uploads in the bucket, and the errors if it can't be used."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from exports.errors import (
    BucketMissingError,
    ClockError,
    ExportError,
    SettingsError,
    StagingError,
    StoreAccessError,
    StoreDiffersError,
    StoreUnavailableError,
)
from exports.settings import Settings
from exports.storage.bucket import ObjectStore, StoredObject
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return Traffic.of_new_stores(monkeypatch)


@pytest.fixture
def store(traffic: Traffic, settings: Settings) -> Iterator[ObjectStore]:
    assert not traffic.sent
    opened = ObjectStore(settings)
    yield opened
    opened.close()


def _upload(store: ObjectStore) -> None:
    store.upload("k", iter([b"x"]), media_type="text/csv", file_name="k.csv", stop=Event())


OPERATIONS: dict[str, Callable[[ObjectStore], object]] = {
    "check": lambda store: store.check(),
    "put": lambda store: store.put("k", b"x"),
    "get": lambda store: store.get("k"),
    "get the first bytes": lambda store: store.get("k", first_bytes=3),
    "upload": _upload,
    "objects": lambda store: list(store.objects("")),
    "open uploads": lambda store: list(store.open_uploads("")),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


def _failure(
    settings: Settings, operation: Callable[[ObjectStore], object], **changes: Any
) -> ExportError:
    store = ObjectStore(settings.model_copy(update=changes))
    with pytest.raises(ExportError) as failed:
        operation(store)
    store.close()
    return failed.value


def test_an_object_is_read_whole_or_its_first_bytes(store: ObjectStore) -> None:
    store.put("staging/a", b"0123456789")
    assert store.get("staging/a") == b"0123456789"
    assert store.get("staging/a", first_bytes=4) == b"0123"
    assert store.get("staging/a", first_bytes=4096) == b"0123456789"


def test_an_object_can_be_empty(store: ObjectStore) -> None:
    store.put("staging/a", b"")
    assert store.get("staging/a") == b""
    assert store.get("staging/a", first_bytes=10) == b""


def test_keys_may_hold_any_text(store: ObjectStore) -> None:
    keys = ["files/任务 1/x", "files/%E4%BB%BB/x", "files/a+b&c=d?#'\"/x"]
    for key in keys:
        store.put(key, key.encode())
    assert [store.get(key).decode() for key in keys] == keys
    assert sorted(item.key for item in store.objects("files/")) == sorted(keys)


@pytest.mark.parametrize("first_bytes", [None, 10])
def test_a_missing_part_is_reported_as_missing(store: ObjectStore, first_bytes: int | None) -> None:
    with pytest.raises(StagingError, match="no longer in the bucket"):
        store.get("staging/none", first_bytes=first_bytes)
    assert store.size("staging/none") is None


def test_an_object_can_be_removed_twice(store: ObjectStore) -> None:
    store.put("files/a", b"x")
    [found] = store.objects("files/")
    assert store.size("files/a") == 1
    store.remove(found)
    store.remove(found)
    assert store.size("files/a") is None
    assert list(store.objects("")) == []


def test_an_open_upload_is_found_and_aborted(
    store: ObjectStore, settings: Settings, s3_client: "S3Client"
) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    made = s3_client.create_multipart_upload(
        Bucket=settings.s3_bucket, Key=f"{settings.s3_prefix}files/a"
    )
    [found] = store.open_uploads("files/")
    assert found == StoredObject("files/a", found.changed_at, made["UploadId"])
    assert before < found.changed_at <= datetime.now(UTC) + timedelta(minutes=1)
    assert list(store.objects("")) == []
    store.remove(found)
    store.remove(found)
    assert list(store.open_uploads("")) == []


def test_installations_that_share_a_bucket_do_not_see_each_other(
    store: ObjectStore, settings: Settings, s3_client: "S3Client"
) -> None:
    inner = settings.model_copy(update={"s3_prefix": f"{settings.s3_prefix}team-a/"})
    other = settings.model_copy(update={"s3_prefix": f"{settings.s3_prefix}team-b/"})
    ours, theirs = ObjectStore(inner), ObjectStore(other)
    ours.put("staging/a", b"ours")
    s3_client.create_multipart_upload(Bucket=inner.s3_bucket, Key=f"{inner.s3_prefix}files/a")
    assert [item.key for item in ours.objects("staging/")] == ["staging/a"]
    assert [item.key for item in ours.open_uploads("files/")] == ["files/a"]
    assert [*theirs.objects(""), *theirs.open_uploads("")] == []
    assert theirs.size("staging/a") is None
    with pytest.raises(StagingError):
        theirs.get("staging/a")
    theirs.remove(next(ours.objects("staging/")))
    assert ours.get("staging/a") == b"ours"
    assert [item.key for item in store.objects("")] == ["team-a/staging/a"]
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"s3_prefix": "team-b/"}, "another EXPORTS_S3_PREFIX than"),
        ({"s3_endpoint_url": None}, "another EXPORTS_S3_ENDPOINT_URL than"),
        (
            {"s3_bucket": "secret", "s3_prefix": ""},
            "another EXPORTS_S3_BUCKET and EXPORTS_S3_PREFIX than",
        ),
    ],
    ids=["prefix", "endpoint", "bucket and prefix"],
)
def test_an_operator_is_told_which_settings_of_two_stores_differ_and_not_their_values(
    store: ObjectStore, settings: Settings, changes: dict[str, str | None], differs: str
) -> None:
    changed = settings.model_copy(update=changes)
    other = ObjectStore(changed)
    with pytest.raises(StoreDiffersError, match=differs) as refused:
        store.check_is(other.fingerprint)
    other.close()
    for told in (refused.value.msg, str(store.fingerprint), str(other.fingerprint)):
        for of in (settings, changed):
            values = (of.s3_endpoint_url, of.s3_bucket, of.s3_prefix)
            assert not [value for value in values if value and value in told]


def test_a_store_is_the_same_with_a_slash_after_its_address_and_where_none_was_named(
    store: ObjectStore, settings: Settings
) -> None:
    slash = settings.model_copy(update={"s3_endpoint_url": f"{settings.s3_endpoint_url}/"})
    other = ObjectStore(slash)
    for fingerprint in (other.fingerprint, None, {}):
        store.check_is(fingerprint)
    other.close()


def test_all_pages_of_a_listing_are_read(
    store: ObjectStore, traffic: Traffic, settings: Settings, s3_client: "S3Client"
) -> None:
    keys = [f"staging/{number}" for number in range(5)]
    for key in keys:
        store.put(key, b"x")
        s3_client.create_multipart_upload(
            Bucket=settings.s3_bucket, Key=f"{settings.s3_prefix}{key}"
        )
    # Real pages have 1,000 entries.
    traffic.with_parameters("ListObjects", MaxKeys=2)
    traffic.with_parameters("ListMultipartUploads", MaxUploads=2)
    assert [item.key for item in store.objects("staging/")] == keys
    assert sorted(item.key for item in store.open_uploads("staging/")) == keys
    assert traffic.operations().count("ListObjects") == 3
    assert traffic.operations().count("ListMultipartUploads") >= 3


@every_operation
def test_a_bucket_that_does_not_exist(
    settings: Settings, operation: Callable[[ObjectStore], object]
) -> None:
    error = _failure(settings, operation, s3_bucket="no-such-bucket")
    assert isinstance(error, BucketMissingError)
    assert error.msg == "There is no bucket named 'no-such-bucket'."


@every_operation
@pytest.mark.parametrize("wrong", ["s3_access_key_id", "s3_secret_access_key"])
def test_keys_that_the_store_refuses(
    settings: Settings, operation: Callable[[ObjectStore], object], wrong: str
) -> None:
    error = _failure(settings, operation, **{wrong: SecretStr("WR0NG")})
    assert isinstance(error, StoreAccessError)
    assert settings.s3_access_key_id
    assert settings.s3_secret_access_key
    for secret in (settings.s3_access_key_id, settings.s3_secret_access_key, SecretStr("WR0NG")):
        assert secret.get_secret_value() not in f"{error!r} {error.__cause__!r}"


@every_operation
def test_no_keys_at_all(
    settings: Settings,
    operation: Callable[[ObjectStore], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No profile of this machine, and no service that provides keys.
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = _failure(settings, operation, s3_access_key_id=None, s3_secret_access_key=None)
    assert isinstance(error, StoreAccessError)
    assert "There are no credentials" in error.msg


@every_operation
def test_a_store_that_cannot_be_reached(
    settings: Settings, operation: Callable[[ObjectStore], object]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # in use, but no program listens
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        error = _failure(settings, operation, s3_endpoint_url=address)
    assert isinstance(error, StoreUnavailableError)
    assert not error.permanent


@every_operation
def test_a_connection_that_is_lost(
    store: ObjectStore, traffic: Traffic, operation: Callable[[ObjectStore], object]
) -> None:
    for name in (
        *("ListObjects", "ListMultipartUploads", "PutObject", "GetObject", "HeadObject"),
        *("CreateMultipartUpload",),
    ):
        traffic.cut(name)
    with pytest.raises(StoreUnavailableError, match="ConnectionClosedError"):
        operation(store)
    assert len(traffic.sent) == 2, "retried once here; all other retries are Temporal's"


@pytest.mark.parametrize(
    ("variable", "what"),
    [("AWS_PROFILE", "ProfileNotFound"), ("AWS_CONFIG_FILE", "ConfigParseError")],
)
def test_a_mistake_in_the_files_of_the_sdk_is_explained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, what: str
) -> None:
    broken = tmp_path / "config"
    broken.write_text("aws_secret_access_key: s3cr3t")
    monkeypatch.setenv(variable, str(broken))
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # which has read them before
    with pytest.raises(SettingsError, match=what) as refused:
        ObjectStore(settings)
    assert "s3cr3t" not in refused.value.msg


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"s3_region": "not a region"}, "InvalidRegionError"),
        ({"s3_endpoint_url": "http://under_score:9000"}, "endpoint"),
    ],
)
def test_settings_that_are_not_valid_are_explained(
    settings: Settings, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(SettingsError, match=what):
        ObjectStore(settings.model_copy(update=changes))


def test_requests_have_no_headers_that_some_servers_do_not_support(
    store: ObjectStore, traffic: Traffic
) -> None:
    # Tencent COS and older servers do not support the newer checksums and trailers.
    for use in OPERATIONS.values():
        use(store)
    assert {"PutObject", "GetObject", "ListObjects"} <= set(traffic.operations())
    for operation, headers in traffic.sent:
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 "), operation
        assert not [name for name in headers if "checksum" in name or name == "x-amz-trailer"]
        assert "aws-chunked" not in headers.get("content-encoding", "")


def test_the_repr_of_a_store_shows_no_keys(store: ObjectStore, settings: Settings) -> None:
    assert settings.s3_access_key_id
    assert settings.s3_secret_access_key
    shown = f"{store!r} {store} {settings!r}"
    assert settings.s3_access_key_id.get_secret_value() not in shown
    assert settings.s3_secret_access_key.get_secret_value() not in shown


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_wrong_clock_of_this_machine_is_reported(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    wrong_time = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)
    with monkeypatch.context() as clock:
        clock.setattr("botocore.auth.get_current_datetime", lambda: wrong_time)
        with pytest.raises(ClockError, match="clock"):
            store.check()
