"""Settings of a worker or a client, from the environment.

Temporal's own settings (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS, profiles) are not here:
`temporalio.envconfig` reads them, as every Temporal tool does.
"""

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Gt, Le
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from exports.errors import SettingsError, explain
from exports.names import DEFAULT_TASK_QUEUE

# A signature of version 4 is good for seven days at most:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (X-Amz-Expires).
_LONGEST_LINK = timedelta(days=7)


def _seconds(value: object) -> object:
    """Let a bare number be seconds, which pydantic takes only from numbers, not from text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


_Positive = Annotated[timedelta, BeforeValidator(_seconds), Gt(timedelta(0))]


class Settings(BaseSettings):
    """Everything that differs between one installation and another.

    Durations are seconds or ISO 8601 (`1800` or `PT30M`).
    """

    model_config = SettingsConfigDict(env_prefix="EXPORTS_", extra="ignore", frozen=True)

    mongo_uri: SecretStr = Field(description="MongoDB that holds the tasks")
    mongo_database: str = Field(default="exports", description="Database that holds the tasks")
    source_uri: SecretStr | None = Field(
        default=None, description="MongoDB that the reports read; the tasks' one if not set"
    )
    source_database: str | None = Field(
        default=None, description="Database that the reports read; the tasks' one if not set"
    )
    query_timeout: _Positive = Field(
        default=timedelta(minutes=10), description="Longest time of one aggregation (maxTimeMS)"
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="S3 endpoint; AWS's own if not set"
    )
    s3_public_endpoint_url: str | None = Field(
        default=None, description="Endpoint in the links, where clients reach another address"
    )
    s3_bucket: str = Field(description="Bucket for staged parts and finished files")
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
    reports_file: Path = Field(
        default=Path("exports.toml"), description="Where reports are defined"
    )
    task_queue: str = Field(
        default=DEFAULT_TASK_QUEUE, min_length=1, description="Temporal task queue"
    )
    url_ttl: Annotated[_Positive, Le(_LONGEST_LINK)] = Field(
        default=timedelta(minutes=30), description="How long a link is good (at most 7 days)"
    )
    retention: _Positive = Field(
        default=timedelta(hours=24), description="How long a finished file is kept"
    )
    max_concurrent_activities: Annotated[int, Gt(0)] = Field(
        default=8, description="Activities that a worker runs at once"
    )
    shutdown_grace: _Positive = Field(
        default=timedelta(seconds=30), description="How long a stopping worker finishes its work"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError(
                "EXPORTS_S3_ACCESS_KEY_ID and EXPORTS_S3_SECRET_ACCESS_KEY go together"
            )
        if self.s3_prefix and not self.s3_prefix.endswith("/"):
            raise ValueError("EXPORTS_S3_PREFIX ends with a slash")
        if self.retention < self.url_ttl:
            raise ValueError("EXPORTS_RETENTION is not shorter than EXPORTS_URL_TTL")
        return self

    @cached_property
    def source(self) -> tuple[SecretStr, str]:
        """URI and database that the reports read."""
        return (self.source_uri or self.mongo_uri, self.source_database or self.mongo_database)

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: A variable is missing or wrong; says which, never what it held.
        """
        try:
            return cls()  # pyright: ignore[reportCallIssue] -- the fields come from the environment
        except ValidationError as error:
            raise SettingsError(_in_words(error)) from None


def _in_words(error: ValidationError) -> str:
    prefix = Settings.model_config.get("env_prefix", "")
    missing = [
        f"{prefix}{str(item['loc'][0]).upper()}"
        for item in error.errors(include_input=False)
        if item["type"] == "missing"
    ]
    if missing:
        return f"These settings are needed and not set: {', '.join(missing)}."
    wrong = explain(error)
    for item in error.errors(include_input=False):
        for part in item["loc"][:1]:
            wrong = wrong.replace(f"{part}:", f"{prefix}{str(part).upper()}:")
    return f"Settings are wrong: {wrong}."
