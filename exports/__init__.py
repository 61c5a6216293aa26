"""Asynchronous exports from MongoDB to an S3-compatible bucket, on Temporal.

The names below are the public interface: `ExportClient` asks for exports and follows them, the
others are what a report in Python is made of. So is the module `exports.download`. Everything else
may change between releases.

Each name is imported when it is first used, so that `exports --help` does not wait for pyarrow,
pymongo and temporalio: https://peps.python.org/pep-0562/.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exports.client import ExportClient
    from exports.errors import ExportError, ParamsError
    from exports.models import Unit
    from exports.reports.described import ParamDescription
    from exports.reports.report import Report, Rows
    from exports.source.database import Source
    from exports.tables.columns import Column, Sheet, field, schema
    from exports.tasks.task import ExportTask

__all__ = [
    "Column",
    "ExportClient",
    "ExportError",
    "ExportTask",
    "ParamDescription",
    "ParamsError",
    "Report",
    "Rows",
    "Sheet",
    "Source",
    "Unit",
    "field",
    "schema",
]

_MODULES: Final = {
    "Column": "exports.tables.columns",
    "ExportClient": "exports.client",
    "ExportError": "exports.errors",
    "ExportTask": "exports.tasks.task",
    "ParamDescription": "exports.reports.described",
    "ParamsError": "exports.errors",
    "Report": "exports.reports.report",
    "Rows": "exports.reports.report",
    "Sheet": "exports.tables.columns",
    "Source": "exports.source.database",
    "Unit": "exports.models",
    "field": "exports.tables.columns",
    "schema": "exports.tables.columns",
}

if not TYPE_CHECKING:  # a type checker would believe that every name is there

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
