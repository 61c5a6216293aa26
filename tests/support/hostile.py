"""Values that people, programs and strangers may send where a text or a number is expected."""

from datetime import UTC, datetime
from typing import Any, Final, cast

from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex
from bson import Timestamp as BsonTimestamp
from hypothesis import strategies as st
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

OPERATORS: Final = (
    *("$where", "$ne", "$gt", "$expr", "$function", "$set", "$unset", "$out", "$merge"),
    *("$lookup", "$oid", "$date", "$numberLong", "$regex", "$ref", "$code", "$rename"),
)
TEXTS: Final = st.sampled_from(
    [
        *OPERATORS,
        *("", " ", "\x00", "a\x00b", "\n", "\u202egnp", "\ufeff", "a.b", ".", "..", "../../x"),
        *("x" * 300, "任" * 90, "\U0001f600", "e\u0301", "true", "null", "NaN", "1e999"),
        *("{$ne: 1}", '{"$gt": ""}', "'; return true; //", "%2e%2e%2f", "<script>", "=1+1"),
        *("constructor", "__proto__", "__class__", "toString", "{0.__class__}", "%s%n", "${x}"),
        *("2026-10", "0" * 24, "2026-13-45", "9" * 40, "-0", "٢٠٢٦"),
    ]
) | st.text(max_size=12)
HALF: Final = st.sampled_from(["\ud800", "a\udfffb", "\udc80.csv", "\ud83d"])
NUMBERS: Final = st.sampled_from(
    [0, -1, 1, 12, 13, 2026, 9999, 10**9, 2**31, 2**63 - 1, -(2**63), 1.5, 1e308, -0.0]
) | st.floats(allow_nan=True, allow_infinity=True)
HUGE: Final = st.sampled_from([2**63, -(2**64), 10**40])


def deep(levels: int, key: str = "a") -> dict[str, Any]:
    """Return a document that is nested this many levels deep."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {key: found}
    return found


DEEP: Final = st.builds(deep, st.sampled_from([3, 30, 90]), st.sampled_from(["a", "$and", "x.y"]))
BSON: Final[st.SearchStrategy[Any]] = st.sampled_from(
    [
        *(MinKey(), MaxKey(), ObjectId("0" * 24), Decimal128("NaN"), Decimal128("1E+6000")),
        *(
            Int64(7),
            Binary(b"\x00\xff"),
            Regex("(a+)+$"),
            Code("while(true);"),
            BsonTimestamp(1, 1),
        ),
        *(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        *(DatetimeMS(253402300800000), DatetimeMS(-62135596800001), float("nan"), float("inf")),
    ]
)
SIMPLE: Final[st.SearchStrategy[Any]] = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return nested values: lists, and dictionaries of which some keys are operators."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(keys | st.sampled_from(OPERATORS), inner, max_size=3)
        ),
        max_leaves=6,
    )


SENT: Final = nested(SIMPLE | HALF | HUGE, TEXTS | HALF) | DEEP
"""Any JSON value that a gateway may pass on."""
SORTED_BY: Final = nested(SIMPLE | BSON, TEXTS.filter(lambda key: "\x00" not in key))
"""What a stranger may have stored in a field that the service sorts by.

A few levels deep at most: the embedded database compares two equal documents, nested n deep, in
2^n steps (`docs/upstream/secantusdb-nested-comparison.md`), and would never end.
"""
STORED: Final = SORTED_BY | DEEP
"""Any BSON value that a stranger may have stored in any other field."""


class Commands(CommandListener):
    """Everything that is sent to a database."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append((event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def written(self) -> set[str]:
        """Return the names of the collections that were written to."""
        reading = {"find", "aggregate", "getMore", "killCursors", "listCollections"}
        plain = {"hello", "ping", "ismaster", "endSessions", "saslStart", "saslContinue"}
        return {
            str(command[name])
            for name, command in self.sent
            if name not in reading and name not in plain
        }

    def pipelines(self, collection: str) -> list[list[dict[str, Any]]]:
        """Return the aggregations over a collection."""
        sent = [command for name, command in self.sent if name == "aggregate"]
        return [command["pipeline"] for command in sent if command["aggregate"] == collection]

    def operators(self) -> set[str]:
        """Return every operator in a filter, an update or a pipeline; not what is stored."""
        found: set[str] = set()
        for name, command in self.sent:
            if name in {"find", "aggregate", "update", "delete", "findAndModify"}:
                for part in ("filter", "pipeline", "updates", "deletes", "query", "update"):
                    found |= set(_operators(command.get(part)))
        return found


def _operators(value: object) -> list[str]:
    if isinstance(value, list):
        return [name for item in cast("list[object]", value) for name in _operators(item)]
    if not isinstance(value, dict):
        return []
    pairs = cast("dict[str, object]", value)
    # The server reads no operators in a value of `$eq` or `$literal`.
    read = [item for key, item in pairs.items() if key not in {"$eq", "$literal"}]
    return [*(key for key in pairs if key.startswith("$")), *_operators(read)]
