"""Progress of exports: a bar for each on a terminal, a line for each new stage elsewhere."""

import os
import sys
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from exports.cli.output import console, local_time, plain, progress_text
from exports.models import Stage, TaskStatus
from exports.tasks.task import ExportTask

_STAGES: Final = list(Stage)


class ProgressView:
    """Shows the progress of exports, several at once. A context manager.

    Args:
        stream: Where to print; standard error by default, apart from the result.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        to: TextIO = stream or sys.stderr
        self._console = console(to)
        self._bars = _bars(self._console) if _is_terminal(to) else None
        self._bar_of: dict[str, TaskID] = {}
        self._printed: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    def update(self, task: ExportTask) -> None:
        """Show the state of an export."""
        if self._bars:
            self._move_bar(self._bars, task)
            return
        at = task.progress
        again_at = task.next_run_at if task.error else None
        news = (task.status.ended, at.stage, at.waiting_for, again_at)
        if news != self._printed.get(task.id):
            self._printed[task.id] = news
            self._console.print(Text(f"{_name(task)}: {_state(task)}"), soft_wrap=True)

    def _move_bar(self, bars: Progress, task: ExportTask) -> None:
        if task.id not in self._bar_of:
            self._bar_of[task.id] = bars.add_task(_name(task), total=len(_STAGES) - 1, state="")
        stage = Stage.FINISHED if task.status is TaskStatus.DONE else task.progress.stage
        bars.update(self._bar_of[task.id], completed=_STAGES.index(stage), state=_state(task))
        if task.status.ended:
            bars.stop_task(self._bar_of[task.id])


def _bars(to: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        # With 16 colours, rich's default green looks like the grey of an empty bar.
        BarColumn(bar_width=24, finished_style="green"),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        console=to,
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _name(task: ExportTask) -> str:
    return plain(f"{task.type} {task.format}")


def _state(task: ExportTask) -> str:
    if task.status.ended:
        rows = f", {task.rows:,} rows" if task.status is TaskStatus.DONE else ""
        return f"{task.status}{rows}"
    if task.error is not None and task.status is TaskStatus.PENDING:
        again = f", next attempt at {local_time(task.next_run_at)}" if task.next_run_at else ""
        return plain(f"attempt {task.retries} failed ({task.error.code}){again}")
    return progress_text(task)
