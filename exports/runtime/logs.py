"""The log of a program: lines of text for people, or of JSON for machines.

Each line of a step says which task, workflow, run and attempt it is about.
"""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from exports import names
from exports.errors import ExportError
from exports.runtime.log_settings import LogSettings

_FIELDS: Final = "exports_fields"
"""The attribute of a record that holds its own fields."""
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s%(about)s"
_PLAIN: Final = re.compile(r"[\w.:/-]+")


def with_fields(**fields: object) -> dict[str, object]:
    """Return the argument `extra` of a call that logs, with fields of that line; None is none."""
    return {_FIELDS: fields}


def configure_logging(settings: LogSettings) -> None:
    """Log to standard error, where the log of a container comes from."""
    logging.basicConfig(level=logging.INFO, handlers=[handler_of(settings, sys.stderr)])
    # The SDK adds these to its messages, and so do we to all.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    if settings.log_format == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda args: _log_uncaught(
            args.exc_type, args.exc_value, args.exc_traceback
        )


def handler_of(settings: LogSettings, stream: TextIO) -> logging.Handler:
    """Return what writes a log as it is set to a stream."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(_OneLineErrors())
    handler.addFilter(_about)
    handler.setFormatter(
        _JsonLines() if settings.log_format == "json" else logging.Formatter(_TEXT)
    )
    return handler


def logged_as_json(error: ExportError) -> bool:
    """Log why a program can't go on, if its log is JSON; return whether it is."""
    if not any(isinstance(handler.formatter, _JsonLines) for handler in logging.root.handlers):
        return False
    logging.getLogger("exports").error("%s: %s", error.code, error.msg)
    return True


class _OneLineErrors(logging.Filter):
    """Logs an error that has a code in one line, without its stack trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, ApplicationError) and isinstance(error.__cause__, ExportError):
            error = error.__cause__  # the SDK wraps it, for example if it can't decode an input
        if isinstance(error, ApplicationError | ExportError):
            code = f"{error.code}: " if isinstance(error, ExportError) else ""
            record.msg = f"{record.getMessage()}: {code}{error}"
            record.args = None
            record.exc_info = None
        return True


def _about(record: logging.LogRecord) -> bool:
    """Add to a line what it is about, and its own fields."""
    own: dict[str, object] = vars(record).get(_FIELDS, {})
    fields = {name: value for name, value in {**_step(), **own}.items() if value is not None}
    vars(record)[_FIELDS] = fields
    record.about = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
    return True


def _step() -> dict[str, object]:
    """Return which step, or which workflow, logs the line."""
    if activity.in_activity():
        info = activity.info()
        return {
            **_run(info.workflow_type, info.workflow_id, info.workflow_run_id),
            "step": info.activity_type,
            "attempt": info.attempt,
        }
    if workflow.in_workflow():
        run = workflow.info()
        return _run(run.workflow_type, run.workflow_id, run.run_id)
    return {}


def _run(
    workflow_type: str | None, workflow_id: str | None, run_id: str | None
) -> dict[str, object]:
    is_export = workflow_type == names.EXPORT_WORKFLOW
    return {
        "task": names.task_id_of(workflow_id) if is_export and workflow_id else None,
        "workflow": workflow_id,
        "run": run_id,
    }


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class _JsonLines(logging.Formatter):
    """Writes each record as one line of JSON, whoever has logged it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **vars(record).get(_FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    # None only if a thread ended while the interpreter did.
    if error is not None:
        logging.getLogger("exports").critical("Uncaught error", exc_info=(kind, error, trace))
