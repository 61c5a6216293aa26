"""Connections to the three servers, each checked at start and named when it can't be reached."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from exports.clock import check_clock
from exports.encryption.keys import EncryptionKeys
from exports.errors import (
    DatabaseAccessError,
    SettingsError,
    StoreUnavailableError,
    UnreachableError,
)
from exports.server_errors.mongo import tasks_error
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tasks.collection import Stored, server_time
from exports.temporal.converter import data_converter

_PATIENCE: Final = 7.0
_PATIENCE_WITH_MONGO: Final = {"serverSelectionTimeoutMS": 5000, "connectTimeoutMS": 5000}
_HOSTS = re.compile(r"^mongodb(?:\+srv)?://(?:[^@/]*@)?([^/?]+)")
_UNREADABLE_TLS: Final = re.compile(r"(?:Key|Certificate)ParseError")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Connections:
    """What workers and clients alike talk to.

    Attributes:
        temporal: Temporal, in the namespace of the environment.
        mongo: The MongoDB that holds the tasks.
        store: The bucket.
    """

    temporal: Client
    mongo: AsyncMongoClient[Stored]
    store: ObjectStore

    @classmethod
    async def open(cls, settings: Settings, closing: AsyncExitStack) -> Self:
        """Connect to all three servers, side by side.

        Args:
            settings: Where they are.
            closing: Closes the connections in the end.

        Raises:
            UnreachableError: One did not answer within ten seconds; says which, and where.
            ExportError: One answered, and refused.
        """
        mongo = mongo_client(settings.mongo_uri)
        closing.push_async_callback(mongo.close)
        store = ObjectStore(settings)
        closing.callback(store.close)
        temporal, there, _ = await asyncio.gather(
            connect_temporal(settings.encryption_keys),
            _check_mongo(mongo, settings.mongo_uri),
            _check_store(store, settings),
        )
        check_clock(there, whose="the database's")
        return cls(temporal=temporal, mongo=mongo, store=store)


async def open_source(
    settings: Settings, connections: Connections, closing: AsyncExitStack
) -> AsyncDatabase[Stored]:
    """Return the database that the reports read; on a connection of its own if it is elsewhere.

    Raises:
        UnreachableError: It did not answer within ten seconds.
        DatabaseAccessError: It refused the credentials.
    """
    uri, database = settings.source
    if uri == settings.mongo_uri:
        return connections.mongo[database]
    source = mongo_client(uri)
    closing.push_async_callback(source.close)
    await _check_mongo(source, uri)
    return source[database]


async def connect_temporal(keys: EncryptionKeys) -> Client:
    """Connect to Temporal as the environment says (`TEMPORAL_ADDRESS`, profiles, TLS).

    Args:
        keys: What payloads are encrypted with.

    Raises:
        SettingsError: The Temporal settings can't be read or used.
        UnreachableError: It did not answer within ten seconds.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        # The lines after the first quote a profile's file, where a secret may stand.
        what = str(error).partition("\n")[0]
        raise SettingsError(f"Temporal's settings can't be read: {what.rstrip('.')}.") from None
    config.setdefault("target_host", "localhost:7233")
    address = config.get("target_host") or ""
    try:
        return await _patiently(Client.connect(**config, data_converter=data_converter(keys)))
    except ValueError:
        raise SettingsError(
            "Temporal's settings can't be used: the address is host:port, and a TLS certificate "
            "goes with its key."
        ) from None
    except (RuntimeError, RPCError, TimeoutError) as error:
        if _UNREADABLE_TLS.search(str(error)):
            raise SettingsError("Temporal's TLS certificate or key can't be read.") from None
        how = " over TLS" if config.get("tls") or config.get("api_key") else ""
        raise UnreachableError(f"Temporal can't be reached at {address}{how}.") from None


def mongo_client(uri: SecretStr) -> AsyncMongoClient[Stored]:
    """Return a client that gives up in seconds, so that Temporal can do the retrying.

    Unless the URI says otherwise, of a database that is far away or slow to answer.

    Raises:
        SettingsError: The URI can't be read.
    """
    try:
        _address(uri)
        return AsyncMongoClient(
            uri.get_secret_value(),
            **_unless_said(uri),
            tz_aware=True,
            appname="exports",
        )
    except (PyMongoError, ValueError):
        raise SettingsError(
            "The MongoDB URI can't be read; it is mongodb://user:password@host:port/, with "
            "special characters in user and password percent-encoded."
        ) from None
    except OSError:
        raise SettingsError("The MongoDB URI names a TLS file that can't be read.") from None


def _unless_said(uri: SecretStr) -> dict[str, Any]:
    # What is given beside a URI counts more than the URI to the driver.
    said = uri.get_secret_value().partition("?")[2].lower()
    return {
        option: value
        for option, value in _PATIENCE_WITH_MONGO.items()
        if f"{option.lower()}=" not in said
    }


def _address(uri: SecretStr) -> str:
    # The driver would take a text without a scheme for the name of a host.
    found = _HOSTS.match(uri.get_secret_value())
    if found is None:
        raise ValueError
    return found[1]


async def _check_mongo(client: AsyncMongoClient[Stored], uri: SecretStr) -> datetime:
    """Return what the server's clock says."""
    address = _address(uri)
    try:
        return await _patiently(server_time(client.admin))
    except OperationFailure as error:
        if isinstance(tasks_error(error), DatabaseAccessError):
            raise DatabaseAccessError(f"MongoDB at {address} refused the credentials.") from None
        raise UnreachableError(f"MongoDB at {address} answers with errors.") from None
    except (PyMongoError, TimeoutError):
        raise UnreachableError(f"MongoDB can't be reached at {address}.") from None


async def _check_store(store: ObjectStore, settings: Settings) -> None:
    address = settings.s3_endpoint_url or f"AWS S3 in {settings.s3_region}"
    try:
        await _patiently(_in_a_thread_of_its_own(store.check))
    except (StoreUnavailableError, TimeoutError):
        raise UnreachableError(f"The object store can't be reached at {address}.") from None


async def _patiently(connecting: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(connecting, _PATIENCE)


async def _in_a_thread_of_its_own(work: Callable[[], None]) -> None:
    # A server that takes the request and never answers holds the thread for a minute, and both
    # asyncio and the interpreter wait for the threads of an executor before they end.
    ended: Future[None] = Future()
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 -- raised where it is awaited
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, name="check-store", daemon=True).start()
    await asyncio.wrap_future(ended)
