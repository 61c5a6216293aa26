"""A report defines where the rows of an export come from and which columns they have."""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import JsonValue

from exports.characters import can_mislead
from exports.clock import now_ms
from exports.errors import ParamsError, TypeUnknownError
from exports.models import Unit
from exports.reports.described import ParamDescription, schema_of_params
from exports.reports.fingerprint import of_class
from exports.reports.relative import RelativePeriod, Span
from exports.source.database import Source
from exports.source.types import Consistency
from exports.tables.described import ColumnDescription
from exports.tables.warnings import TaskWarning

# The rules of Windows, which are the strictest:
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_NOT_IN_FILE_NAMES: Final = re.compile(r'[<>:"/\\|?*]')
_TITLE_BYTES: Final = 180
"""File systems allow 255 bytes; the period, the time, the extension and a browser's " (1)" need
the rest."""


class Rows(NamedTuple):
    """Some rows of a unit.

    Attributes:
        batch: The rows; it may be empty.
        warnings: Values that were changed in them.
        rest: With the last rows of a unit: units for the part of it that was not read.
    """

    batch: pa.RecordBatch
    warnings: Sequence[TaskWarning] = ()
    rest: Sequence[Unit] = ()


class Report(ABC):
    """One type of export.

    `check_params` is called first; the other methods get what it returned as `params`.

    Attributes:
        type: The name that clients use: `statsMonthly`.
        title: The name for people; the same as `type` if none is given.
        file_name: How the names of its files begin; the title, unless a subclass sets it.
        bulk: Whether an export may have millions of rows. Then it is read and written by workers
            and slots for bulk exports, so that small exports do not wait for it.
        per_person: Whether two people may get different rows for the same parameters.
        quota_open: How many exports of this type that have not ended one person may have; 0 for no
            limit but that of all types.
        quota_per_day: How many exports of this type one person may ask for on one day, in UTC; 0
            for no limit but that of all types.
        timezone: The time zone in which people are told times of an export.
        max_rows: Most rows of a file; an export that would have more fails. None for no limit.
        about: Whether an xlsx file has a last sheet that says what the export is.
        consistency: How the reads of all units belong together: see `Definition`.
        spans: The relative periods that `period_params` can give: `previous month`.
    """

    type: str
    title: str
    file_name: str
    bulk: bool = False
    per_person: bool = True
    quota_open: int = 0
    quota_per_day: int = 0
    timezone: str = "UTC"
    max_rows: int | None = None
    about: bool = True
    consistency: Consistency = "causal"
    spans: Sequence[Span] = ()

    def __init__(self, name: str, title: str | None = None) -> None:
        self.type = name
        self.title = title or name
        self.file_name = self.title

    @abstractmethod
    def check_params(self, params: object) -> dict[str, JsonValue]:
        """Check the parameters that a client sent, and return them in normal form.

        Raises:
            ParamsError: They are not an object, or one is missing, unknown or wrong.
        """

    @abstractmethod
    def describe_params(self) -> list[ParamDescription]:
        """Describe the parameters, in order, for people."""

    def params_schema(self) -> dict[str, JsonValue]:
        """Return the JSON Schema, draft 2020-12, of the parameters: that of `describe_params`.

        `check_params` may refuse more, such as an end that is before the start, and accepts every
        value as text too, as the command line sends it.
        """
        return schema_of_params(self.describe_params())

    def example_params(self) -> dict[str, JsonValue] | None:
        """Return valid parameters for documentation; None if there is no example."""
        return None

    def describe_columns(self) -> list[ColumnDescription]:
        """Describe the columns of the file, in order; empty if only its rows can tell."""
        return []

    def narrow_by(self) -> list[str]:
        """Return what gives fewer rows: `a shorter period`."""
        return ["a shorter period"]

    @abstractmethod
    def period(self, params: dict[str, JsonValue]) -> str:
        """Return the period of the parameters, in a few characters: `2026-10`."""

    def period_params(self, first: date, end: date) -> dict[str, JsonValue]:
        """Return the parameters that say the period, for recurring exports.

        Args:
            first: The first day of the period, which is one of `spans`.
            end: The day after the last one.
        """
        raise NotImplementedError

    def params_of_period(self) -> list[str]:
        """Return the names of the parameters that `period_params` gives; empty without `spans`."""
        if not self.spans:
            return []
        days = RelativePeriod(self.spans[0]).before(now_ms(), ZoneInfo(self.timezone))
        return [*self.period_params(*days)]

    def params_at(
        self, params: Mapping[str, JsonValue], period: str | None, moment: int
    ) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
        """Return the parameters of a recurring export as they are at a moment.

        Args:
            params: All parameters but those that say the period.
            period: The relative period; None if `params` are all.
            moment: What it is relative to (epoch milliseconds).

        Returns:
            All parameters, in normal form, and those of them that come from the period.

        Raises:
            ParamsError: The report can't take this period, or the parameters do not fit.
        """
        filled: dict[str, JsonValue] = {}
        if period is not None:
            relative = RelativePeriod.parse(period)
            if relative.span not in self.spans:
                can = f"can take {', or '.join(self.spans)}" if self.spans else "can take none"
                raise ParamsError(
                    f"{self.type} can't take this period; it {can}.",
                    fields={"period": "does not fit the report"},
                )
            filled = self.period_params(*relative.before(moment, ZoneInfo(self.timezone)))
        twice = sorted(filled.keys() & params.keys())
        if twice:
            raise ParamsError(
                f"Leave out {', '.join(twice)}: the period says so.",
                fields=dict.fromkeys(twice, "comes from the period"),
            )
        return self.check_params({**params, **filled}), filled

    @abstractmethod
    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        """Return the units, which are read in parallel, in the order of their rows."""

    @abstractmethod
    def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        """Read the rows of one unit, in an order that is the same each time.

        Args:
            source: Where the rows are.
            unit: One of `units`, or one of the `rest` of another.
            params: The parameters, as `check_params` returned them.
            created_by: Who asked for the export. A report with an owner field gives only the rows
                of this user.

        Yields:
            At least one batch, so that a file without rows has a header. Their schemas, made by
            `exports.schema`, have the same columns.

        Raises:
            CollectionMissingError: There is no such collection.
            PipelineError: The database refuses the aggregation, whenever it is sent.
            SourceAccessError: The database refuses the credentials or the permission.
            SnapshotError: The database can't show the moment of the export any more.
            SourceUnavailableError: The database cannot be reached or did not answer in time.
        """

    @cached_property
    def fingerprint(self) -> str:
        """A short text that is different for another definition of the report.

        All rows of an export are read by workers whose report has the same fingerprint.
        """
        return of_class(self.type, self.title, type(self))

    def summary(self, params: dict[str, JsonValue]) -> str:
        """Return a short description of an export: `statsMonthly 2026-10`."""
        return f"{self.type} {self.period(params)}"

    def file_stem(self, params: dict[str, JsonValue]) -> str:
        """Return the name of the file without its extension: `statsMonthly-2026-10`."""
        return f"{_for_file_name(self.file_name)}-{self.period(params)}"

    def sample_file_name(self, extension: str) -> str:
        """Return what a file of this report may be called: `statsMonthly-2026-10.csv`."""
        example = self.example_params()
        stem = _for_file_name(self.file_name) if example is None else self.file_stem(example)
        return f"{stem}.{extension}"


class ReportCatalog:
    """The reports that are configured. It does not change."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self._reports = {report.type: report for report in reports}

    def named(self, name: str) -> Report:
        """Return the report of a type.

        Raises:
            TypeUnknownError: There is none; the message lists the types.
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
    # A mark that changes the direction of text would make `csv.exe` look like `exe.csv`.
    honest = "".join("-" if can_mislead(character) else character for character in composed)
    safe = _NOT_IN_FILE_NAMES.sub("-", honest)
    short = safe.encode()[:_TITLE_BYTES].decode(errors="ignore")
    return short.strip(". ") or "export"
