"""The command `exports` as people run it: a process of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Any

from exports.settings import Settings
from tests.support import forked_programs, leaks
from tests.support.paths import REPOSITORY

_PATIENCE = 150.0


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value that it printed."""
        return json.loads(self.out)


class CommandLine:
    """Runs `exports` with an environment of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    async def start(self, *arguments: str, stdout: int = PIPE, **changes: str) -> Process:
        """Start a command; `changes` are variables that differ."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exports.cli.app", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=PIPE,
            env=self._environment | changes,
            cwd=REPOSITORY,
        )

    async def run(self, *arguments: str, **changes: str) -> Finished:
        """Run a command to its end."""
        done = await forked_programs.ended(
            "exports", arguments, self._environment | changes, REPOSITORY
        )
        return _finished(done.code, done.out, done.err)


async def ended(process: Process) -> Finished:
    """Wait until a command has ended; never for long."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _finished(process.returncode or 0, out.decode(), err.decode())


def _finished(code: int, out: str, err: str) -> Finished:
    leaks.keep("exports-stderr", err)
    assert "Traceback" not in err
    return Finished(code, out, err)


def environment_of(settings: Settings, temporal_address: str) -> dict[str, str]:
    """Return the variables that say the same as `settings`."""
    stated = {
        f"EXPORTS_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json", exclude_none=True).items()
    }
    revealed = {
        "EXPORTS_MONGO_URI": settings.mongo_uri,
        "EXPORTS_ENCRYPTION_KEY": settings.encryption_key,
        "EXPORTS_S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "EXPORTS_S3_SECRET_ACCESS_KEY": settings.s3_secret_access_key,
    }
    secrets = {name: value.get_secret_value() for name, value in revealed.items() if value}
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **stated,
        **secrets,
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }
