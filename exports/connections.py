"""Connections to the three servers, checked at start; the error says which one can't be reached."""

import asyncio
import re
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from exports.clock import check_clock
from exports.documents import Stored, server_time
from exports.encryption.keys import EncryptionKeys
from exports.errors import (
    DatabaseAccessError,
    SettingsError,
    StoreUnavailableError,
    UnreachableError,
    VersionError,
)
from exports.runtime.threads import in_own_thread
from exports.server_errors.mongo import tasks_error
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.temporal.converter import data_converter

OLDEST_MONGODB: Final = "4.4"
"""The driver knows no older ones."""
_TOO_OLD: Final = "reports wire version"
"""What the driver says of one, among other texts."""
_CONNECT_TIMEOUT: Final = 7.0
"""Seconds that a server has for its first answer."""
_MONGO_TIMEOUTS: Final = {"serverSelectionTimeoutMS": 5000, "connectTimeoutMS": 5000}
_HOSTS = re.compile(r"^mongodb(?:\+srv)?://(?:[^@/]*@)?([^/?]+)")
_UNREADABLE_TLS: Final = re.compile(r"(?:Key|Certificate)ParseError")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Connections:
    """The servers that workers and clients use.

    Attributes:
        temporal: Temporal, in the namespace that the environment sets.
        mongo: The MongoDB that holds the tasks.
        store: The bucket.
    """

    temporal: Client
    mongo: AsyncMongoClient[Stored]
    store: ObjectStore

    @classmethod
    async def open(cls, settings: Settings, closing: AsyncExitStack) -> Self:
        """Connect to all three servers at the same time.

        Args:
            settings: The addresses and credentials.
            closing: Closes the connections at the end.

        Raises:
            SettingsError: The settings of MongoDB or Temporal are not valid.
            UnreachableError: A server did not answer within 7 seconds; says which, and its address.
            DatabaseAccessError: MongoDB refused the credentials.
            VersionError: MongoDB is too old.
            BucketMissingError: The bucket does not exist.
            StoreAccessError: The object store refused the keys or the permission.
            StoreRefusedError: The object store refused a request, or is not at this address.
            ClockError: The clock of this machine is wrong.
        """
        mongo = mongo_client(settings.mongo_uri)
        closing.push_async_callback(mongo.close)
        store = ObjectStore(settings)
        closing.callback(store.close)
        try:
            async with asyncio.TaskGroup() as group:
                temporal = group.create_task(connect_temporal(settings.encryption_keys))
                there = group.create_task(check_mongo(mongo, settings.mongo_uri))
                group.create_task(check_store(store, settings))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        check_clock(there.result(), whose="the database's")
        return cls(temporal=temporal.result(), mongo=mongo, store=store)

    async def answering(self) -> dict[str, bool]:
        """Ask each server, and return whether `temporal`, `database` and `store` answer in time."""
        asked = {
            "temporal": self.temporal.service_client.check_health(),
            "database": server_time(self.mongo.admin),
            "store": in_own_thread(self.store.check, "check-store"),
        }
        answers = await asyncio.gather(*map(_in_time, asked.values()), return_exceptions=True)
        return {
            name: answer is not False and not isinstance(answer, BaseException)
            for name, answer in zip(asked, answers, strict=True)
        }


async def open_source(
    settings: Settings, connections: Connections, closing: AsyncExitStack
) -> AsyncDatabase[Stored]:
    """Return the database that the reports read, with a connection of its own if it has a URI.

    Raises:
        SettingsError: The URI can't be read.
        UnreachableError: It did not answer within 7 seconds.
        DatabaseAccessError: It refused the credentials.
        VersionError: It is too old.
    """
    uri, database = settings.source
    if uri == settings.mongo_uri:
        source = connections.mongo
    else:
        source = mongo_client(uri)
        closing.push_async_callback(source.close)
        await check_mongo(source, uri)
    return source[database]


async def connect_temporal(keys: EncryptionKeys) -> Client:
    """Connect to Temporal as the environment says (`TEMPORAL_ADDRESS`, profiles, TLS).

    Args:
        keys: The keys that encrypt payloads.

    Raises:
        SettingsError: The Temporal settings can't be read or used.
        UnreachableError: It did not answer within 7 seconds.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        # The lines after the first one quote the profile's file, which may contain a secret.
        what = str(error).partition("\n")[0]
        raise SettingsError(f"Temporal's settings can't be read: {what.rstrip('.')}.") from None
    config.setdefault("target_host", "localhost:7233")
    address = config.get("target_host") or ""
    try:
        return await _in_time(Client.connect(**config, data_converter=data_converter(keys)))
    except ValueError:
        raise SettingsError(
            "Temporal's settings can't be used: the address must be host:port, and a TLS "
            "certificate needs its key."
        ) from None
    except (RuntimeError, RPCError, TimeoutError) as error:
        if _UNREADABLE_TLS.search(str(error)):
            raise SettingsError("Temporal's TLS certificate or key can't be read.") from None
        how = " over TLS" if config.get("tls") or config.get("api_key") else ""
        raise UnreachableError(f"Temporal can't be reached at {address}{how}.") from None


def mongo_client(uri: SecretStr) -> AsyncMongoClient[Stored]:
    """Return a client that gives up after seconds, because Temporal does the retries.

    The URI may set longer timeouts, for a database that is far away or slow to answer.

    Raises:
        SettingsError: The URI can't be read.
    """
    try:
        _address(uri)
        return AsyncMongoClient(
            uri.get_secret_value(),
            **_timeouts(uri),
            tz_aware=True,
            appname="exports",
        )
    except (PyMongoError, ValueError):
        raise SettingsError(
            "The MongoDB URI can't be read; it must be mongodb://user:password@host:port/, with "
            "special characters in user and password percent-encoded."
        ) from None
    except OSError:
        raise SettingsError("The MongoDB URI names a TLS file that can't be read.") from None


def _timeouts(uri: SecretStr) -> dict[str, Any]:
    # To the driver, keyword arguments have priority over options of the URI.
    options = uri.get_secret_value().partition("?")[2].lower()
    return {
        option: value
        for option, value in _MONGO_TIMEOUTS.items()
        if f"{option.lower()}=" not in options
    }


def _address(uri: SecretStr) -> str:
    # To the driver, a text without a scheme is the name of a host.
    found = _HOSTS.match(uri.get_secret_value())
    if found is None:
        raise ValueError
    return found[1]


async def check_mongo(client: AsyncMongoClient[Stored], uri: SecretStr) -> datetime:
    """Ask a server whether it takes the credentials; return the time of its clock.

    Raises:
        UnreachableError: It did not answer within 7 seconds, or answers with errors.
        DatabaseAccessError: It refused the credentials.
    """
    address = _address(uri)
    try:
        return await _in_time(server_time(client.admin))
    except OperationFailure as error:
        if isinstance(tasks_error(error), DatabaseAccessError):
            raise DatabaseAccessError(f"MongoDB at {address} refused the credentials.") from None
        raise UnreachableError(f"MongoDB at {address} answers with errors.") from None
    except (PyMongoError, TimeoutError) as error:
        if isinstance(error, ConfigurationError) and _TOO_OLD in str(error):
            raise VersionError(
                f"The database at {address} is too old: MongoDB {OLDEST_MONGODB} or newer is"
                " needed."
            ) from None
        raise UnreachableError(f"MongoDB can't be reached at {address}.") from None


async def check_store(store: ObjectStore, settings: Settings) -> None:
    """Ask the object store whether it takes the keys and has the bucket.

    Raises:
        UnreachableError: It did not answer within 7 seconds.
        ExportError: What `ObjectStore.check` raises.
    """
    address = settings.s3_endpoint_url or f"AWS S3 in {settings.s3_region}"
    try:
        await _in_time(in_own_thread(store.check, "check-store"))
    except (StoreUnavailableError, TimeoutError):
        raise UnreachableError(f"The object store can't be reached at {address}.") from None


async def _in_time(connecting: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(connecting, _CONNECT_TIMEOUT)
