"""Runs the command `exports` as a separate process."""

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

_TIMEOUT = 150.0  # seconds; only a command that hangs takes so long


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON value that it printed."""
        return json.loads(self.out)


class CommandLine:
    """Runs `exports` with these environment variables only."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    async def start(self, *arguments: str, stdout: int = PIPE, **changes: str) -> Process:
        """Start a command, with some variables changed."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exports.cli.app", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=PIPE,
            env=self._environment | changes,
            cwd=REPOSITORY,
        )

    async def run(self, *arguments: str, **changes: str) -> Finished:
        """Run a command, and wait for its end."""
        done = await forked_programs.ended(
            "exports", arguments, self._environment | changes, REPOSITORY
        )
        return _finished(done.code, done.out, done.err)


async def ended(process: Process) -> Finished:
    """Wait until a command has ended; kill it if it hangs."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), _TIMEOUT)
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
    """Return the environment variables for these settings."""
    stated = {
        f"EXPORTS_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json", exclude_none=True).items()
    }
    revealed = {
        "EXPORTS_MONGO_URI": settings.mongo_uri,
        "EXPORTS_ENCRYPTION_KEY": settings.encryption_key,
        "EXPORTS_WEBHOOK_ENCRYPTION_KEY": settings.webhook_encryption_key,
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
