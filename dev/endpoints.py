"""Addresses and credentials of the embedded servers, and the settings made from them."""

import json
import secrets
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr

from dev.mongo_users import ADMIN, READER, SOURCE_DATABASE, TASKS, Passwords
from dev.ports import LOOPBACK

BUCKET: Final = "exports"
TASKS_DATABASE: Final = "exports"
REGION: Final = "us-east-1"


class Endpoints(BaseModel):
    """Addresses of the running servers and of the HTTP API, and their throw-away credentials."""

    model_config = ConfigDict(frozen=True)

    temporal_address: str
    web_ui_url: str
    mongo_uri: str
    mongo_database: str = TASKS_DATABASE
    mongo_passwords: Passwords | None = None
    s3_endpoint_url: str
    s3_bucket: str = BUCKET
    s3_region: str = REGION
    s3_access_key_id: SecretStr
    s3_secret_access_key: SecretStr
    api_url: str

    @classmethod
    def of(cls, ports: dict[str, int], keys: "Keys", passwords: Passwords | None = None) -> Self:
        """Return the addresses for the chosen ports.

        Args:
            ports: The ports.
            keys: Keys of the object store.
            passwords: Passwords of the database; None if it has no access control.
        """
        return cls(
            temporal_address=f"{LOOPBACK}:{ports['temporal']}",
            web_ui_url=f"http://{LOOPBACK}:{ports['web_ui']}",
            mongo_uri=f"mongodb://{LOOPBACK}:{ports['mongo']}",
            s3_endpoint_url=f"http://{LOOPBACK}:{ports['s3']}",
            s3_access_key_id=keys.access_key_id,
            s3_secret_access_key=keys.secret_access_key,
            mongo_passwords=passwords,
            api_url=f"http://{LOOPBACK}:{ports['api']}",
        )

    @property
    def source_database(self) -> str:
        """Database that reports read; with access control, not that of the tasks."""
        return SOURCE_DATABASE if self.mongo_passwords else self.mongo_database

    @property
    def admin_uri(self) -> str:
        """URI of the database for the administrator; contains the password."""
        return self._uri(ADMIN)

    @property
    def tasks_uri(self) -> str:
        """URI of the database for the user who reads and writes tasks; contains the password."""
        return self._uri(TASKS)

    @property
    def source_uri(self) -> str:
        """URI of the database for the user who reads the data of reports; contains the password."""
        return self._uri(READER)

    def _uri(self, user: str) -> str:
        if self.mongo_passwords is None:
            return self.mongo_uri
        password = self.mongo_passwords.of(user).get_secret_value()
        scheme, _, address = self.mongo_uri.partition("://")
        return f"{scheme}://{user}:{password}@{address}/?authSource=admin"

    def to_json(self) -> str:
        """Return everything as JSON for `model_validate_json`, with the secrets in plain text."""
        return json.dumps(
            self.model_dump()
            | {
                "s3_access_key_id": self.s3_access_key_id.get_secret_value(),
                "s3_secret_access_key": self.s3_secret_access_key.get_secret_value(),
                "mongo_passwords": self.mongo_passwords and self.mongo_passwords.revealed(),
            }
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of workers and clients, with the secrets in plain text."""
        return {
            "TEMPORAL_ADDRESS": self.temporal_address,
            "EXPORTS_MONGO_URI": self.tasks_uri,
            "EXPORTS_MONGO_DATABASE": self.mongo_database,
            "EXPORTS_SOURCE_URI": self.source_uri,
            "EXPORTS_SOURCE_DATABASE": self.source_database,
            "EXPORTS_S3_ENDPOINT_URL": self.s3_endpoint_url,
            "EXPORTS_S3_BUCKET": self.s3_bucket,
            "EXPORTS_S3_REGION": self.s3_region,
            "EXPORTS_S3_ACCESS_KEY_ID": self.s3_access_key_id.get_secret_value(),
            "EXPORTS_S3_SECRET_ACCESS_KEY": self.s3_secret_access_key.get_secret_value(),
            "EXPORTS_S3_ADDRESSING_STYLE": "path",
        }


class Keys(BaseModel):
    """Keys of the only account of the object store."""

    model_config = ConfigDict(frozen=True)

    access_key_id: SecretStr
    secret_access_key: SecretStr

    @classmethod
    def make(cls) -> Self:
        """Return new random keys."""
        return cls(
            access_key_id=SecretStr(secrets.token_hex(10).upper()),
            secret_access_key=SecretStr(secrets.token_hex(20)),
        )

    def revealed(self) -> dict[str, str]:
        """Return the keys in plain text, for a file that only its owner can read."""
        return {
            "access_key_id": self.access_key_id.get_secret_value(),
            "secret_access_key": self.secret_access_key.get_secret_value(),
        }
