"""Connects the commands to the servers, and turns errors into messages and exit codes."""

import asyncio
import errno
import logging
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import typer

from exports import names
from exports.cli.output import plain, print_json, say
from exports.errors import ExportError, RequestError, refused, without_prefix
from exports.runtime.process import keep_temporal_off_stdout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.client import ExportClient
    from exports.temporal.schedule import SweepSchedule
    from exports.tokens import TokenStore

EXPORT_FAILED: Final = 1
# EX_SOFTWARE and EX_IOERR of sysexits.h.
INTERNAL_ERROR: Final = 70
OUTPUT_FAILED: Final = 74
INTERRUPTED: Final = 128 + signal.SIGINT
_BROKEN_PIPE: Final = 128 + 13  # SIGPIPE, which Windows lacks; what a shell reports for `| head`

# Errors of writing to standard output. If a download fails like this, it raises an E_DOWNLOAD.
_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

_LONGEST_MESSAGE: Final = 400
"""Characters of a message that repeats what was typed."""

_log = logging.getLogger("exports.cli")
_T = TypeVar("_T")


def guarded(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command line, and report every error as a message and an exit code.

    Args:
        app: The commands.
        arguments: The arguments, without the name of the program.

    Returns:
        The exit code: 0 success, 1 the export failed, 2 invalid input, 3 a server cannot be
        reached, 70 an error in this program, 74 the output cannot be written, 130 Ctrl-C,
        143 SIGTERM.
    """
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] -- None after `2>&-`
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- open until the process ends
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- None after `>&-`
        say("The output cannot be written: it is closed.")
        return OUTPUT_FAILED
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _run(app, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except OSError as error:
        _discard_output()
        say(f"The output cannot be written: {error.strerror}.")
        return OUTPUT_FAILED
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else INTERNAL_ERROR
    return code


def raise_on_sigterm() -> None:
    """Let SIGTERM raise SystemExit, so that an unfinished download is removed."""

    def end(signum: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, end)


def with_client(work: "Callable[[ExportClient], Awaitable[_T]]") -> _T:
    """Connect to all servers, do the work, and disconnect."""
    # Importing the libraries of three servers takes a second; `--help` does not wait for it.
    from exports.client import ExportClient  # noqa: PLC0415 -- see above

    keep_temporal_off_stdout()

    async def connected() -> _T:
        async with await ExportClient.connect(origin=names.FROM_CLI) as client:
            return await work(client)

    return asyncio.run(connected())


def with_schedule(work: "Callable[[SweepSchedule], Awaitable[_T]]") -> _T:
    """Connect to Temporal, and do the work with the Schedule."""
    from exports.connections import connect_temporal  # noqa: PLC0415 -- as above
    from exports.settings import Settings  # noqa: PLC0415 -- as above
    from exports.temporal.schedule import SweepSchedule  # noqa: PLC0415 -- as above

    keep_temporal_off_stdout()

    async def connected() -> _T:
        settings = Settings.load()
        temporal = await connect_temporal(settings.encryption_keys)
        return await work(SweepSchedule(temporal, task_queue=settings.task_queue))

    return asyncio.run(connected())


def with_tokens(work: "Callable[[TokenStore], Awaitable[_T]]") -> _T:
    """Connect to the database, and do the work with the tokens of the HTTP API."""
    from exports.connections import mongo_client  # noqa: PLC0415 -- as above
    from exports.settings import Settings  # noqa: PLC0415 -- as above
    from exports.tokens import TokenStore  # noqa: PLC0415 -- as above

    async def connected() -> _T:
        settings = Settings.load()
        async with mongo_client(settings.mongo_uri) as mongo:
            return await work(TokenStore(mongo[settings.mongo_database]))

    return asyncio.run(connected())


def _run(app: typer.Typer, arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        for argument in arguments:
            argument.encode()
        code: object = app(args=arguments or ["--help"], prog_name="exports", standalone_mode=False)
    except UnicodeEncodeError:
        return _refuse(RequestError("An argument is not valid UTF-8."), as_json=as_json)
    except ExportError as error:
        return _refuse(error, as_json=as_json)
    except typer.TyperException as error:
        return _misused(error, as_json=as_json)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS:
            raise
        known = _temporal_error(error)
        if known:
            return _refuse(known, as_json=as_json)
        _log.exception("Internal error. Please report it with the lines below")
        if as_json:
            print_json(refused(ExportError("An internal error occurred.")))
        return INTERNAL_ERROR
    return code if isinstance(code, int) else 0


def _discard_output() -> None:
    # What is still buffered cannot be written, and Python would report that when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(error: ExportError, *, as_json: bool) -> int:
    if as_json:
        print_json(refused(error))
    else:
        for number, line in enumerate(error.msg.splitlines()):
            say(f"{error.code}: {line}" if number == 0 else line)
    return error.exit_code


def _misused(error: typer.TyperException, *, as_json: bool) -> int:
    message = without_prefix(plain(error.format_message()))
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}..."
    if as_json:
        print_json(refused(RequestError(message)))
        return RequestError.exit_code
    command = getattr(getattr(error, "ctx", None), "command_path", "exports")
    say(f"{RequestError.code}: {message}")
    say(f"For help: {command} --help")
    return RequestError.exit_code


def _temporal_error(error: Exception) -> ExportError | None:
    # The command has imported these already if the error is one of Temporal's.
    from temporalio.envconfig import ClientConfig  # noqa: PLC0415 -- see above
    from temporalio.service import RPCError  # noqa: PLC0415 -- see above

    from exports.server_errors.temporal import temporal_error  # noqa: PLC0415 -- see above

    if not isinstance(error, RPCError):
        return None
    address = ClientConfig.load_client_connect_config().get("target_host") or "localhost:7233"
    return temporal_error(error.status, f"Temporal at {address}")
