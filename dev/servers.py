"""The three embedded servers, which start and stop together.

    with Servers() as servers:
        print(servers.endpoints.web_ui_url)

All listen on the loopback address only, and send nothing to anyone else.
"""

import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, Self

from dev import binaries, database, ports, readiness
from dev.endpoints import BUCKET, Endpoints, Keys
from dev.mongo_users import Passwords, allow, provision
from dev.ports import LOOPBACK
from dev.private import write_private
from dev.process import CrashError, Process
from exports.names import SEARCH_ATTRIBUTES

# The usual ports; for one that is not free, another one is chosen.
_USUAL_PORTS: Final = {"temporal": 7233, "web_ui": 8233, "mongo": 27017, "s3": 8333, "api": 8000}
_INNER_PORTS: Final = (
    *("master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc"),
    *("s3_grpc", "admin", "webdav"),
)
# `weed mini` expects the gRPC port of its admin server at this distance from the HTTP port.
_ADMIN_GRPC_OFFSET: Final = 10_000
_SOCKETS: Final = Path("/tmp")  # noqa: S108 -- `weed` puts them there, and no option changes it
# What suits one small server. As JSON: durations are texts.
_TEMPORAL_SETTINGS: Final = {
    # A history shard polls for new tasks at most twenty times a second by default. A cluster has
    # hundreds of shards. This server has one for all workflows, and each of their steps would wait
    # up to 50 ms for the next poll.
    "history.transferProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxPollRPS": "1000",
    "history.visibilityProcessorMaxPollRPS": "1000",
    # A worker that stops cancels its polls. An activity that the server dispatches to it at the
    # same moment is lost until its heartbeat times out. With this, the server ends the polls itself
    # and dispatches nothing more: https://github.com/temporalio/temporal/pull/9203
    "frontend.enableCancelWorkerPollsOnShutdown": "true",
    # What waits on a task queue is dispatched to the people in turn, not in the order of arrival.
    # That holds in each partition of a queue, so there is only one.
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # Each test has task queues of its own. With the defaults, which suit a cluster, a few hundred
    # idle queues cost a tenth of a processor: metrics and updates of each.
    "matching.updateAckInterval": '"1m"',
    "matching.ephemeralDataUpdateInterval": '"1m"',
    "metrics.breakdownByTaskQueue": "false",
    "metrics.breakdownByPartition": "false",
}
_TEMPORAL: Final = "Temporal"
_MONGO: Final = "The MongoDB-compatible server"
_START_ATTEMPTS: Final = 4  # another program may take a port first


class Servers:
    """Starts the servers on entry, and stops them on exit. A context manager.

    Args:
        data_dir: Where data, ports and keys are kept for the next start. None: a temporary
            directory and any free ports, and nothing is kept.
        mongo_users: Whether the database has access control: see `dev.mongo_users`.
        mongo_uri: A database that runs elsewhere, without a path and options, which is used as it
            is. None: one is started.

    Attributes:
        directory: Data and logs of the servers.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        mongo_users: bool = False,
        mongo_uri: str | None = None,
    ) -> None:
        self._kept = data_dir is not None
        self._mongo_users = mongo_users
        self._mongo_uri = mongo_uri
        self.directory: Final = (
            data_dir or Path(tempfile.mkdtemp(prefix="exports-dev-"))
        ).resolve()
        self._processes: list[Process] = []
        self._sockets: list[Path] = []
        self._endpoints: Endpoints | None = None
        self._chosen: dict[str, int] = {}

    @property
    def endpoints(self) -> Endpoints:
        """Addresses of the started servers."""
        if self._endpoints is None:
            raise CrashError("The servers have not been started.")
        return self._endpoints

    def start(self) -> Endpoints:
        """Start all servers at once and wait until each is ready.

        Raises:
            CrashError: One could not be started; says which and why. None is left running.
        """
        try:
            return self._start_with_retries()
        except BaseException:  # also Ctrl-C
            self.stop()
            raise

    def empty_temporal(self) -> None:
        """Start Temporal anew at the same address, without data.

        To be called in a thread that has no event loop.

        Raises:
            CrashError: It could not be started.
        """
        self._processes[0].stop()
        self._processes[0] = self._process(_TEMPORAL, self._temporal(self._chosen))
        readiness.wait_until(readiness.temporal, self.endpoints, self._processes[0])

    def check(self) -> None:
        """Do nothing while all servers run.

        Raises:
            CrashError: One has ended; says which and shows its log.
        """
        for process in self._processes:
            process.check()

    def stop(self) -> None:
        """Stop all servers, and remove their data unless it is kept."""
        self._stop_processes()
        self._endpoints = None
        if not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_with_retries(self) -> Endpoints:
        for _ in range(_START_ATTEMPTS - 1):
            try:
                return self._start(self._choose_ports())
            except CrashError:
                # Most likely another program has taken a port meanwhile.
                self._stop_processes()
        return self._start(self._choose_ports())

    def _start(self, chosen: dict[str, int]) -> Endpoints:
        keys = self._keys()
        endpoints = Endpoints.of(chosen, keys, self._passwords(chosen))
        checks = [readiness.temporal]
        self._processes.append(self._process(_TEMPORAL, self._temporal(chosen)))
        if self._mongo_uri is None:
            checks.append(readiness.mongo)
            command = self._mongo(chosen, auth=self._mongo_users)
            self._processes.append(self._process(_MONGO, command))
        else:
            endpoints = endpoints.model_copy(update={"mongo_uri": self._mongo_uri})
        checks.append(readiness.s3)
        self._processes.append(self._process("The S3 server", self._s3(chosen, keys)))
        with ThreadPoolExecutor() as pool:
            waits = [
                pool.submit(readiness.wait_until, check, endpoints, process)
                for check, process in zip(checks, self._processes, strict=True)
            ]
            try:
                for wait in as_completed(waits):
                    wait.result()
            except BaseException:  # a crash or Ctrl-C: the other checks must not wait
                self._ask_all_to_stop()
                raise
        self.check()  # another program on the same port may have answered
        if self._mongo_users:
            allow(endpoints.admin_uri, tasks_database=endpoints.mongo_database)
        self._endpoints, self._chosen = endpoints, chosen
        return endpoints

    def _ask_all_to_stop(self) -> None:
        for process in self._processes:
            process.ask_to_stop()

    def _stop_processes(self) -> None:
        self._ask_all_to_stop()
        for process in self._processes:
            process.stop()
        self._processes.clear()
        for socket in self._sockets:
            socket.unlink(missing_ok=True)

    def _process(self, name: str, command: list[str]) -> Process:
        return Process(
            name,
            command,
            log=self.directory / f"{Path(command[0]).name}.log",
            # Without the configuration and the keys of the user.
            environment={
                "HOME": str(self.directory),
                "PATH": os.defpath,
                "TEMPORAL_VERSION_CHECK_DISABLED": "1",
            },
            cwd=self.directory,
        )

    def _temporal(self, chosen: dict[str, int]) -> list[str]:
        command = [binaries.temporal(), "server", "start-dev", "--log-level", "error"]
        command += ["--ip", LOOPBACK, "--port", str(chosen["temporal"])]
        command += ["--ui-port", str(chosen["web_ui"])]
        for name in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{name}=Keyword"]
        for name, value in _TEMPORAL_SETTINGS.items():
            command += ["--dynamic-config-value", f"{name}={value}"]
        if self._kept:
            command += ["--db-filename", str(self.directory / "temporal.sqlite")]
        return command

    def _passwords(self, chosen: dict[str, int]) -> Passwords | None:
        """Return the passwords of the database's users, who are created at the first start."""
        if not self._mongo_users:
            return None
        saved = database.users_file(self.directory)
        if saved.exists():
            return Passwords.model_validate_json(saved.read_text())
        # The first user can only be created while the server has no access control.
        open_to_all = Endpoints.of(chosen, self._keys())
        process = self._process(_MONGO, self._mongo(chosen, auth=False))
        self._processes.append(process)
        readiness.wait_until(readiness.mongo, open_to_all, process)
        passwords = Passwords.make()
        provision(open_to_all.mongo_uri, passwords, tasks_database=open_to_all.mongo_database)
        process.stop()
        self._processes.remove(process)
        write_private(saved, json.dumps(passwords.revealed()))
        return passwords

    def _mongo(self, chosen: dict[str, int], *, auth: bool) -> list[str]:
        return database.command(self.directory, chosen["mongo"], auth=auth)

    def _accounts(self, keys: Keys) -> dict[str, object]:
        """Return the accounts of the object store."""
        return _accounts(keys)

    def _s3(self, chosen: dict[str, int], keys: Keys) -> list[str]:
        data = self.directory / "s3"
        data.mkdir(exist_ok=True)
        accounts = self.directory / "s3-accounts.json"
        write_private(accounts, json.dumps(self._accounts(keys)))
        own = {
            name.replace("_", ".port.") if "_" in name else f"{name}.port": chosen[name]
            for name in ("s3", *_INNER_PORTS)
        }
        own["admin.port.grpc"] = chosen["admin"] + _ADMIN_GRPC_OFFSET
        # It removes these itself, unless it is killed.
        self._sockets = [
            _SOCKETS / f"seaweedfs-{option.removesuffix('.port.grpc')}-grpc-{port}.sock"
            for option, port in own.items()
            if option.endswith(".grpc")
        ]
        return [
            # Otherwise it writes log files to /tmp.
            *(binaries.s3(), "-logtostderr=true", "mini"),
            *(f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *(f"-{option}={port}" for option, port in own.items()),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
            *(f"-bucket={BUCKET}", "-s3.autoCreateBucket=false", f"-s3.config={accounts}"),
            # It also serves the bucket at exports.localhost.
            "-s3.domainName=localhost",
            # Relative to the working directory: the path of a socket must be short.
            *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
            *("-volume.preStopSeconds=0", "-master.telemetry=false"),
            # With its saved state, the only master would hold an election first, and sometimes
            # take up to 16 s to find the stored objects.
            "-master.resumeState=false",
        ]

    def _choose_ports(self) -> dict[str, int]:
        preferred = dict.fromkeys((*_USUAL_PORTS, *_INNER_PORTS), 0)
        if not self._kept:
            return ports.choose(preferred)
        saved = self.directory / "ports.json"
        preferred |= _USUAL_PORTS
        if saved.exists():
            preferred |= json.loads(saved.read_text())
        chosen = ports.choose(preferred)
        saved.write_text(json.dumps(chosen))
        return chosen

    def _keys(self) -> Keys:
        saved = self.directory / "keys.json"
        if saved.exists():
            return Keys.model_validate_json(saved.read_text())
        keys = Keys.make()
        write_private(saved, json.dumps(keys.revealed()))
        return keys


def _accounts(keys: Keys) -> dict[str, object]:
    revealed = keys.revealed()
    return {
        "identities": [
            {
                "name": "dev",
                "credentials": [
                    {
                        "accessKey": revealed["access_key_id"],
                        "secretKey": revealed["secret_access_key"],
                    }
                ],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
