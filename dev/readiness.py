"""Checks whether a server is ready: each check is what a client does first."""

import asyncio
import time
import urllib.request
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import PyMongoError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from dev import database, object_store
from dev.endpoints import Endpoints
from dev.process import CrashError, Process
from exports.names import SEARCH_ATTRIBUTES

_TIMEOUT = 60.0  # seconds
_PAUSE = 0.1  # seconds
_ATTEMPT_TIMEOUT = 2.0  # seconds
_PROBE = "is-it-ready"


def wait_until(ready: Callable[[Endpoints], bool], endpoints: Endpoints, process: Process) -> None:
    """Wait until a server is ready.

    Raises:
        CrashError: It ended, or was not ready within a minute.
    """
    deadline = time.monotonic() + _TIMEOUT
    while not ready(endpoints):
        process.check()
        if time.monotonic() > deadline:
            raise CrashError(
                f"{process.name} was not ready after {_TIMEOUT:.0f} s.{process.tail()}"
            )
        time.sleep(_PAUSE)


def temporal(endpoints: Endpoints) -> bool:
    """Return whether the default namespace has our search attributes."""
    try:
        return asyncio.run(
            asyncio.wait_for(_search_attributes_are_known(endpoints), _ATTEMPT_TIMEOUT)
        )
    except (RPCError, RuntimeError, TimeoutError):  # RuntimeError: no connection
        return False


async def _search_attributes_are_known(endpoints: Endpoints) -> bool:
    client = await Client.connect(endpoints.temporal_address)
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return set(SEARCH_ATTRIBUTES) <= set(answer.custom_attributes)


def mongo(endpoints: Endpoints) -> bool:
    """Return whether the database takes writes."""
    try:
        return database.is_primary(endpoints.admin_uri, _ATTEMPT_TIMEOUT)
    except PyMongoError:
        return False


def s3(endpoints: Endpoints) -> bool:
    """Return whether an object can be written to the bucket with our keys, and read again.

    It is not enough that the bucket exists: for some seconds after a start with kept data, the
    server may know its objects, but not yet where they are stored.
    """
    client = object_store.connect(endpoints, timeout=_ATTEMPT_TIMEOUT, attempts=1)
    bucket = endpoints.s3_bucket
    try:
        client.put_object(Bucket=bucket, Key=_PROBE, Body=b"ready")
        client.get_object(Bucket=bucket, Key=_PROBE)["Body"].read()
        client.delete_object(Bucket=bucket, Key=_PROBE)
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


def api(endpoints: Endpoints) -> bool:
    """Return whether the HTTP API reaches all servers."""
    try:
        with urllib.request.urlopen(f"{endpoints.api_url}/readyz", timeout=_ATTEMPT_TIMEOUT):  # noqa: S310 -- our own address
            return True
    except OSError:  # also an answer that says no
        return False
