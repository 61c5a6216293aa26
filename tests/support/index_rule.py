"""A stand-in for the planner of a real MongoDB: which index can serve a query, by its shape.

The embedded server sorts in memory and scans without saying so. The rule is that of the manual: the
fields that are equal come first in an index, then those of the order, then all others; and a
partial index serves only a query whose condition implies the filter of the index.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from exports.models import TaskStatus

_POINTS = {"$eq", "$in"}
_RANGES = {"$gt", "$gte", "$lt", "$lte", "$type"}
_MOST_POINTS = 200
"""Values of an `$in` for which a server merges the orders of single scans."""
_FEW = 4000
"""Documents that are found by their `_id`, and then sorted in memory."""


class Index(NamedTuple):
    """An index, as `listIndexes` tells of it."""

    keys: list[tuple[str, int]]
    filter: Mapping[str, Any]

    @classmethod
    def all_of(cls, told: Mapping[str, Mapping[str, Any]]) -> "list[Index]":
        return [
            cls([*index["key"]], index.get("partialFilterExpression", {}))
            for index in told.values()
        ]


def served(query: Mapping[str, Any], sort: Mapping[str, int], indexes: Iterable[Index]) -> bool:
    """Return whether an index leads to what a query finds, in its order."""
    indexes = list(indexes)
    if "$or" in query:
        rest = {name: value for name, value in query.items() if name != "$or"}
        whole = served(rest, sort, indexes) if rest else False
        return whole or (
            not sort and all(served({**rest, **one}, sort, indexes) for one in query["$or"])
        )
    points = {name: _points(value) for name, value in query.items() if not name.startswith("$")}
    equal = {name: number for name, number in points.items() if number}
    if 0 < equal.get("_id", 0) <= _FEW:
        return True
    return any(_serves(index, query, sort, equal) for index in indexes)


def _serves(
    index: Index, query: Mapping[str, Any], sort: Mapping[str, int], equal: Mapping[str, int]
) -> bool:
    if not all(
        name in query and _implies(query[name], wanted) for name, wanted in index.filter.items()
    ):
        return False
    names = [name for name, _ in index.keys]
    leading = 0
    while leading < len(names) and names[leading] in equal:
        leading += 1
    is_entered = (
        leading
        or index.filter
        or _is_range(names[0], query.get(names[0]))
        or all(_is_common(name, condition) for name, condition in query.items())
    )
    if not is_entered:
        return False
    if not sort:
        return True
    if any(equal[name] > _MOST_POINTS for name in names[:leading]):
        return False
    wanted = [*sort.items()]
    # A field that is equal may be part of the order as well, and orders nothing.
    return any(
        [*index.keys[begin : begin + len(wanted)]]
        in (wanted, [(name, -direction) for name, direction in wanted])
        for begin in range(leading + 1)
    )


def _operators(condition: object) -> dict[str, Any]:
    is_mapping = isinstance(condition, Mapping)
    return dict(cast("Mapping[str, Any]", condition)) if is_mapping else {"$eq": condition}


def _points(condition: object) -> int:
    """Return to how many values a condition limits a field; 0 if it does not."""
    operators = _operators(condition)
    return 1 if "$eq" in operators else len(operators.get("$in", ()))


def _is_range(name: str, condition: object) -> bool:
    return bool(_RANGES & {*_operators(condition)}) and not _is_common(name, condition)


def _is_common(name: str, condition: object) -> bool:
    """Return whether nearly every document meets a condition."""
    operators = _operators(condition)
    if name == "deletedAt":
        return condition is None
    if name == "status":
        return {status.value for status in TaskStatus} <= {*operators.get("$in", ())}
    return name == "_id" and {*operators} <= {"$type", "$nin"}


def _implies(condition: object, wanted: object) -> bool:
    """Return whether what meets a condition meets another one."""
    given = _operators(condition)
    values = [given["$eq"]] if "$eq" in given else given.get("$in")
    return all(
        given.get(name) == bound
        or (values is not None and all(_meets(value, name, bound) for value in values))
        for name, bound in _operators(wanted).items()
    )


def _meets(value: Any, operator: str, bound: Any) -> bool:
    if type(value) is not type(bound):
        return False
    return bool(
        {
            "$eq": value == bound,
            "$gt": value > bound,
            "$gte": value >= bound,
            "$lt": value < bound,
            "$lte": value <= bound,
        }.get(operator, False)
    )
