"""`exports schedule`: manages the Temporal Schedule of the sweep."""

from typing import TYPE_CHECKING

import typer

from exports.cli.boundary import with_schedule
from exports.cli.options import AsJson
from exports.cli.output import print_json, schedule_grid, show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exports.models import ScheduleView
    from exports.temporal.schedule import SweepSchedule

app = typer.Typer(help="Manage the Temporal Schedule that runs a sweep every five minutes.")


@app.command("apply")
def apply(*, as_json: AsJson = False) -> None:
    """Create the Schedule, or update it."""
    _schedule(lambda found: found.apply(), as_json=as_json)


@app.command("show")
def show_schedule(*, as_json: AsJson = False) -> None:
    """Show the Schedule."""
    _schedule(lambda found: found.show(), as_json=as_json)


@app.command("pause")
def pause(*, as_json: AsJson = False) -> None:
    """Pause the Schedule."""
    _schedule(lambda found: found.pause("paused with `exports schedule pause`"), as_json=as_json)


@app.command("resume")
def resume(*, as_json: AsJson = False) -> None:
    """Resume the Schedule."""
    _schedule(lambda found: found.resume("resumed with `exports schedule resume`"), as_json=as_json)


@app.command("trigger")
def trigger(*, as_json: AsJson = False) -> None:
    """Let the Schedule run a sweep now, and do not wait for it."""
    _schedule(lambda found: found.trigger(), as_json=as_json)


def _schedule(work: "Callable[[SweepSchedule], Awaitable[ScheduleView]]", *, as_json: bool) -> None:
    view = with_schedule(work)
    if as_json:
        print_json(view)
    else:
        show(schedule_grid(view))
