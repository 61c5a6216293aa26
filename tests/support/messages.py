"""Messages as the tests send them, and the settings of channels."""

from pathlib import Path
from typing import Any

from exports.message_settings import MessageSettings
from exports.messages.message import Event, ExportFacts, Message, Problem, Subject
from exports.models import TaskStatus
from exports.reports.report import ReportCatalog
from tests.support.paths import REPORTS
from tests.support.service import reports_of

FILE_URL = "https://exports.example.com/exports/665f1c2a9b1e8a0001234567/file"
_STATUSES = {Event.FAILED: TaskStatus.FAILED, Event.CANCELLED: TaskStatus.CANCELLED}
_SUBJECTS = (Event.WEBHOOK_DISABLED, Event.RECURRING_PAUSED, Event.TEST)


def reports(path: Path = REPORTS) -> ReportCatalog:
    return reports_of(path)


def message(event: Event = Event.DONE, *, uid: str = "u1", **changes: Any) -> Message:
    """Return a message of an event, with other facts of its export."""
    if event in _SUBJECTS:
        subject = Subject(id="r1", name="Orders of last month", reason="The report is gone.")
        return Message(id="m1", event=event, at=1793404800000, created_by=uid, subject=subject)
    facts: dict[str, Any] = {
        "id": "665f1c2a9b1e8a0001234567",
        "type": "statsMonthly",
        "period": "2026-10",
        "format": "csv",
        "status": _STATUSES.get(event, TaskStatus.DONE),
    }
    if event in {Event.DONE, Event.EXPIRING}:
        facts |= {
            "file_name": "statsMonthly-2026-10.csv",
            "rows": 12345,
            "bytes": 4_567_890,
            "file_url": FILE_URL,
            "expires_at": 1793491200000,
        }
    if event is Event.FAILED:
        facts["error"] = Problem(code="E_ROWS", msg="The export would have too many rows.")
    export = ExportFacts(**{**facts, **changes})
    return Message(id="m1", event=event, at=1793404800000, created_by=uid, export=export)


def settings(**given: Any) -> MessageSettings:
    return MessageSettings(**given)
