"""Services behind proxies, and separate corners of the servers for tests that need several."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr
from pymongo import AsyncMongoClient

from dev import object_store
from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.chaos.proxy import Fault, Proxy, proxy_to
from tests.support.service import Service, open_service
from tests.support.settings import settings_of

SERVERS: Final = ("temporal", "mongo", "s3")


@dataclass(frozen=True)
class Wires:
    """A proxy for each of the servers."""

    temporal: Proxy
    mongo: Proxy
    s3: Proxy

    def suffer(self, server: str, fault: Fault) -> Proxy:
        """Begin a fault at the proxy of a server."""
        wire: Proxy = getattr(self, server)
        wire.suffer(fault)
        return wire

    def settings(self, settings: Settings) -> Settings:
        """Return settings with the addresses of the proxies."""
        # Otherwise the driver connects to the address that the server reports.
        uri = f"mongodb://{self.mongo.address}/?directConnection=true"
        return settings.model_copy(
            update={
                "mongo_uri": SecretStr(uri),
                "s3_endpoint_url": f"http://{self.s3.address}",
            }
        )


@asynccontextmanager
async def corner(endpoints: Endpoints, **changes: Any) -> AsyncGenerator[Settings]:
    """Give a test its own database, prefix and task queue, and empty them afterwards."""
    name = f"t_{secrets.token_hex(8)}"
    settings = settings_of(endpoints, database=name, prefix=f"{name}/", task_queue=name).model_copy(
        update=changes
    )
    yield settings
    async with AsyncMongoClient[dict[str, Any]](endpoints.mongo_uri) as client:
        await client.drop_database(name)
    bucket = object_store.connect(endpoints)
    found = bucket.list_objects_v2(Bucket=endpoints.s3_bucket, Prefix=f"{name}/")
    for item in found.get("Contents", []):
        bucket.delete_object(Bucket=endpoints.s3_bucket, Key=item.get("Key", ""))
    bucket.close()


@contextmanager
def wires_to(endpoints: Endpoints) -> Generator[Wires]:
    """Start a proxy for each server."""
    with (
        proxy_to(endpoints.temporal_address) as temporal,
        proxy_to(endpoints.mongo_uri) as mongo,
        proxy_to(endpoints.s3_endpoint_url) as s3,
    ):
        yield Wires(temporal, mongo, s3)


@asynccontextmanager
async def behind_wires(
    settings: Settings, endpoints: Endpoints
) -> AsyncGenerator[tuple[Service, Wires]]:
    """Open a service that reaches each server through a proxy; no worker runs yet."""
    with wires_to(endpoints) as wires:
        async with open_service(wires.settings(settings), wires.temporal.address) as service:
            yield service, wires
            for wire in (wires.temporal, wires.mongo, wires.s3):
                wire.recover()  # so that what still runs can end in order
