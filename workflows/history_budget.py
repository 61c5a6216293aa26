"""How much one export may put into its history: the server terminates a run with too much of it."""

from collections.abc import Sequence
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.errors import TooLargeError
    from exports.models import ExportPlan, StagedUnit, TaskRef, Unit
    from exports.temporal.payload_size import size_of
    from workflows import policies
    from workflows.failures import application_error

_UNITS_COUNTED: Final = "units-counted"  # older runs have no limit of units


class HistoryBudget:
    """Counts the units of an export, and the lists of staged parts in its history."""

    def __init__(self) -> None:
        self._known = 0
        self._read = 0
        self._rows = 0
        self._listed = 0

    def plan_again(self) -> None:
        """Forget those units of the last plan that were not read, and so are not in the history."""
        self._known = self._read

    def plan_units(self, plan: ExportPlan, units: Sequence[Unit], task: TaskRef) -> None:
        """Fail as soon as it is known that the history can't hold all units.

        Otherwise the server would terminate the run after hours, and the sweep start it again.

        Args:
            plan: What each unit has in its input.
            units: Units that are to be read, besides those of earlier calls.
            task: The task and its run.

        Raises:
            ApplicationError: `E_TOO_LARGE`.
        """
        self._known += len(units)
        prefix = names.run_prefix(names.STAGING, task.task_id, task.run_id)
        most = min(
            policies.MOST_UNITS,
            policies.MOST_BYTES_OF_UNITS // (policies.BYTES_OF_UNIT + size_of(plan)),
            policies.MOST_BYTES_OF_ENTRIES // (policies.BYTES_OF_ENTRY + len(prefix)),
        )
        if self._known <= most or not workflow.patched(_UNITS_COUNTED):
            return
        rows = self._rows * self._known // max(1, self._read)
        about = f"about {rows:,} rows, in " if rows else ""
        raise application_error(
            TooLargeError(
                f"The export has {about}{self._known:,} units of work or more, and can have "
                f"{most:,} with these parameters; ask for a shorter period, or for less."
            )
        )

    def most_listed(self, plan: ExportPlan) -> int:
        """Return how many bytes the list of parts of the next unit may add to the history."""
        left = max(0, policies.MOST_LISTED - self._listed)
        return min(policies.MOST_LISTED_OF_UNIT, left // plan.side_by_side)

    def add(self, staged: StagedUnit) -> None:
        """Count a unit that was read."""
        self._read += 1
        self._rows += staged.rows
        self._listed += sum(map(size_of, staged.parts))
