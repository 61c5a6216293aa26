"""`make load`: a csv or JSON lines file into a collection of the database of `make dev`.

    python -m dev.load FILE COLLECTION [--replace] [--time-format FORMAT] [--data-dir DIR]

FILE is .csv, .jsonl or .ndjson, or one of them with .gz. The whole file is checked before anything
is written, and the collection appears only when all rows are in it. Exit codes: 0 loaded, 2 the
file or the collection cannot be used, 3 `make dev` is not running, 130 Ctrl-C.
"""

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from bson.errors import InvalidDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, InvalidName, PyMongoError
from rich.table import Table
from rich.text import Text

from dev import orders
from dev.database import users_file
from dev.field_types import AnyDefinition, FieldTypes
from dev.mongo_users import ADMIN, Passwords
from dev.rows import CSV, JSON_LINES, Problems, Row, document, reading, rows_of
from dev.stack import REPOSITORY, source_command
from exports.cli.output import say, show
from exports.errors import ExportError, RequestError, UnreachableError
from exports.reports.file import load_reports
from exports.reports.rows.definition import RowsDefinition
from exports.reports.rows.report import RowsReport
from exports.reports.stats.report import StatsReport

_USAGE: Final = "make load FILE=orders.csv COLLECTION=orders"
_BATCH: Final = 4_000
"""Rows."""
_SERVER_SELECTION: Final = 5_000
"""Milliseconds."""
_DUPLICATE_KEY: Final = 11000  # an error code of MongoDB
_INTERRUPTED: Final = 130  # an exit code


class Loading:
    """One file on its way into one collection.

    Args:
        file: The file.
        collection: Where its rows go.
        reports: The definitions of the reports that read the collection, by name.
        time_format: Format of times, as for `datetime.strptime`; None: ISO 8601.

    Attributes:
        collection: Where its rows go.
        types: When the file is checked: the types of its fields.
        first: When it is loaded: the earliest time by which reports select rows; None: no time.
        last: The latest.
    """

    def __init__(
        self,
        file: Path,
        collection: Collection[dict[str, Any]],
        reports: Mapping[str, AnyDefinition],
        time_format: str | None,
    ) -> None:
        self.types = FieldTypes(reports, time_format)
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._file = file
        self.collection = collection

    def check(self) -> None:
        """Read the whole file, and choose the types of its fields.

        Raises:
            RequestError: It cannot be loaded; says why, and names the lines that are wrong.
        """
        problems, heading = Problems(), list[str]()
        with reading(self._file, "Checking the file") as lines:
            rows = 0
            for row in rows_of(self._file, lines, heading, problems):
                self.types.see(row, problems)
                rows += 1
        problems.check(self._file.name)
        if not rows:
            raise RequestError(f"{self._file.name} has no rows.")
        missing = self.types.missing(heading)
        if missing:
            named = ", ".join(f"{path} (read by {reader})" for path, reader in missing.items())
            has = ", ".join(heading or self.types.fields)
            raise RequestError(f"{self._file.name} has no field {named}. It has: {has}.")

    def load(self) -> int:
        """Load the rows, and create an index on each time by which reports select rows.

        The rows are written to a collection of another name, which takes the place of this one at
        the end. So an export reads either all new rows or all old ones.

        Returns:
            How many rows were loaded.

        Raises:
            RequestError: The database refuses a row.
        """
        loading = self.collection.database[f"{self.collection.name}.loading"]
        loading.drop()  # what a load that was killed has left
        try:
            with reading(self._file, "Loading the rows") as lines:
                count = self._insert(loading, rows_of(self._file, lines, [], Problems()))
            for path in self.types.times:
                loading.create_index(path)
            loading.rename(self.collection.name, dropTarget=True)
        finally:
            loading.drop()
        return count

    def _insert(self, loading: Collection[dict[str, Any]], rows: Iterator[Row]) -> int:
        count = 0
        while batch := list(islice(rows, _BATCH)):
            values = [self.types.converted(row) for row in batch]
            self._note_times(values)
            try:
                loading.insert_many([document(item) for item in values])
            except BulkWriteError as error:
                refused = cast("dict[str, Any]", error.details)["writeErrors"][0]
                reason = (
                    "its _id is that of another row"
                    if refused["code"] == _DUPLICATE_KEY
                    else f"the database refuses it (code {refused['code']})"
                )
                line = batch[int(refused["index"])].line
                raise RequestError(
                    f"{self._file.name} cannot be loaded. Nothing was loaded.\n"
                    f"line {line}: {reason}."
                ) from None
            except (InvalidDocument, OverflowError):
                raise RequestError(
                    f"{self._file.name} cannot be loaded. Nothing was loaded.\n"
                    f"lines {batch[0].line} to {batch[-1].line}: one of them is larger than "
                    "16 MB, or has a number that MongoDB cannot store."
                ) from None
            count += len(batch)
        return count

    def _note_times(self, rows: Iterable[Mapping[str, object]]) -> None:
        for path in self.types.times[:1]:
            for row in rows:
                moment = row.get(path)
                if isinstance(moment, datetime):
                    self.first = min(self.first or moment, moment)
                    self.last = max(self.last or moment, moment)


def main(arguments: list[str]) -> int:
    """Load the file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.load", description=__doc__)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("collection", metavar="COLLECTION")
    parser.add_argument("--replace", action="store_true", help="replace what is there")
    parser.add_argument("--time-format", metavar="FORMAT", help="such as %%d/%%m/%%Y")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / ".dev", metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        _load(
            _checked_file(options.file, options.collection),
            options.collection,
            replace=options.replace,
            time_format=options.time_format,
            data_dir=options.data_dir,
        )
    except ExportError as error:
        for number, line in enumerate(error.msg.splitlines()):
            say(f"{error.code}: {line}" if number == 0 else line)
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped. Nothing was loaded.")
        return _INTERRUPTED
    return 0


def _checked_file(name: str, collection: str) -> Path:
    if not name or not collection:
        raise RequestError(f"FILE and COLLECTION are required: {_USAGE}.")
    if not name.endswith((*CSV, *JSON_LINES)):
        raise RequestError(f"{name} must end with .csv, .jsonl or .ndjson, or one of them and .gz.")
    file = Path(name)
    if not file.is_file():
        raise RequestError(f"There is no file {name}.")
    return file


def _load(file: Path, name: str, *, replace: bool, time_format: str | None, data_dir: Path) -> None:
    environment = _environment(data_dir / "env")
    everything = definitions(Path(environment["EXPORTS_REPORTS_FILE"]))
    reports = {key: item for key, item in everything.items() if item.collection == name}
    passwords = Passwords.model_validate_json(users_file(data_dir).read_text())
    with MongoClient[dict[str, Any]](
        environment["EXPORTS_SOURCE_URI"],  # of a user who can only read
        username=ADMIN,
        password=passwords.of(ADMIN).get_secret_value(),
        serverSelectionTimeoutMS=_SERVER_SELECTION,
        tz_aware=True,
    ) as client:
        try:
            collection = client[environment["EXPORTS_SOURCE_DATABASE"]][name]
            _check_empty(collection, replace=replace)
            loading = Loading(file, collection, reports, time_format)
            loading.check()
            if not reports:
                read = ", ".join(sorted({item.collection for item in everything.values()}))
                say(f"No report reads the collection {name}. The reports read: {read}.")
            show(_table(loading.types))
            count = loading.load()
        except InvalidName:
            raise RequestError(f"{name} is not a valid name of a collection.") from None
        except PyMongoError as error:
            raise UnreachableError(
                f"The database of `make dev` failed ({type(error).__name__}). Nothing was loaded."
            ) from None
    show(Text(_summary(loading, count, reports, data_dir / "env")))


def _environment(file: Path) -> dict[str, str]:
    try:
        lines = shlex.split(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnreachableError(
            "`make dev` is not running. Start it in another shell, then repeat this command."
        ) from None
    return dict(line.split("=", 1) for line in lines)


def definitions(reports_file: Path) -> dict[str, AnyDefinition]:
    """Return the definitions of the reports of a file, by name; without those written in Python.

    Raises:
        ReportsFileError: The file is missing or has mistakes.
    """
    return {
        report.type: report.definition
        for report in load_reports(reports_file)
        if isinstance(report, StatsReport | RowsReport)
    }


def _check_empty(collection: Collection[dict[str, Any]], *, replace: bool) -> None:
    if replace or collection.find_one({}, {"_id": True}) is None:
        return
    if not all(orders.is_sample(found["_id"]) for found in collection.find({}, {"_id": True})):
        raise RequestError(
            f"The collection {collection.name} has {collection.estimated_document_count():,} "
            "documents. To replace them, add REPLACE=1."
        )
    say("The sample orders will be replaced. To get them back, remove .dev/ and run `make dev`.")


def _table(types: FieldTypes) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("field", "type", "values", "type chosen by"):
        table.add_column(heading, justify="right" if heading == "values" else "left")
    for path, field in types.fields.items():
        kind = {"objectId": "id", "datetime": f"datetime, {types.zone}"}.get(field.type, field.type)
        table.add_row(Text(path), kind, f"{field.values:,}", Text(field.chosen_by))
    return table


def _summary(
    loading: Loading, count: int, reports: Mapping[str, AnyDefinition], environment: Path
) -> str:
    said = [f"Loaded {count:,} rows into the collection {loading.collection.name}."]
    first, last = loading.first, loading.last
    if first and last:
        zone = loading.types.zone
        days = [f"{moment.astimezone(zone):%Y-%m-%d}" for moment in (first, last)]
        said[0] += f" Their times are from {days[0]} to {days[1]}."
    if reports and last:
        said += ["To export them:", f"  {source_command(environment)}"]
    said += [
        f"  .venv/bin/exports create {shlex.quote(name)} {_params(report, last)}"
        " --format xlsx --output ."
        for name, report in reports.items()
        if last
    ]
    return "\n".join(said)


def _params(report: AnyDefinition, last: datetime) -> str:
    day = last.astimezone(ZoneInfo(report.timezone)).date()
    if isinstance(report, RowsDefinition):
        return f"-p from={day.replace(day=1)} -p to={day + timedelta(days=1)}"
    month = f" -p month={day.month}" if report.period == "month" else ""
    return f"-p year={day.year}{month}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
