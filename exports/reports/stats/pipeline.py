"""The aggregation pipeline of one unit of a statistics report.

The pipeline names groups and measures `g0`, `m0` and so on, not by their names in the report, and
has nothing that a client sends where an operator could be. A document of the result is
`{_id: {p, g0, g1, ...}, m0, m1, ...}`. `mismatch_key` names what it says about values that do not
have the type of their column.

A distinct count groups twice: first by the value too, then without it, where it counts the results
of the first `$group`. So no document ever holds a set of values, and both groups may spill to disk.
Several distinct counts share one scan: `$unwind` makes one entry per distinct count of each source
document, and the other measures use only the first entry. That multiplies the work of the first
`$group`, but all figures of a row come from the same documents. With several aggregations one
after the other, documents could change in between.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from exports.models import Unit
from exports.reports.definition import Measure, StatsDefinition
from exports.reports.filter import match
from exports.source.database import Stage
from exports.source.types import GroupType, OnMismatch

TYPES: Final[Mapping[GroupType, Sequence[str]]] = {
    "text": ["string"],
    "datetime": ["date"],
    "boolean": ["bool"],
    "id": ["objectId", "string"],
}
"""The names of the BSON types that each type of a column takes, if `$isNumber` does not say it."""
_COUNTED: Final = {"null": "$sum", "fail": "$max"}
"""How values of other types are put together: by their number, or by the name of one type."""
_NO_VALUE: Final = ["missing", "null", "undefined"]

PERIOD = "p"
"""Key in `_id` of the day or the month, such as `2026-10-31`.

It is null for documents whose time field is not one date: a condition on the period also finds an
array with such a date, or with dates around it.
"""


def group_key(index: int) -> str:
    """Return the key in `_id` of the value of a group."""
    return f"g{index}"


def measure_key(index: int) -> str:
    """Return the key of the figure of a measure."""
    return f"m{index}"


def mismatch_key(key: str) -> str:
    """Return the key of what is known about values that do not have the type of a column.

    With `null`, that is how many there are; with `fail`, the name of the BSON type of one of them.
    There is none if all values have the type, or if the column takes values of every type.

    Args:
        key: What `group_key` or `measure_key` returned.
    """
    return f"{key}x"


def build(
    definition: StatsDefinition,
    unit: Unit,
    *,
    labels: tuple[str, str],
    created_by: str,
    conditions: Sequence[Stage] = (),
) -> list[Stage]:
    """Build the pipeline of one unit.

    Args:
        definition: The report.
        unit: The unit: the documents from its start to before its end.
        labels: First and last day of the unit, for a row per day; its month twice, for one row.
        created_by: The owner of the documents, if the report has an owner field.
        conditions: The filters of the report's own parameters.

    Returns:
        Stages whose result is sorted, so that its order is the same each time.
    """
    measures = list(definition.measures.values())
    distinct = [index for index, measure in enumerate(measures) if measure.op == "count_distinct"]
    groups = [group_key(index) for index in range(len(definition.group_by))]
    keys = {key: f"${key}" for key in (PERIOD, *groups)}
    stages: list[Stage] = [
        {"$match": match(definition, unit, created_by, *conditions)},
        {"$replaceRoot": {"newRoot": _values(definition, measures, distinct, labels)}},
    ]
    figures = _figures(definition)
    if len(distinct) > 1:
        stages.append({"$unwind": "$d"})
        figures = _of_one_entry(figures, distinct[0])
    if distinct:
        stages.append({"$group": {"_id": keys | {"d": "$d"}, **figures}})
        again = {key: f"$_id.{key}" for key in keys}
        stages.append({"$group": {"_id": again, **_combined(distinct, figures)}})
    else:
        stages.append({"$group": {"_id": keys, **figures}})
    finished = {
        measure_key(index): _average(index) if measure.op == "avg" else _maximum(index)
        for index, measure in enumerate(measures)
        if measure.op in ("avg", "max")
    }
    if finished:
        stages.append({"$set": finished})
    # No two rows have the same `_id`, so this order is total.
    stages.append({"$sort": {"_id": 1}})
    return stages


def _values(
    definition: StatsDefinition,
    measures: list[Measure],
    distinct: list[int],
    labels: tuple[str, str],
) -> Stage:
    values: Stage = {PERIOD: _label(definition, *labels)}
    for index, group in enumerate(definition.group_by.values()):
        key, value = group_key(index), f"${group.field}"
        # A missing field and a null are the same group, because readers see no difference.
        values[key] = _or_null(_of_type(value, group.type))
        if group.type is not None:
            values[mismatch_key(key)] = _mismatch(value, group.type, group.on_mismatch)
    for index, measure in enumerate(measures):
        if measure.field is not None and measure.op != "count_distinct":
            values[measure_key(index)] = f"${measure.field}"
    entries = [
        {"n": index, "v": _or_null(f"${field}")}
        for index in distinct
        if (field := measures[index].field) is not None
    ]
    if entries:
        values["d"] = entries if len(entries) > 1 else entries[0]
    return values


def _label(definition: StatsDefinition, first: str, last: str) -> Stage:
    # The unit decides which documents belong to the month. If a clock goes back over midnight, or
    # the server has an older time zone database, there must still be no row of another month.
    time = f"${definition.time_field}"
    day = {"$dateToString": {"date": time, "format": "%Y-%m-%d", "timezone": definition.timezone}}
    label = first if first == last else {"$max": [first, {"$min": [last, day]}]}
    return {"$cond": [{"$eq": [{"$type": time}, "date"]}, label, None]}


def _of_type(value: str, kind: GroupType | None) -> object:
    return value if kind is None else {"$cond": [_fits(value, kind), value, None]}


def _mismatch(value: str, kind: GroupType, on_mismatch: OnMismatch) -> Stage:
    """For a value of another type: the name of its type, or 1 to be added up. Otherwise null."""
    found = {"$type": value}
    other = {"$cond": [{"$in": [found, _NO_VALUE]}, None, found if on_mismatch == "fail" else 1]}
    return {"$cond": [_fits(value, kind), None, other]}


def _fits(value: str, kind: GroupType) -> Stage:
    if kind == "number":
        return {"$isNumber": value}  # far faster than to look for its type in a list
    return {"$in": [{"$type": value}, TYPES[kind]]}


def _or_null(value: object) -> Stage:
    return {"$ifNull": [value, None]}


def _figures(definition: StatsDefinition) -> Stage:
    figures: Stage = {}
    for index, group in enumerate(definition.group_by.values()):
        if group.type is not None:
            key = mismatch_key(group_key(index))
            figures[key] = {_COUNTED[group.on_mismatch]: f"${key}"}
    for index, measure in enumerate(definition.measures.values()):
        key = measure_key(index)
        if measure.checked_type is not None:
            mismatch = _mismatch(f"${key}", measure.checked_type, measure.on_mismatch)
            figures[mismatch_key(key)] = {_COUNTED[measure.on_mismatch]: mismatch}
        figures |= _figures_of(measure, index)
    return figures


def _figures_of(measure: Measure, index: int) -> Stage:
    key = measure_key(index)
    value = _of_type(f"${key}", measure.checked_type)
    match measure.op:
        case "count":
            return {key: {"$sum": 1}}
        case "sum":  # ignores what is no number
            return {key: {"$sum": f"${key}"}}
        case "min":
            return {key: {"$min": value}}
        case "max":
            return {key: {"$max": value}, _least_key(index): {"$min": value}}
        case "avg":
            is_number = {"$cond": [{"$isNumber": f"${key}"}, 1, 0]}
            return {key: {"$sum": f"${key}"}, _count_key(index): {"$sum": is_number}}
        case "count_distinct":
            return {}


def _of_one_entry(figures: Stage, entry: int) -> Stage:
    def once(value: object) -> Stage:
        return {"$cond": [{"$eq": ["$d.n", entry]}, value, None]}

    return {
        key: {operator: once(value) for operator, value in figure.items()}
        for key, figure in figures.items()
    }


def _combined(distinct: list[int], figures: Stage) -> Stage:
    combined: Stage = {}
    for key, figure in figures.items():
        (operator,) = figure
        combined[key] = {operator: f"${key}"}
    for index in distinct:
        is_value = {"$and": [{"$eq": ["$_id.d.n", index]}, {"$ne": ["$_id.d.v", None]}]}
        combined[measure_key(index)] = {"$sum": {"$cond": [is_value, 1, 0]}}
    return combined


def _count_key(index: int) -> str:
    return f"{measure_key(index)}n"


def _least_key(index: int) -> str:
    return f"{measure_key(index)}l"


def _maximum(index: int) -> Stage:
    # NaN is less than every number to MongoDB, so that `$max` alone would hide it.
    is_nan = {"$eq": [f"${_least_key(index)}", math.nan]}
    return {"$cond": [is_nan, math.nan, f"${measure_key(index)}"]}


def _average(index: int) -> Stage:
    total, count = f"${measure_key(index)}", f"${_count_key(index)}"
    return {"$cond": [{"$gt": [count, 0]}, {"$divide": [total, count]}, None]}
