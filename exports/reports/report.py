"""What a report is: where the rows of an export come from, and what columns they have."""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import pyarrow as pa
from pydantic import JsonValue

from exports.errors import TypeUnknownError
from exports.models import Unit
from exports.reports.fingerprint import of_class
from exports.reports.params import ParamDescription
from exports.source.database import Source
from exports.tables.warnings import TaskWarning

# What Windows, the strictest, does not allow in a file name:
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_NOT_IN_FILE_NAMES: Final = re.compile(r'[<>:"/\\|?*]')
# File systems allow 255 bytes; the period, the extension and a browser's " (1)" need some.
_TITLE_BYTES: Final = 180


class Rows(NamedTuple):
    """Some rows of a unit.

    Attributes:
        batch: The rows; possibly none.
        warnings: What was changed in them.
        rest: On the last rows of a unit: what of it is still to be read.
    """

    batch: pa.RecordBatch
    warnings: Sequence[TaskWarning] = ()
    rest: Sequence[Unit] = ()


class Report(ABC):
    """One type of export.

    `check_params` comes first: what the other methods get as `params` is what it returned.

    Attributes:
        type: What clients call it: `statsMonthly`.
        title: What people call it; the type if nobody chose one.
        bulk: Whether there may be millions of rows, so that reading and writing them is left to
            workers and slots that small exports do not wait for.
    """

    type: str
    title: str
    bulk: bool = False

    def __init__(self, name: str, title: str | None = None) -> None:
        self.type = name
        self.title = title or name

    @abstractmethod
    def check_params(self, params: object) -> dict[str, JsonValue]:
        """Return the parameters as the report understands them.

        Raises:
            ParamsError: They are not an object, or one is missing, unknown or wrong.
        """

    @abstractmethod
    def describe_params(self) -> list[ParamDescription]:
        """Describe the parameters, in order, for people."""

    @abstractmethod
    def period(self, params: dict[str, JsonValue]) -> str:
        """Return what the parameters stand for, in a few characters: `2026-10`."""

    @abstractmethod
    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        """Return the pieces that are read side by side, in the order of their rows."""

    @abstractmethod
    def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        """Read the rows of one unit, in an order that is the same each time.

        Args:
            source: Where the rows are.
            unit: One of `units`, or of the rest of one.
            params: What the client asked for.
            created_by: Who asks; an owner's report gives only the rows of this person.

        Yields:
            At least one batch, so that a file without rows has a header. Their schemas, made by
            `exports.tables.columns.schema`, have the same columns.

        Raises:
            CollectionMissingError: There is no such collection.
            PipelineError: The database refuses the aggregation as such.
            SourceAccessError: The database refuses the credentials or the permission.
            SourceUnavailableError: The database can't be reached or did not answer in time.
        """

    @cached_property
    def fingerprint(self) -> str:
        """What tells this definition of the report from others of the same name, in a few letters.

        All rows of an export are read by workers whose report has the same.
        """
        return of_class(self.type, self.title, type(self))

    def summary(self, params: dict[str, JsonValue]) -> str:
        """Return which export this is, for people: `statsMonthly 2026-10`."""
        return f"{self.type} {self.period(params)}"

    def file_stem(self, params: dict[str, JsonValue]) -> str:
        """Return the name of the file without its extension: `statsMonthly-2026-10`."""
        return f"{_for_file_name(self.title)}-{self.period(params)}"


class ReportCatalog:
    """The reports that are configured. Does not change."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self._reports = {report.type: report for report in reports}

    def named(self, name: str) -> Report:
        """Return the report of that type.

        Raises:
            TypeUnknownError: There is none; the message lists those there are.
        """
        try:
            return self._reports[name]
        except KeyError:
            raise TypeUnknownError(
                f"There is no export of that type; use one of: {', '.join(sorted(self._reports))}."
            ) from None

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports.values())


def _for_file_name(title: str) -> str:
    composed = unicodedata.normalize("NFC", title)
    # Category C is what can't be seen: control characters, and marks that turn text around and
    # could make `exe.csv` of `csv.exe`.
    visible = "".join(
        "-" if unicodedata.category(character).startswith("C") else character
        for character in composed
    )
    safe = _NOT_IN_FILE_NAMES.sub("-", visible)
    short = safe.encode()[:_TITLE_BYTES].decode(errors="ignore")
    return short.strip(". ") or "export"
