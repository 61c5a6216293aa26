"""Where the command line meets the rest: connections on one side, exit codes on the other."""

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
from exports.errors import ExportError, RequestError, refused
from exports.runtime.process import keep_temporal_off_stdout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.client import ExportClient
    from exports.temporal.schedule import SweepSchedule

EXPORT_FAILED: Final = 1
OUR_FAULT: Final = 70  # EX_SOFTWARE of sysexits.h, so that no script takes it for one of the above
UNWRITABLE: Final = 74  # EX_IOERR, likewise
INTERRUPTED: Final = 128 + signal.SIGINT
_BROKEN_PIPE: Final = 128 + 13  # SIGPIPE, which Windows lacks; what a shell reports for `| head`

# What a download has no room for is an E_DOWNLOAD before it gets here; this is the output itself.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

_LONGEST: Final = 400

_log = logging.getLogger("exports.cli")
_T = TypeVar("_T")


def guarded(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command line; whatever happens, say it in words.

    Args:
        app: The commands.
        arguments: What was typed, without the name of the program.

    Returns:
        The exit code: 0 fine, 1 the export failed, 2 bad input, 3 a server can't be reached,
        70 a fault in this program, 74 no room for the output, 130 Ctrl-C, 143 SIGTERM.
    """
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] -- so it is after `2>&-`
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- to the end
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- so it is after `>&-`
        say("The output can't be written: it is closed.")
        return UNWRITABLE
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _run(app, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_what_is_buffered()
        return _BROKEN_PIPE
    except OSError as error:
        _drop_what_is_buffered()
        say(f"The output can't be written: {error.strerror}.")
        return UNWRITABLE
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else OUR_FAULT
    return code


def end_in_order_on_sigterm() -> None:
    """Let SIGTERM end this process with an exception, so that a half downloaded file goes."""

    def end(signum: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, end)


def with_client(work: "Callable[[ExportClient], Awaitable[_T]]") -> _T:
    """Connect to all servers, do something, and disconnect."""
    # The libraries of three servers take a second to import, which `--help` need not wait for.
    from exports.client import ExportClient  # noqa: PLC0415 -- see above

    keep_temporal_off_stdout()

    async def connected() -> _T:
        async with await ExportClient.connect(origin=names.FROM_CLI) as client:
            return await work(client)

    return asyncio.run(connected())


def with_schedule(work: "Callable[[SweepSchedule], Awaitable[_T]]") -> _T:
    """Connect to Temporal alone, and do something with the Schedule."""
    from exports.connections import connect_temporal  # noqa: PLC0415 -- as above
    from exports.settings import Settings  # noqa: PLC0415 -- as above
    from exports.temporal.schedule import SweepSchedule  # noqa: PLC0415 -- as above

    keep_temporal_off_stdout()

    async def connected() -> _T:
        settings = Settings.load()
        temporal = await connect_temporal(settings.encryption_keys)
        return await work(SweepSchedule(temporal, task_queue=settings.task_queue))

    return asyncio.run(connected())


def _run(app: typer.Typer, arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        for argument in arguments:
            argument.encode()
        code: object = app(args=arguments or ["--help"], prog_name="exports", standalone_mode=False)
    except UnicodeEncodeError:
        return _refuse(RequestError("An argument is not text in UTF-8."), as_json=as_json)
    except ExportError as error:
        return _refuse(error, as_json=as_json)
    except typer.TyperException as error:
        return _misused(error, as_json=as_json)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        told = _of_temporal(error)
        if told:
            return _refuse(told, as_json=as_json)
        _log.exception("A fault in this program; please report it with the lines below")
        if as_json:
            print_json(refused(ExportError("Something went wrong inside this program.")))
        return OUR_FAULT
    return code if isinstance(code, int) else 0


def _drop_what_is_buffered() -> None:
    # It can't be written any more: without this, Python complains when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(error: ExportError, *, as_json: bool) -> int:
    if as_json:
        print_json(refused(error))
    else:
        for number, line in enumerate(error.msg.splitlines()):
            say(f"{error.code}: {line}" if number == 0 else line)
    return error.exit_code


def _misused(error: typer.TyperException, *, as_json: bool) -> int:
    message = plain(error.format_message()).replace("Value error, ", "")
    if len(message) > _LONGEST:  # it repeats what was typed
        message = f"{message[:_LONGEST]}..."
    if as_json:
        print_json(refused(RequestError(message)))
        return RequestError.exit_code
    command = getattr(getattr(error, "ctx", None), "command_path", "exports")
    say(f"{RequestError.code}: {message}")
    say(f"Try: {command} --help")
    return RequestError.exit_code


def _of_temporal(error: Exception) -> ExportError | None:
    # Whoever raised it has imported these already.
    from temporalio.envconfig import ClientConfig  # noqa: PLC0415 -- see above
    from temporalio.service import RPCError  # noqa: PLC0415 -- see above

    from exports.server_errors.temporal import temporal_error  # noqa: PLC0415 -- see above

    if not isinstance(error, RPCError):
        return None
    address = ClientConfig.load_client_connect_config().get("target_host") or "localhost:7233"
    return temporal_error(error.status, f"Temporal at {address}")
