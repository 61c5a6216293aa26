"""Settings of a worker or a client, from the environment.

Temporal's own settings (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS, profiles) are not here:
`temporalio.envconfig` reads them, as every Temporal tool does.
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
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from exports.encryption.keys import EncryptionKeys, EncryptionKeyText
from exports.errors import SettingsError, explain
from exports.models import DEFAULT_UNITS_SIDE_BY_SIDE
from exports.names import DEFAULT_TASK_QUEUE

# A signature of version 4 is good for seven days at most:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (X-Amz-Expires).
_LONGEST_LINK = timedelta(days=7)
# Far more than any file is kept, and far less than what the arithmetic of dates allows.
_LONGEST_RETENTION = timedelta(days=3650)
# maxTimeMS is a 32-bit integer: https://www.mongodb.com/docs/manual/reference/limits/
_LONGEST_QUERY = timedelta(days=24)
# https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
_LONGEST_DATABASE_NAME = 63
_NOT_IN_A_DATABASE_NAME = frozenset('/\\. "$*<>:|?\0')
# What botocore lets through besides ARNs: the union of what S3 and servers like it allow.
_BUCKET_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}|arn:\S+")
# Temporal writes a version as NAME.BUILD and as NAME:BUILD, so that no name has a dot or a colon:
# https://docs.temporal.io/worker-versioning#deployment-versions
_DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_ENDPOINT = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")


def _database_name(value: str) -> str:
    if not 1 <= len(value) <= _LONGEST_DATABASE_NAME or _NOT_IN_A_DATABASE_NAME & set(value):
        raise ValueError("is no name of a database")
    return value


def _bucket_name(value: str) -> str:
    if not _BUCKET_NAME.fullmatch(value):
        raise ValueError("is no name of a bucket")
    return value


def _deployment_name(value: str) -> str:
    if not _DEPLOYMENT_NAME.fullmatch(value):
        raise ValueError("is no name of a deployment; use letters, digits, - and _")
    return value


def _build_id(value: str) -> str:
    if not _BUILD_ID.fullmatch(value):
        raise ValueError("is no build id; use letters, digits and . _ + -")
    return value


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError("is http://host:port or https://host:port, without a user")
    return value


def _seconds(value: object) -> object:
    """Let a bare number be seconds, which pydantic takes only from numbers, not from text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


_Positive = Annotated[timedelta, BeforeValidator(_seconds), Gt(timedelta(0))]
_Database = Annotated[str, AfterValidator(_database_name)]
_Endpoint = Annotated[str, AfterValidator(_endpoint)]


class Settings(BaseSettings):
    """Everything that differs between one installation and another.

    Durations are seconds or ISO 8601 (`1800` or `PT30M`).
    """

    model_config = SettingsConfigDict(
        env_prefix="EXPORTS_",
        # A container often sets what it was given nothing for.
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    mongo_uri: SecretStr = Field(description="MongoDB that holds the tasks")
    mongo_database: _Database = Field(
        default="exports", description="Database that holds the tasks"
    )
    source_uri: SecretStr | None = Field(
        default=None, description="MongoDB that the reports read; the tasks' one if not set"
    )
    source_database: _Database | None = Field(
        default=None, description="Database that the reports read; the tasks' one if not set"
    )
    query_timeout: Annotated[_Positive, Le(_LONGEST_QUERY)] = Field(
        default=timedelta(minutes=10), description="Longest time of one aggregation (maxTimeMS)"
    )
    s3_endpoint_url: _Endpoint | None = Field(
        default=None, description="S3 endpoint; AWS's own if not set"
    )
    s3_public_endpoint_url: _Endpoint | None = Field(
        default=None, description="Endpoint in the links, where clients reach another address"
    )
    s3_bucket: Annotated[str, AfterValidator(_bucket_name)] = Field(
        description="Bucket for staged parts and finished files"
    )
    s3_prefix: str = Field(
        default="", description="Prefix of all keys, for a bucket that is shared (`team-a/`)"
    )
    s3_region: str = Field(default="us-east-1", description="Region that requests are signed for")
    s3_access_key_id: SecretStr | None = Field(
        default=None, description="Access key; the SDK's own chain of credentials if not set"
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret key that belongs to the access key"
    )
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="`virtual` for Tencent COS, `path` for most local servers"
    )
    s3_checksums: Literal["when_required", "when_supported"] = Field(
        default="when_required",
        description="`when_supported` where the store knows S3's newer checksums, as AWS does",
    )
    s3_ca_bundle: Path | None = Field(
        default=None,
        description="Certificates (PEM) to trust at the object store; the machine's if not set",
    )
    encryption_key: EncryptionKeyText | None = Field(
        default=None,
        description="Keys for what is sent to Temporal, `ID:KEY,ID:KEY`: the first encrypts, all "
        "decrypt. Not encrypted if not set",
    )
    reports_file: Path = Field(
        default=Path("exports.toml"), description="Where reports are defined"
    )
    task_queue: str = Field(
        default=DEFAULT_TASK_QUEUE, min_length=1, description="Temporal task queue"
    )
    url_ttl: Annotated[_Positive, Ge(timedelta(seconds=1)), Le(_LONGEST_LINK)] = Field(
        default=timedelta(minutes=30), description="How long a link is good (at most 7 days)"
    )
    retention: Annotated[_Positive, Le(_LONGEST_RETENTION)] = Field(
        default=timedelta(hours=24), description="How long a finished file is kept"
    )
    max_concurrent_activities: Annotated[int, Gt(0)] = Field(
        default=8,
        description="Short steps, and steps of small exports, that a worker runs at once",
    )
    max_concurrent_bulk_activities: Annotated[int, Gt(0)] = Field(
        default=4, description="Heavy steps of row-level exports that a worker runs at once"
    )
    units_side_by_side: Annotated[int, Gt(0)] = Field(
        default=DEFAULT_UNITS_SIDE_BY_SIDE,
        description="Units of one export that are read at once, on whichever workers",
    )
    worker_takes: Literal["all", "small", "bulk"] = Field(
        default="all", description="Which steps a worker takes: `small`, `bulk` or both"
    )
    shutdown_grace: _Positive = Field(
        default=timedelta(seconds=30), description="How long a stopping worker finishes its work"
    )
    deployment_name: Annotated[str, AfterValidator(_deployment_name)] | None = Field(
        default=None,
        description="Worker deployment, for worker versioning; goes with `EXPORTS_BUILD_ID`",
    )
    build_id: Annotated[str, AfterValidator(_build_id)] | None = Field(
        default=None, description="Version of this worker within its deployment"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError(
                "EXPORTS_S3_ACCESS_KEY_ID and EXPORTS_S3_SECRET_ACCESS_KEY go together"
            )
        if (self.deployment_name is None) != (self.build_id is None):
            raise ValueError("EXPORTS_DEPLOYMENT_NAME and EXPORTS_BUILD_ID go together")
        if self.s3_prefix and not self.s3_prefix.endswith("/"):
            raise ValueError("EXPORTS_S3_PREFIX ends with a slash")
        if self.retention < self.url_ttl:
            raise ValueError("EXPORTS_RETENTION is not shorter than EXPORTS_URL_TTL")
        return self

    @cached_property
    def source(self) -> tuple[SecretStr, str]:
        """URI and database that the reports read."""
        return (self.source_uri or self.mongo_uri, self.source_database or self.mongo_database)

    @property
    def encryption_keys(self) -> EncryptionKeys:
        """What payloads are encrypted with."""
        return EncryptionKeys.of(self.encryption_key)

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: A variable is missing or wrong; says which, never what it held.
        """
        try:
            return cls()  # pyright: ignore[reportCallIssue] -- the fields come from the environment
        except ValidationError as error:
            raise SettingsError(in_words(error)) from None


def in_words(error: ValidationError) -> str:
    """Say what is wrong with the environment, by the names of its variables."""
    prefix = Settings.model_config.get("env_prefix", "")
    missing = [
        f"{prefix}{str(item['loc'][0]).upper()}"
        for item in error.errors(include_input=False)
        if item["type"] == "missing"
    ]
    if missing:
        return f"These settings are needed and not set: {', '.join(missing)}."
    wrong = explain(error).replace("input: ", "")  # what concerns several says so itself
    for item in error.errors(include_input=False):
        for part in item["loc"][:1]:
            wrong = wrong.replace(f"{part}:", f"{prefix}{str(part).upper()}:")
    return f"Settings are wrong: {wrong}."
