"""Compares sampled documents with what a report declares. No value is ever part of a check."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from exports.doctor.check import Check, failed, ok, warning
from exports.reports.definition import Definition, StatsDefinition
from exports.reports.rows.definition import RowsDefinition
from exports.reports.stats.pipeline import TYPES
from exports.source.types import GroupType, OnMismatch
from exports.source.values import Mismatch, Rule, rule, type_name

_MOST_SAID: Final = 3
"""Problems that one check names."""
_TIME: Final = "time"
_NUMBERS: Final = ("int", "long", "double", "decimal")


class Declared(NamedTuple):
    """A field of the documents, as a report declares it.

    Attributes:
        path: Path of the field.
        kind: The type that its values must have; None if every type is taken.
        rule: Takes a value, and raises `Mismatch` if it is not of this type.
        on_mismatch: What happens to other values.
    """

    path: str
    kind: str | None
    rule: Rule
    on_mismatch: OnMismatch


def declared(definition: Definition) -> list[Declared]:
    """Return the fields that a report shows or computes with, each once."""
    match definition:
        case StatsDefinition():
            groups = [
                Declared(item.field, item.type, _of_bson(item.type), item.on_mismatch)
                for item in definition.group_by.values()
            ]
            measures = [
                Declared(
                    item.field, item.checked_type, _of_bson(item.checked_type), item.on_mismatch
                )
                for item in definition.measures.values()
                if item.field is not None
            ]
            return list({(item.path, item.kind): item for item in (*groups, *measures)}.values())
        case RowsDefinition():
            zone = ZoneInfo(definition.timezone)
            return [
                Declared(
                    item.field,
                    item.type,
                    rule(item.type, scale=item.places, zone=zone),
                    definition.on_mismatch,
                )
                for item in definition.columns.values()
            ]
        case _:
            return []


def projection(fields: Sequence[Declared], definition: Definition) -> dict[str, Any]:
    """Return the projection with which documents are sampled for `compared`."""
    paths = {f"f{index}": f"${item.path}" for index, item in enumerate(fields)}
    return {_TIME: f"${definition.time_field}", **paths}


def compared(
    name: str,
    documents: Sequence[dict[str, Any]],
    fields: Sequence[Declared],
    definition: Definition,
) -> Check:
    """Return whether sampled documents are as a report declares them.

    Args:
        name: The name of the check.
        documents: What a query with `projection` returned.
        fields: What the report declares.
        definition: The report.
    """
    if not documents:
        return ok(name, "There is no document to compare with.")
    wrong = [_time(documents, definition.time_field)]
    wrong += [_field(f"f{index}", documents, item) for index, item in enumerate(fields)]
    problems = sorted(filter(None, wrong), key=lambda problem: not problem.fails)
    if not problems:
        return ok(name, f"{len(documents)} sampled documents are as the report declares them.")
    said = " ".join(problem.what for problem in problems[:_MOST_SAID])
    if len(problems) > _MOST_SAID:
        said += f" {len(problems) - _MOST_SAID} more fields are not as declared."
    make = failed if any(problem.fails for problem in problems) else warning
    return make(name, said, "Correct the report in the reports file, or the documents.")


class _Problem(NamedTuple):
    what: str
    fails: bool


def _time(documents: Sequence[dict[str, Any]], path: str) -> _Problem | None:
    others = [item.get(_TIME) for item in documents if not isinstance(item.get(_TIME), datetime)]
    if not others:
        return None
    what = (
        f"The time field {path!r} is not a date ({_types(others)}) in {_part(others, documents)}: "
    )
    if len(others) == len(documents):
        return _Problem(f"{what}no export has a row.", fails=True)
    return _Problem(f"{what}these are in no export.", fails=False)


def _field(key: str, documents: Sequence[dict[str, Any]], field: Declared) -> _Problem | None:
    values = [item[key] for item in documents if item.get(key) is not None]
    if not values:
        return _Problem(f"None of {len(documents)} documents has a {field.path!r}.", fails=False)
    others = [value for value in values if not _fits(field.rule, value)]
    if not others:
        return None
    what = f"{field.path!r} is not of the type {field.kind} ({_types(others)}) in "
    becomes = {"fail": "exports fail", "text": "the column is text", "null": "these are left out"}
    return _Problem(
        f"{what}{_part(others, documents)}: {becomes[field.on_mismatch]}.",
        fails=field.on_mismatch == "fail",
    )


def _fits(of: Rule, value: object) -> bool:
    try:
        of(value)
    except Mismatch:
        return False
    return True


def _of_bson(kind: GroupType | None) -> Rule:
    """Return the rule of a type of statistics, which the database looks at by the BSON type."""
    types = _NUMBERS if kind == "number" else TYPES[kind] if kind is not None else None

    def check(value: object) -> object:
        if types is not None and type_name(value) not in types:
            raise Mismatch
        return value

    return check


def _types(values: Sequence[object]) -> str:
    counted = Counter("missing" if value is None else type_name(value) for value in values)
    return ", ".join(kind for kind, _ in counted.most_common())


def _part(some: Sequence[object], documents: Sequence[object]) -> str:
    return f"{len(some)} of {len(documents)} documents"
