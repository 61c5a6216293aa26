"""The commands that run a program until it is stopped: the worker and the servers."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from exports.cli.boundary import EXPORT_FAILED
from exports.cli.options import AsJson
from exports.cli.output import local_time, print_json, say
from exports.errors import ExportError
from exports.runtime.process import keep_temporal_off_stdout

app = typer.Typer()


@app.command()
def worker(
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Say whether a worker of this machine is alive. Asks no server."
        ),
    ] = False,
    ready: Annotated[
        bool,
        typer.Option(
            "--ready", help="Say whether a worker of this machine is alive and polls Temporal."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a worker until Ctrl-C or SIGTERM; the same as `python worker.py`."""
    if check or ready:
        raise typer.Exit(_check_worker(ready=ready, as_json=as_json))
    import worker as program  # noqa: PLC0415 -- the one command that needs the whole service

    if not as_json:
        raise typer.Exit(program.main())
    # `serve` raises its errors, so that they can be printed as the one JSON value.
    program.serve()
    print_json({"ok": True})


@app.command("codec-server")
def codec_server(*, as_json: AsJson = False) -> None:
    """Run the codec server, which decrypts payloads for the Temporal Web UI, until Ctrl-C."""
    from exports.codec_server.process import serve  # noqa: PLC0415 -- no other command needs a web server

    _run(serve, as_json=as_json)
    if as_json:
        print_json({"ok": True})


@app.command()
def api(*, as_json: AsJson = False) -> None:
    """Run the HTTP API until Ctrl-C or SIGTERM."""
    from exports.api.process import serve  # noqa: PLC0415 -- no other command needs a web server

    _run(serve, as_json=as_json)
    if as_json:
        print_json({"ok": True})


def _run(serve: Callable[[], None], *, as_json: bool) -> None:
    try:
        serve()
    except ExportError as error:
        from exports.runtime.logs import logged_as_json  # noqa: PLC0415 -- as above

        if as_json or not logged_as_json(error):
            raise
        raise typer.Exit(error.exit_code) from None


def _check_worker(*, ready: bool, as_json: bool) -> int:
    from exports.cli.health import worker_alive, worker_ready  # noqa: PLC0415 -- as above

    if ready:
        keep_temporal_off_stdout()
    view = asyncio.run(worker_ready()) if ready else worker_alive()
    if as_json:
        print_json(view)
    else:
        found = f"{'' if view.ok else 'not '}{'ready' if ready else 'alive'}"
        seen = f"last seen {local_time(view.last_seen)}" if view.last_seen else "never seen"
        say(f"The worker of {view.host} on task queue {view.task_queue} is {found}: {seen}.")
    return 0 if view.ok else EXPORT_FAILED
