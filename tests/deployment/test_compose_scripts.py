"""The scripts of docker-compose.yml, run on the embedded servers."""

import asyncio
import json
import os
import secrets
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from dev import binaries
from exports import names
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from dev.endpoints import Endpoints

_COMPOSE = REPOSITORY / "compose"


async def _run(script: str, environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        "sh",
        str(_COMPOSE / script),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_the_namespace_has_its_search_attributes_however_often_the_script_runs(
    endpoints: "Endpoints", temporal_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "temporal").symlink_to(binaries.temporal())
    namespace = f"t-{secrets.token_hex(8)}"
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "TEMPORAL_ADDRESS": endpoints.temporal_address,
        "TEMPORAL_NAMESPACE": namespace,
    }
    for _ in range(2):
        assert await _run("temporal-namespace.sh", environment) == 0
    answer = await temporal_client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace)
    )
    ours = {key: kind for key, kind in answer.custom_attributes.items() if key.startswith("Export")}
    assert ours == dict.fromkeys(
        names.SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    )


async def test_both_databases_of_temporal_are_created_and_then_updated(
    tmp_path: Path,
) -> None:
    """Only the image has the schema tool: a stand-in records its arguments."""
    log = tmp_path / "log"
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\n', encoding="utf-8")
    tool.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert await _run("temporal-schema.sh", {"PATH": path}) == 0
    schema = "/etc/temporal/schema/postgresql/v12"
    assert log.read_text(encoding="utf-8").splitlines() == [
        f"--plugin postgres12 --database {database} {step}"
        for database, directory in (("temporal", "temporal"), ("temporal_visibility", "visibility"))
        for step in (
            "create-database",
            "setup-schema --version 0.0",
            f"update-schema --schema-dir {schema}/{directory}/versioned",
        )
    ]


async def test_the_schema_script_fails_if_a_step_fails(tmp_path: Path) -> None:
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text('#!/bin/sh\ncase "$*" in *setup-schema*) exit 1;; esac\n', encoding="utf-8")
    tool.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert await _run("temporal-schema.sh", {"PATH": path}) != 0


def test_an_s3_server_accepts_the_lifecycle_rules(s3_client: "S3Client") -> None:
    rules = json.loads((_COMPOSE / "bucket-lifecycle.json").read_text(encoding="utf-8"))
    bucket = f"t-{secrets.token_hex(8)}"
    s3_client.create_bucket(Bucket=bucket)
    try:
        s3_client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
        kept = s3_client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    finally:
        s3_client.delete_bucket(Bucket=bucket)
    parts, uploads = kept
    assert parts.get("Filter", {}).get("Prefix") == names.STAGING
    assert parts.get("Expiration", {}).get("Days") == 3
    assert uploads.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") == 3


def test_a_page_of_another_origin_may_read_a_file_by_its_link(s3_client: "S3Client") -> None:
    rules = json.loads((_COMPOSE / "bucket-cors.json").read_text(encoding="utf-8"))
    bucket = f"t-{secrets.token_hex(8)}"
    s3_client.create_bucket(Bucket=bucket)
    try:
        s3_client.put_object(Bucket=bucket, Key="a", Body=b"rows")
        link = s3_client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"})
        s3_client.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
        for method in ("GET", "OPTIONS"):
            headers = _headers_for_a_page(link, method)
            assert headers["access-control-allow-origin"] in ("*", "https://app.example.com")
            assert headers["access-control-allow-methods"] == "GET, HEAD"
            assert "Content-Disposition" in headers["access-control-expose-headers"]
        s3_client.delete_object(Bucket=bucket, Key="a")
    finally:
        s3_client.delete_bucket(Bucket=bucket)


def _headers_for_a_page(url: str, method: str) -> dict[str, str]:
    origin = {"Origin": "https://app.example.com"}
    if method == "OPTIONS":
        origin["Access-Control-Request-Method"] = "GET"
        origin["Access-Control-Request-Headers"] = "range"
    request = urllib.request.Request(url, headers=origin, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}
