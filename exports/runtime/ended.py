"""What is counted and logged when an export has ended: a line of the log for each."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from exports.runtime.logs import with_fields
from exports.runtime.metrics import Kind, Outcome

_log = logging.getLogger("exports.ended")


@dataclass(frozen=True)
class EndedExport:
    """How an export ended.

    Attributes:
        task_id: Its task.
        kind: Its report and its format.
        outcome: How it ended.
        seconds: From asking to its end.
        attempts: How many the document counts: those that failed, and the one that did not.
        code: The code of the error, if it failed.
        rows: Rows of its file.
        bytes: Size of its file.
    """

    task_id: str
    kind: Kind
    outcome: Outcome
    seconds: float = 0.0
    attempts: int = 1
    code: str | None = None
    rows: int = 0
    bytes: int = 0

    def record(self) -> None:
        """Count and log it; to be called by whoever has stored that the task has ended, once."""
        self.kind.count_ended(self.outcome, self.code)
        if self.outcome == "done":
            took = timedelta(seconds=self.seconds)
            self.kind.count_done(took=took, rows=self.rows, size=self.bytes)
        _log.info(
            "Export ended",
            extra=with_fields(
                task=self.task_id,
                type=self.kind.type,
                format=self.kind.format,
                outcome=self.outcome,
                code=self.code,
                rows=self.rows,
                bytes=self.bytes,
                seconds=round(self.seconds, 3),
                attempts=self.attempts,
            ),
        )
