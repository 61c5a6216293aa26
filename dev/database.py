"""The database of the embedded servers: `mongod` if there is one, or what speaks its protocol."""

import secrets
import sys
from pathlib import Path
from typing import Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from dev import binaries
from dev.ports import LOOPBACK
from dev.private import write_private

_REPLICA_SET: Final = "exports"
_NOT_YET_INITIALIZED: Final = 94


def command(directory: Path, port: int, *, auth: bool) -> list[str]:
    """Return the command that starts the database.

    Args:
        directory: Where the data of all servers is.
        port: Where it listens, on the loopback address.
        auth: Whether it has access control.
    """
    program = binaries.mongo()
    data = _data(directory, program)
    if not binaries.is_mongod(program):
        # Without this empty file, it would read one from the home directory or /etc.
        config = directory / "secantusd.toml"
        config.touch()
        return [
            *(sys.executable, "-P", program, "--config", str(config), "--log-level", "WARNING"),
            *("--host", LOOPBACK, "--port", str(port), "--storage-path", str(data)),
            *(["--auth"] if auth else []),
        ]
    data.mkdir(exist_ok=True)
    # Members of a replica set show it to each other; there is only one, but it must have it.
    key = directory / "mongod.key"
    if auth and not key.exists():
        write_private(key, secrets.token_hex(64))
    return [
        *(program, "--bind_ip", LOOPBACK, "--port", str(port), "--dbpath", str(data)),
        *("--replSet", _REPLICA_SET, "--nounixsocket", "--quiet", "--wiredTigerCacheSizeGB", "0.5"),
        *(["--auth", "--keyFile", str(key)] if auth else []),
    ]


def users_file(directory: Path) -> Path:
    """Return the file with the passwords of the users that are in the data."""
    return directory / f"{_data(directory, binaries.mongo()).name}-users.json"


def _data(directory: Path, program: str) -> Path:
    # Neither can read what the other has written.
    return directory / ("mongod" if binaries.is_mongod(program) else "mongo")


def is_primary(uri: str, timeout: float) -> bool:
    """Return whether the database takes writes; if not, make a replica set of this member.

    Args:
        uri: Its URI, for an administrator if there is access control.
        timeout: How long it may take to answer, in seconds.

    Raises:
        PyMongoError: It does not answer, or not yet.
    """
    with MongoClient[dict[str, object]](
        uri, directConnection=True, serverSelectionTimeoutMS=round(timeout * 1000)
    ) as client:
        if client.admin.command("hello").get("isWritablePrimary"):
            return True
        [(host, port)] = client.nodes
        members = [{"_id": 0, "host": f"{host}:{port}"}]
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIALIZED:
                raise
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
            return False
        if config["members"][0]["host"] != members[0]["host"]:  # its port was taken meanwhile
            config |= {"members": members, "version": config["version"] + 1}
            client.admin.command("replSetReconfig", config, force=True)
    return False
