"""Settings of workers and clients, from environment variables.

Temporal's own settings (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS, profiles) are not here:
`temporalio.envconfig` reads them, as in every Temporal tool. `docs/configuration.md` is generated
from the descriptions below.
"""

import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)

from exports.encryption.keys import EncryptionKeys, EncryptionKeyText
from exports.environment import EnvironmentSettings
from exports.message_settings import MessageSettings
from exports.models import (
    DEFAULT_HEARTBEAT,
    DEFAULT_OUTAGE_PATIENCE,
    DEFAULT_TASKS_KEPT,
    DEFAULT_UNITS_SIDE_BY_SIDE,
)
from exports.names import DEFAULT_TASK_QUEUE
from exports.runtime.listening import ListenAddress
from exports.runtime.log_settings import LogSettings

# A presigned URL of signature version 4 is valid for seven days at most:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (X-Amz-Expires).
_MAX_URL_TTL = timedelta(days=7)
# Longer than any file is kept, and within what Python can add to a date.
_MAX_RETENTION = timedelta(days=3650)
_MAX_PATIENCE = timedelta(hours=1)
# Six of them are no more than `exports.clock.MAX_SKEW_MS`, which says why.
_MAX_HEARTBEAT = timedelta(seconds=10)
# maxTimeMS is a 32-bit integer: https://www.mongodb.com/docs/manual/reference/limits/
_MAX_QUERY_TIMEOUT = timedelta(days=24)
# https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
_MAX_DATABASE_NAME_CHARACTERS = 63
_NOT_IN_A_DATABASE_NAME = frozenset('/\\. "$*<>:|?\0')
# What botocore accepts, apart from ARNs: it has to suit S3 and servers like it.
_BUCKET_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}|arn:\S+")
# Temporal writes a version as NAME.BUILD or NAME:BUILD, so a name has no dot and no colon:
# https://docs.temporal.io/worker-versioning#deployment-versions
_DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_ENDPOINT = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")


def _database_name(value: str) -> str:
    too_long = len(value) > _MAX_DATABASE_NAME_CHARACTERS
    if not value or too_long or _NOT_IN_A_DATABASE_NAME & set(value):
        raise ValueError("is not a valid database name")
    return value


def _bucket_name(value: str) -> str:
    if not _BUCKET_NAME.fullmatch(value):
        raise ValueError("is not a valid bucket name")
    return value


def _deployment_name(value: str) -> str:
    if not _DEPLOYMENT_NAME.fullmatch(value):
        raise ValueError("is not a valid deployment name; use letters, digits, - and _")
    return value


def _build_id(value: str) -> str:
    if not _BUILD_ID.fullmatch(value):
        raise ValueError("is not a valid build id; use letters, digits and . _ + -")
    return value


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError("must be http://host:port or https://host:port, without a user name")
    return value


def _kept(value: timedelta) -> timedelta:
    if timedelta(0) != value < timedelta(days=1):
        raise ValueError("must be at least a day, or 0 for ever")
    return value


def _seconds(value: object) -> object:
    """Read a bare number as seconds: pydantic does so for numbers, but not for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# It comes last: with constraints outside of it, pydantic's messages have no readable limits.
_Seconds = BeforeValidator(_seconds)
_Database = Annotated[str, AfterValidator(_database_name)]
_Endpoint = Annotated[str, AfterValidator(_endpoint)]


class ReportsSettings(EnvironmentSettings):
    """The one setting that is needed to list the reports, on a machine without servers."""

    reports_file: Path = Field(
        default=Path("exports.toml"), description="File with the definitions of the reports"
    )


class Settings(ReportsSettings, MessageSettings, LogSettings):
    """Settings of workers and clients. Durations are in seconds or ISO 8601: `1800`, `PT30M`."""

    mongo_uri: SecretStr = Field(
        description="Connection string of the MongoDB that holds the tasks"
    )
    mongo_database: _Database = Field(
        default="exports", description="Database that holds the tasks"
    )
    source_uri: SecretStr | None = Field(
        default=None,
        description="Connection string of the MongoDB that reports read. Default: the tasks'",
    )
    source_database: _Database | None = Field(
        default=None, description="Database that reports read. Default: the tasks'"
    )
    query_timeout: Annotated[timedelta, Gt(timedelta(0)), Le(_MAX_QUERY_TIMEOUT), _Seconds] = Field(
        default=timedelta(minutes=10), description="Time limit of one aggregation (maxTimeMS)"
    )
    s3_endpoint_url: _Endpoint | None = Field(
        default=None, description="Endpoint of the object store. Default: AWS S3"
    )
    s3_public_endpoint_url: _Endpoint | None = Field(
        default=None,
        description="Endpoint in download links, if clients reach the store at another address",
    )
    s3_public_endpoint_is_bucket: bool = Field(
        default=False,
        description="`on`: that address is the bucket's own host, such as a custom domain, so that "
        "links have no bucket in host or path",
    )
    s3_bucket: Annotated[str, AfterValidator(_bucket_name)] = Field(
        description="Bucket for staged parts and finished files"
    )
    s3_prefix: str = Field(
        default="",
        description="Prefix of all keys, for a shared bucket; ends with a slash: `team-a/`",
    )
    s3_region: str = Field(
        default="us-east-1", description="Region of the bucket, for signing requests"
    )
    s3_access_key_id: SecretStr | None = Field(
        default=None,
        description="Access key. Default: what the AWS SDK finds, such as the role of the machine",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret key of the access key"
    )
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Where the bucket is in an address: in the host name (`virtual`) or in the "
        "`path`. `auto`: `virtual` for AWS and Tencent COS, `path` for all others",
    )
    s3_checksums: Literal["when_required", "when_supported"] = Field(
        default="when_required",
        description="`when_supported` if the store supports the newer checksums of S3, as AWS "
        "does: what is sent is checked with SHA-256",
    )
    s3_ca_bundle: Path | None = Field(
        default=None,
        description="Certificates (PEM) to trust for the object store. Default: the machine's",
    )
    encryption_key: EncryptionKeyText | None = Field(
        default=None,
        description="Keys for payloads in Temporal, `ID:KEY,ID:KEY`: the first encrypts, all "
        "decrypt. Default: payloads are not encrypted",
    )
    webhook_encryption_key: EncryptionKeyText | None = Field(
        default=None,
        description="Keys for the secrets of webhooks in the database, in the same form. Default: "
        "`EXPORTS_ENCRYPTION_KEY`; without that either, nobody can add a webhook",
    )
    webhook_loopback: bool = Field(
        default=False,
        description="`on`: webhooks may lead to this machine itself, also without TLS. Only for "
        "development: `make dev` sets it",
    )
    task_queue: str = Field(
        default=DEFAULT_TASK_QUEUE,
        min_length=1,
        description="Temporal task queue of this installation",
    )
    url_ttl: Annotated[timedelta, Ge(timedelta(seconds=1)), Le(_MAX_URL_TTL), _Seconds] = Field(
        default=timedelta(minutes=30),
        description="How long a download link is valid, at most 7 days",
    )
    short_url_ttl: Annotated[timedelta, Ge(timedelta(seconds=1)), Le(_MAX_URL_TTL), _Seconds] = (
        Field(
            default=timedelta(minutes=5),
            description="How long a link is valid that is made for one download at once",
        )
    )
    join_within: Annotated[timedelta, Ge(timedelta(0)), Le(_MAX_RETENTION), _Seconds] = Field(
        default=timedelta(minutes=10),
        description="How long after its end an export is still given to the same person who asks "
        "for the same again. 0: everybody who asks gets a new export",
    )
    quota_open: Annotated[int, Ge(0)] = Field(
        default=10,
        description="How many exports of one person may be open: not ended yet. 0: no limit",
    )
    quota_per_day: Annotated[int, Ge(0)] = Field(
        default=200,
        description="How many exports one person may ask for on one day, in UTC. 0: no limit",
    )
    quota_recurring: Annotated[int, Ge(0)] = Field(
        default=20,
        description="How many recurring exports one person may have. 0: no limit",
    )
    tasks_kept: Annotated[timedelta, AfterValidator(_kept), Le(_MAX_RETENTION), _Seconds] = Field(
        default=DEFAULT_TASKS_KEPT,
        description="How long a task, with its audit record and its idempotency keys, is kept "
        "after its end, at least a day. 0: for ever",
    )
    retention: Annotated[timedelta, Gt(timedelta(0)), Le(_MAX_RETENTION), _Seconds] = Field(
        default=timedelta(hours=24),
        description="How long a finished file is kept, at least as long as its link is valid",
    )
    orphans_every: Annotated[timedelta, Ge(timedelta(0)), Le(_MAX_RETENTION), _Seconds] = Field(
        default=timedelta(hours=1),
        description="How often sweeps look through the whole bucket for what no export needs. "
        "0: each sweep",
    )
    max_concurrent_activities: Annotated[int, Gt(0)] = Field(
        default=8,
        description="Activities of small exports, and other short ones, that a worker runs at once",
    )
    max_concurrent_bulk_activities: Annotated[int, Gt(0)] = Field(
        default=4,
        description="Activities that read and write row-level exports, that a worker runs at once",
    )
    units_side_by_side: Annotated[int, Gt(0)] = Field(
        default=DEFAULT_UNITS_SIDE_BY_SIDE,
        description="Units of one export that are read at once, by all workers together",
    )
    outage_patience: Annotated[timedelta, Ge(timedelta(0)), Le(_MAX_PATIENCE), _Seconds] = Field(
        default=DEFAULT_OUTAGE_PATIENCE,
        description="How long an attempt at a step waits for a server that is away, before it "
        "counts as failed; at most an hour. 0: not at all",
    )
    heartbeat: Annotated[timedelta, Ge(timedelta(seconds=1)), Le(_MAX_HEARTBEAT), _Seconds] = Field(
        default=DEFAULT_HEARTBEAT,
        description="Time between two heartbeats of a step, 1 to 10 seconds: so soon it hears of a "
        "cancel. After six times as long without one, its worker counts as lost",
    )
    worker_takes: Literal["all", "small", "bulk"] = Field(
        default="all",
        description="Which activities a worker runs: of `small` exports, `bulk` exports, or `all`",
    )
    max_concurrent_deliveries: Annotated[int, Gt(0)] = Field(
        default=16, description="Messages that a worker sends at once"
    )
    public_url: _Endpoint | None = Field(
        default=None,
        description="Base address of the HTTP API, for the address of a file in messages: "
        "`https://exports.example.com`. Default: messages have no address",
    )
    watch: bool = Field(
        default=True,
        description="`off`: a worker does not watch for what other systems insert into "
        "`ExportTasks`; the next sweep starts it",
    )
    metrics_listen: ListenAddress | None = Field(
        default=None,
        description="Address and port of the Prometheus endpoint of a worker or of the HTTP API, "
        "`127.0.0.1:9464`. Default: there is none",
    )
    shutdown_grace: Annotated[timedelta, Gt(timedelta(0)), _Seconds] = Field(
        default=timedelta(seconds=30),
        description="How long a worker that is stopped may go on to finish its activities",
    )
    deployment_name: Annotated[str, AfterValidator(_deployment_name)] | None = Field(
        default=None,
        description="Worker deployment, for worker versioning; needs `EXPORTS_BUILD_ID`",
    )
    build_id: Annotated[str, AfterValidator(_build_id)] | None = Field(
        default=None, description="Version of this worker in its deployment"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError(
                "EXPORTS_S3_ACCESS_KEY_ID and EXPORTS_S3_SECRET_ACCESS_KEY must be set together"
            )
        if self.s3_public_endpoint_is_bucket and self.s3_public_endpoint_url is None:
            raise ValueError(
                "EXPORTS_S3_PUBLIC_ENDPOINT_IS_BUCKET needs EXPORTS_S3_PUBLIC_ENDPOINT_URL"
            )
        if (self.deployment_name is None) != (self.build_id is None):
            raise ValueError("EXPORTS_DEPLOYMENT_NAME and EXPORTS_BUILD_ID must be set together")
        if self.s3_prefix and not self.s3_prefix.endswith("/"):
            raise ValueError("EXPORTS_S3_PREFIX must end with a slash")
        if self.retention < self.url_ttl:
            raise ValueError("EXPORTS_RETENTION must not be shorter than EXPORTS_URL_TTL")
        return self

    @cached_property
    def source(self) -> tuple[SecretStr, str]:
        """The connection string and the database that the reports read."""
        return (self.source_uri or self.mongo_uri, self.source_database or self.mongo_database)

    @property
    def encryption_keys(self) -> EncryptionKeys:
        """The keys that payloads are encrypted with."""
        return EncryptionKeys.of(self.encryption_key)

    @property
    def webhook_keys(self) -> EncryptionKeys:
        """The keys that the secrets of webhooks are encrypted with; empty if there are none."""
        return EncryptionKeys.of(self.webhook_encryption_key or self.encryption_key)
