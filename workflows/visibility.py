"""Search attributes and current details: what operators see of an export, and a run of itself."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.clock import epoch_ms
    from exports.models import ExportPlan, ExportResult, TaskStatus


# Older runs set search attributes also if no activity has said that they are there.
_UNKNOWN = "search-attributes-not-known"
_KEYS = [SearchAttributeKey.for_keyword(name) for name in names.SEARCH_ATTRIBUTES]
_PLANNED_FOR = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


def planned_for() -> int | None:
    """Return the time for which a Schedule started this run (epoch milliseconds), if one did.

    It is the planned time also if the run was started late, and for a backfill. For a trigger, it
    is the time of the trigger.
    """
    planned = workflow.info().typed_search_attributes.get(_PLANNED_FOR)
    return None if planned is None else epoch_ms(planned)


def show_progress(doing: str, *, rows: int, plan: ExportPlan | None = None) -> None:
    """Show what a run is doing, and how many rows it has staged."""
    name = f"{plan.summary} · " if plan else ""
    workflow.set_current_details(f"{name}**{doing}** · {rows:,} rows so far")


def show_cancelled(reason: str) -> None:
    """Show that a run was cancelled, and why."""
    workflow.set_current_details(f"**cancelled** · {reason}" if reason else "**cancelled**")


class Visibility:
    """What operators see of one run, and can filter by.

    The namespace may not have the search attributes. If a run set one that does not exist, the
    server would fail its workflow task again and again, and the run would stand still
    (https://github.com/temporalio/temporal/issues/6647). So a run that was not started with them
    sets them only once an activity has said that they are there.

    Attributes:
        has_search_attributes: Whether the run was started with all search attributes.
    """

    def __init__(self) -> None:
        there = workflow.info().typed_search_attributes
        self.has_search_attributes = all(there.get(key) is not None for key in _KEYS)
        self._known = True if self.has_search_attributes else None

    def learn(self, *, search_attributes: bool) -> None:
        """Take note of whether the namespace has the search attributes."""
        self._known = self._known or search_attributes

    def show_plan(self, plan: ExportPlan) -> None:
        """Let an export be found by what was planned for it."""
        self._set_search_attributes(
            {
                names.SEARCH_STATUS: TaskStatus.RUNNING,
                names.SEARCH_TYPE: plan.type,
                names.SEARCH_FORMAT: plan.format,
                names.SEARCH_CREATED_BY: plan.created_by,
            }
        )

    def show_done(self, result: ExportResult) -> None:
        """Show that a run has finished its export."""
        self._set_search_attributes({names.SEARCH_STATUS: TaskStatus.DONE})
        workflow.set_current_details(
            f"**done** · {result.rows:,} rows · {result.bytes:,} bytes · {result.file_name}"
        )

    def show_ended_before(self, result: ExportResult) -> None:
        """Show that a run found its task ended."""
        self._set_search_attributes({names.SEARCH_STATUS: result.status})
        workflow.set_current_details(f"**{result.status}** already")

    def show_cancelling(self) -> None:
        """Show that a run was cancelled and is cleaning up."""
        workflow.set_current_details("**cancelled** · cleaning up")
        self._set_search_attributes({names.SEARCH_STATUS: TaskStatus.CANCELLED})

    def show_failed(self, code: str, msg: str) -> None:
        """Show why a run has failed."""
        workflow.set_current_details(f"**failed** · {code} · {msg}")
        self._set_search_attributes({names.SEARCH_STATUS: TaskStatus.FAILED})

    def _set_search_attributes(self, attributes: dict[str, str]) -> None:
        """Set search attributes; no event if they are set already, or the namespace lacks them."""
        there = workflow.info().typed_search_attributes
        if all(
            there.get(SearchAttributeKey.for_keyword(name)) == text
            for name, text in attributes.items()
        ):
            return
        if not self._known and (self._known is False or workflow.patched(_UNKNOWN)):
            return
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] -- the SDK's own generic is bare
            [
                SearchAttributeKey.for_keyword(name).value_set(text)
                for name, text in attributes.items()
            ]
        )
