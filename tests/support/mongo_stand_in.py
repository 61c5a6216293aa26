"""A stand-in of members of a replica set, which answers as the manual of MongoDB says.

The embedded database has one member and no snapshots, so it can't show what happens on a member
that lags behind, what a server without the history of a snapshot says, or an old version. This one
can, and nothing else: it knows `hello`, `ping`, `find`, `aggregate` (the number of documents),
`listCollections` and the commands that make a replica set, and looks at no filter.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import bson
from bson import Int64, Timestamp

Document = dict[str, Any]

_HEADER: Final = struct.Struct("<iiii")
_OP_REPLY: Final = 1
_OP_QUERY: Final = 2004
_OP_MSG: Final = 2013


@dataclass
class Member:
    """A member, with the documents that it has by now.

    Attributes:
        written: What the primary has written: each document and the cluster time of its insert.
        applied: The cluster time up to which this member has applied that.
        heard: The newest cluster time that this member has heard of, or 0: the one it has applied.
        oldest: The oldest cluster time of which it can show a snapshot.
        version: Its `maxWireVersion`; 25 is MongoDB 8.0.
        replica_set: Whether it is a member of one; otherwise it is a single server.
        kind: The type of its collections.
        host: Its address in the configuration of the replica set; None if there is none yet.
        primary: Whether it takes writes.
        sent: The commands that it got, but for those of the driver itself.
    """

    written: list[tuple[int, Document]]
    applied: int
    heard: int = 0
    oldest: int = 0
    version: int = 25
    replica_set: bool = True
    kind: str = "collection"
    host: str | None = None
    primary: bool = True
    sent: list[Document] = field(default_factory=list[Document])

    @property
    def cluster_time(self) -> Document:
        """The newest cluster time that it knows, with its signature."""
        return _signed(max(self.applied, self.heard))

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str]:
        """Answer until the block is left; yield the URI."""
        connected: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.add(writer)
            try:
                while True:
                    await self._exchange(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
        finally:
            server.close()
            for writer in connected:
                writer.close()
            await asyncio.sleep(0)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, request, _, opcode = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        body = await reader.readexactly(length - _HEADER.size)
        if opcode == _OP_QUERY:  # flags, name of the collection, skip, limit, query
            answer = self._answer(_decoded(body[body.index(b"\0", 4) + 1 + 8 :]))
            prefix, kind = struct.pack("<iqii", 8, 0, 0, 1), _OP_REPLY
        else:  # flags, kind of the section, document
            answer = self._answer(_decoded(body[5:]))
            prefix, kind = struct.pack("<iB", 0, 0), _OP_MSG
        content = prefix + bson.encode(answer)
        writer.write(_HEADER.pack(_HEADER.size + len(content), 0, request, kind) + content)
        await writer.drain()

    def _answer(self, command: Document) -> Document:
        name = next(iter(command))
        if name in ("hello", "ismaster", "isMaster", "ping", "endSessions"):
            answer = self._hello()
        elif name.startswith("replSet"):
            answer = self._replica_set(name, command)
        else:
            self.sent.append(command)
            answer = self._read(name, command)
        if self.replica_set:
            answer |= {
                "operationTime": Timestamp(self.applied, 1),
                "$clusterTime": self.cluster_time,
            }
        return answer

    def _hello(self) -> Document:
        found: Document = {
            "ok": 1,
            "ismaster": self.primary,
            "secondary": not self.primary,
            "isWritablePrimary": self.primary,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "maxBsonObjectSize": 1 << 24,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "minWireVersion": 0,
            "maxWireVersion": self.version,
        }
        return found | ({"setName": "rs0"} if self.replica_set else {})

    def _replica_set(self, name: str, command: Document) -> Document:
        if name != "replSetGetConfig":
            self.host, self.primary = command[name]["members"][0]["host"], True
        if self.host is None:
            return {"ok": 0, "code": 94, "codeName": "NotYetInitialized", "errmsg": "no config"}
        return {"ok": 1, "config": {"version": 1, "members": [{"_id": 0, "host": self.host}]}}

    def _read(self, name: str, command: Document) -> Document:
        if name == "listCollections":
            kind = {"name": command["filter"]["name"], "type": self.kind}
            return _batch("$cmd.listCollections", [kind])
        concern = command["readConcern"]
        if (given := command.get("$clusterTime")) is not None:
            if given != _signed(given["clusterTime"].time):
                return {"ok": 0, "code": 211, "codeName": "KeyNotFound", "errmsg": "not signed"}
            self.heard = max(self.heard, given["clusterTime"].time)
        asked = concern.get("afterClusterTime") or concern.get("atClusterTime")
        if asked is not None and asked > self.cluster_time["clusterTime"]:
            return {"ok": 0, "code": 72, "codeName": "InvalidOptions", "errmsg": "in the future"}
        until = self.applied
        if (after := concern.get("afterClusterTime")) is not None:
            # It waits until it has applied that.
            until = self.applied = max(self.applied, after.time)
        if (at := concern.get("atClusterTime")) is not None:
            if at.time < self.oldest:
                return {"ok": 0, "code": 239, "codeName": "SnapshotTooOld", "errmsg": "too old"}
            self.applied = max(self.applied, at.time)
            until = at.time
        found = [document for time, document in self.written if time <= until]
        if name == "aggregate":
            found = [{"n": len(found)}]
        elif command.get("sort") == {"_id": -1}:
            found = found[-1:]
        return _batch(command[name], found)


def _decoded(data: bytes) -> Document:
    return bson.decode(data)


def _signed(time: int) -> Document:
    signature = {"hash": bytes([time]) * 20, "keyId": Int64(7_000_000_000_000_000_000)}
    return {"clusterTime": Timestamp(time, 1), "signature": signature}


def _batch(collection: str, documents: Iterable[Document]) -> Document:
    return {"ok": 1, "cursor": {"id": 0, "ns": f"shop.{collection}", "firstBatch": list(documents)}}
