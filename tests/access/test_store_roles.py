"""The policies in docs/policies, enforced by an object store for users with these roles."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError
from temporalio.client import Client

from dev import object_store
from dev.endpoints import Endpoints
from exports import names
from exports.connections import Connections
from exports.errors import StoreAccessError
from exports.models import TaskStatus
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.source.database import Source
from exports.storage.bucket import ObjectStore
from exports.storage.probe import probe_store
from exports.storage.upload import PART_SIZE
from exports.temporal.converter import data_converter
from tests.support.lone_servers import LoneStore
from tests.support.paths import REPOSITORY
from tests.support.service import USER, Service, downloaded, insert_orders, open_service
from worker import at_work, create_workers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLICIES: Final = REPOSITORY / "docs" / "policies"
OTHER: Final = "other"
KEYS: Final = ("files/a", "staging/a", "elsewhere/a")
USERS: Final = {
    "writer": ["s3-writer"],
    "signer": ["s3-signer"],
    "client": ["s3-signer", "s3-remover"],
    "purger": ["s3-purger"],
    "worker": ["s3-writer", "s3-purger"],
    "nobody": [],
}

Operation = Callable[["S3Client", str], object]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("acme-exports", "exports")


@pytest.fixture(scope="module")
def store_with_roles() -> Iterator[LoneStore]:
    policies = {path.stem: _text(path) for path in POLICIES.glob("s3-*er.json")}
    with LoneStore(policies, USERS) as servers:
        admin = object_store.connect(servers.endpoints)
        for key in KEYS:
            admin.put_object(Bucket="exports", Key=key, Body=b"rows")
        admin.create_bucket(Bucket=OTHER)
        admin.put_object(Bucket=OTHER, Key="files/a", Body=b"rows")
        admin.close()
        yield servers


def _endpoints(servers: LoneStore, user: str) -> Endpoints:
    keys = servers.keys[user]
    return servers.endpoints.model_copy(
        update={
            "s3_access_key_id": keys.access_key_id,
            "s3_secret_access_key": keys.secret_access_key,
        }
    )


def _settings(settings: Settings, servers: LoneStore, user: str) -> Settings:
    endpoints = _endpoints(servers, user)
    return settings.model_copy(
        update={
            "s3_endpoint_url": endpoints.s3_endpoint_url,
            "s3_access_key_id": endpoints.s3_access_key_id,
            "s3_secret_access_key": endpoints.s3_secret_access_key,
            "s3_prefix": "",
        }
    )


def _multipart(client: "S3Client", key: str) -> None:
    upload = client.create_multipart_upload(Bucket="exports", Key=key)["UploadId"]
    part = client.upload_part(
        Bucket="exports", Key=key, UploadId=upload, PartNumber=1, Body=b"rows"
    )
    client.complete_multipart_upload(
        Bucket="exports",
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )


# Operations on a key in the bucket, by the permission that they need.
OBJECTS: dict[str, Operation] = {
    "read": lambda client, key: client.get_object(Bucket="exports", Key=key),
    "head": lambda client, key: client.head_object(Bucket="exports", Key=key),
    "put": lambda client, key: client.put_object(Bucket="exports", Key=f"{key}-2", Body=b"rows"),
    "put in parts": lambda client, key: _multipart(client, f"{key}-3"),
    "remove": lambda client, key: client.delete_object(Bucket="exports", Key=f"{key}-4"),
    "list": lambda client, key: client.list_objects(
        Bucket="exports", Prefix=f"{key.partition('/')[0]}/"
    ),
    "uploads": lambda client, key: client.list_multipart_uploads(
        Bucket="exports", Prefix=f"{key.partition('/')[0]}/"
    ),
}
# Operations that no role may do.
NEVER: dict[str, Operation] = {
    "list all": lambda client, _: client.list_objects(Bucket="exports"),
    "read elsewhere": lambda client, _: client.get_object(Bucket=OTHER, Key="files/a"),
    "write elsewhere": lambda client, _: client.put_object(Bucket=OTHER, Key="files/b", Body=b""),
    "remove elsewhere": lambda client, _: client.delete_object(Bucket=OTHER, Key="files/a"),
    "list elsewhere": lambda client, _: client.list_objects(Bucket=OTHER, Prefix="files/"),
    "new bucket": lambda client, _: client.create_bucket(Bucket="new-bucket"),
    "remove bucket": lambda client, _: client.delete_bucket(Bucket=OTHER),
    "make public": lambda client, _: client.put_bucket_policy(
        Bucket="exports", Policy=_public_policy()
    ),
    "acl": lambda client, _: client.put_bucket_acl(Bucket="exports", ACL="public-read"),
    "rules": lambda client, _: client.delete_bucket_lifecycle(Bucket="exports"),
    "copy from elsewhere": lambda client, _: client.copy_object(
        Bucket="exports", Key="files/c", CopySource={"Bucket": OTHER, "Key": "files/a"}
    ),
}
MAY: Final = {
    "writer": {
        "files/a": {"read", "head", "put", "put in parts", "list"},
        "staging/a": {"read", "head", "put", "put in parts"},
    },
    "signer": {"files/a": {"read", "head", "list"}},
    "client": {"files/a": {"read", "head", "list", "remove"}},
    "purger": {
        "files/a": {"remove", "list", "uploads"},
        "staging/a": {"remove", "list", "uploads"},
    },
    "worker": {"files/a": {*OBJECTS}, "staging/a": {*OBJECTS}},
    "nobody": dict[str, set[str]](),
}


def _public_policy() -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _is_refused(operation: Operation, client: "S3Client", key: str) -> bool:
    try:
        operation(client, key)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        assert code in ("AccessDenied", "403"), code
        return True
    return False


@pytest.mark.parametrize("role", USERS)
def test_each_role_may_do_what_it_needs_and_nothing_else(
    store_with_roles: LoneStore, role: str
) -> None:
    client = object_store.connect(_endpoints(store_with_roles, role), attempts=1)
    try:
        for key in KEYS:
            allowed = {
                name
                for name, operation in OBJECTS.items()
                if not _is_refused(operation, client, key)
            }
            assert allowed == MAY[role].get(key, set()), key
        for name, operation in NEVER.items():
            assert _is_refused(operation, client, ""), name
    finally:
        client.close()


def _can_abort(client: "S3Client", key: str, admin: "S3Client") -> bool:
    upload = admin.create_multipart_upload(Bucket="exports", Key=key)["UploadId"]
    try:
        client.abort_multipart_upload(Bucket="exports", Key=key, UploadId=upload)
    except ClientError:
        admin.abort_multipart_upload(Bucket="exports", Key=key, UploadId=upload)
        return False
    return True


@pytest.mark.parametrize("role", USERS)
def test_an_upload_is_aborted_by_those_who_may(store_with_roles: LoneStore, role: str) -> None:
    admin = object_store.connect(store_with_roles.endpoints)
    client = object_store.connect(_endpoints(store_with_roles, role), attempts=1)
    try:
        for key in KEYS:
            may = role not in ("signer", "client", "nobody") and not key.startswith("elsewhere")
            assert _can_abort(client, f"{key}-5", admin) is may, key
    finally:
        client.close()
        admin.close()


@asynccontextmanager
async def _working_as(
    settings: Settings, service: Service, store: ObjectStore
) -> AsyncGenerator[None]:
    """Run a worker with its own store and Temporal client."""
    temporal = await Client.connect(
        service.temporal.service_client.config.target_host, data_converter=data_converter()
    )
    connections = Connections(temporal=temporal, mongo=service.connections.mongo, store=store)
    source = Source(connections.mongo[settings.mongo_database], settings.query_timeout)
    reports = load_reports(settings.reports_file)
    async with at_work(create_workers(settings, reports, connections, source)):
        yield


async def test_the_roles_are_enough_for_whole_exports(
    settings: Settings, temporal_address: str, store_with_roles: LoneStore
) -> None:
    client_settings = _settings(settings, store_with_roles, "signer")
    small = _settings(settings, store_with_roles, "worker").model_copy(
        update={"worker_takes": "small"}
    )
    bulk = _settings(settings, store_with_roles, "writer").model_copy(
        update={"worker_takes": "bulk"}
    )
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_service(client_settings, temporal_address))
        await insert_orders(service.database)
        for mine in (small, bulk):
            store = ObjectStore(mine)
            stack.callback(store.close)
            await asyncio.to_thread(store.check)
            await stack.enter_async_context(_working_as(mine, service, store))
        await asyncio.to_thread(service.store.check)
        days = {"from": "2026-10-01", "to": "2026-11-01"}
        for kind, params in (("statsMonthly", None), ("recordsDetail", days)):
            given: dict[str, Any] = {"params": params} if params else {}
            task = await service.exported(kind, **given)
            assert (task.status, task.rows, task.error) == (TaskStatus.DONE, 3, None)
            renewed = await service.client.renew(task.id, created_by=USER)
            assert downloaded(renewed.download_url)
            assert len((await service.client.preview(task.id, created_by=USER)).rows) == 3
            await service.run_of(task.id).result()
        # A signer removes no file. The task ends all the same, and the sweep removes the file.
        removed = await service.client.delete_file(task.id, created_by=USER)
        assert removed.status is TaskStatus.EXPIRED
        assert service.store.size(removed.key_of_file()) is not None
        await service.database["ExportTasks"].update_many({}, {"$set": {"purgeAt": 1}})
        assert (await service.client.sweep()).purged == 1
        # Other objects are those of other tests. The signer may not list them all.
        admin = object_store.connect(store_with_roles.endpoints)
        left = admin.list_objects(Bucket="exports").get("Contents", [])
        admin.close()
        assert not [item for item in left if task.id in item.get("Key", "")]


def test_the_rights_of_a_worker_are_those_that_a_probe_of_the_bucket_needs(
    settings: Settings, store_with_roles: LoneStore
) -> None:
    found = {
        user: [
            result.name
            for result in probe_store(_settings(settings, store_with_roles, user), thorough=False)
            if result.outcome != "ok"
        ]
        for user in ("worker", "writer", "purger")
    }
    assert found == {"worker": [], "writer": ["delete", "clean-up"], "purger": ["put"]}


def test_a_writer_aborts_an_upload_that_it_cannot_finish(
    settings: Settings, store_with_roles: LoneStore
) -> None:
    store = ObjectStore(_settings(settings, store_with_roles, "writer"))
    stop = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x" * PART_SIZE
        yield b"x" * PART_SIZE
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.upload("files/t/r/b/x.csv", pieces(), media_type="a/b", file_name="x", stop=stop)
    store.close()
    admin = object_store.connect(store_with_roles.endpoints)
    uploads = admin.list_multipart_uploads(Bucket="exports", Prefix="files/t/").get("Uploads", [])
    admin.close()
    assert uploads == []


def test_a_client_with_the_signer_role_can_only_read_files(
    settings: Settings, store_with_roles: LoneStore
) -> None:
    store = ObjectStore(_settings(settings, store_with_roles, "signer"))
    try:
        assert downloaded(store.link("files/a", file_name="a", ttl=timedelta(minutes=1)).url)
        assert store.size("files/a") == 4
        assert store.size("files/none") is None, (
            "a missing file is reported as missing, not as refused"
        )
        for operation in (
            lambda: store.put("files/x", b""),
            lambda: store.remove_all(["files/a"]),
            lambda: store.get("staging/a"),
            lambda: list(store.objects(names.STAGING)),
        ):
            with pytest.raises(StoreAccessError):
                operation()
    finally:
        store.close()


def test_the_bucket_policy_refuses_plain_http(
    settings: Settings, store_with_roles: LoneStore
) -> None:
    policy = json.loads(_text(POLICIES / "s3-bucket.json"))
    # The other statement has a condition that this server does not support.
    plain_http = policy["Statement"][0]
    # Not for the bucket itself: over plain HTTP, the policy could not be removed again.
    objects = [item for item in _as_list(plain_http["Resource"]) if item.endswith("/*")]
    without_bucket = {**policy, "Statement": [{**plain_http, "Resource": objects}]}
    admin = object_store.connect(store_with_roles.endpoints)
    worker = ObjectStore(_settings(settings, store_with_roles, "worker"))
    try:
        assert _refused_reads(worker) == []
        admin.put_bucket_policy(Bucket="exports", Policy=json.dumps(without_bucket))
        assert _refused_reads(worker) == ["read file", "link file", "read staged", "link staged"]
    finally:
        admin.delete_bucket_policy(Bucket="exports")
        worker.close()
        admin.close()


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _refused_reads(store: ObjectStore) -> list[str]:
    def follow(key: str) -> None:
        downloaded(store.link(key, file_name="a", ttl=timedelta(minutes=1)).url)

    tries: dict[str, Callable[[], object]] = {
        "read file": lambda: store.get("files/a"),
        "link file": lambda: follow("files/a"),
        "read staged": lambda: store.get("staging/a"),
        "link staged": lambda: follow("staging/a"),
    }
    refused: list[str] = []
    for name, read in tries.items():
        try:
            read()
        except (StoreAccessError, OSError):  # an HTTPError is an OSError
            refused.append(name)
    return refused


def _actions(path: Path) -> set[str]:
    statements = json.loads(path.read_text(encoding="utf-8"))["statement"]
    return {action.removeprefix("name/cos:") for part in statements for action in part["action"]}


def test_the_policies_for_cos_allow_the_same_as_those_for_s3() -> None:
    reads, lists = {"HeadObject", "GetObject"}, {"GetBucket"}
    writes = {"PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
    abort = {"AbortMultipartUpload"}
    assert _actions(POLICIES / "cos-signer.json") == reads | lists
    assert _actions(POLICIES / "cos-remover.json") == {"DeleteObject"}
    assert _actions(POLICIES / "cos-writer.json") == reads | lists | writes | abort
    assert _actions(POLICIES / "cos-purger.json") == lists | abort | {
        "DeleteObject",
        "ListMultipartUploads",
    }


def test_who_reads_may_decrypt_and_who_writes_may_also_make_keys_for_data() -> None:
    for name in ("kms-writer.json", "kms-signer.json"):
        [statement] = json.loads((POLICIES / name).read_text(encoding="utf-8"))["Statement"]
        ours = {action.removeprefix("kms:") for action in _as_list(statement["Action"])}
        actions = _actions(POLICIES / f"cos-{name}")
        assert {action.removeprefix("name/kms:") for action in actions} == ours
        assert ours == {"Decrypt", *(["GenerateDataKey"] if "writer" in name else [])}


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_no_policy_has_a_wildcard_for_all_actions_or_resources(path: Path) -> None:
    policy = json.loads(path.read_text(encoding="utf-8"))
    for statement in policy.get("Statement") or policy["statement"]:
        if (statement.get("Effect") or statement["effect"]).lower() == "deny":
            continue
        assert "*" not in json.dumps(statement.get("Action") or statement["action"])
        assert '"*"' not in json.dumps(statement.get("Resource") or statement["resource"])
        assert "Principal" not in statement
