"""Every value of a document is in the file as its column's rule says, however it was decoded."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args
from unittest.mock import patch
from zoneinfo import ZoneInfo

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from exports.errors import MismatchError
from exports.reports.rows.definition import RowsDefinition
from exports.source.batch import Batch
from exports.source.decoder import BatchDecoder, Decoded, Field
from exports.source.types import ColumnType, OnMismatch

NAN, INFINITY = math.nan, math.inf
SHANGHAI = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 10, 1, tzinfo=UTC)
ID = ObjectId("65f0a1b2c3d4e5f607182930")
UUID = Binary(bytes(16), 4)
COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
FAST: list[ColumnType] = [kind for kind in COLUMN_TYPES if kind != "json"]


def _decoder(
    *kinds: ColumnType,
    on_mismatch: OnMismatch = "fail",
    zone: str = "Asia/Shanghai",
    scale: int = 2,
) -> BatchDecoder:
    fields = [Field(f"column{index}", f"f{index}", kind, scale) for index, kind in enumerate(kinds)]
    return BatchDecoder(fields, time_field="at", zone=ZoneInfo(zone), on_mismatch=on_mismatch)


def _raw(decoder: BatchDecoder, *documents: dict[str, Any]) -> bytes:
    """The documents as a database gives them that was asked with the decoder's projection."""
    wanted = {wire: path[1:] for wire, path in decoder.projection.items() if path}
    return b"".join(
        bson.encode({wire: whole[path] for wire, path in wanted.items() if path in whole})
        for whole in ({"_id": ObjectId(), "at": AT} | document for document in documents)
    )


def _column(kind: ColumnType, *values: object, **given: Any) -> list[Any]:
    decoder = _decoder(kind, **given)
    return (
        decoder.decode(_raw(decoder, *({"f0": value} for value in values))).columns[0].to_pylist()
    )


def _found_of(act: Callable[[], Decoded]) -> object:
    try:
        found = act()
    except MismatchError as error:
        return error.msg
    return (
        [(str(column.type), repr(column.to_pylist())) for column in found.columns],
        found.times.tolist(),
        found.keys.to_pylist(),
        [times.tolist() for times in found.mismatches],
    )


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "说：", "说："),
        ("text", "", ""),
        ("text", 5, "5"),
        ("text", Int64(2**62), str(2**62)),
        ("text", 1.5, "1.5"),
        ("text", NAN, "NaN"),
        ("text", -INFINITY, "-Infinity"),
        ("text", True, "true"),
        ("text", Decimal128("12.50"), "12.50"),
        ("text", Decimal128("NaN"), "NaN"),
        ("text", ID, str(ID)),
        ("text", AT, "2026-10-01T08:00:00.000+08:00"),
        ("text", DatetimeMS(2**60), str(2**60)),
        ("text", DatetimeMS(253_402_300_799_000), "9999-12-31T23:59:59.000+00:00"),
        ("text", [1, {"a": "图"}], '[1, {"a": "图"}]'),
        ("text", {"a": Decimal128("1")}, '{"a": {"$numberDecimal": "1"}}'),
        ("text", b"\x00", '{"$binary": {"base64": "AA==", "subType": "00"}}'),
        ("text", Code("f()"), '{"$code": "f()"}'),
        ("integer", 5, 5),
        ("integer", Int64(-(2**63)), -(2**63)),
        ("integer", 5.0, 5),
        ("integer", -(2.0**63), -(2**63)),
        ("integer", Decimal128("5.00"), 5),
        ("integer", Decimal128("1E+3"), 1000),
        ("integer", Decimal128("0E+6000"), 0),
        ("number", 1.5, 1.5),
        ("number", 5, 5.0),
        ("number", Int64(2**53), 2.0**53),
        ("number", Int64(2**60), 2.0**60),
        ("number", INFINITY, INFINITY),
        ("number", Decimal128("0.10"), 0.1),
        ("number", Decimal128("-Infinity"), -INFINITY),
        ("decimal", Decimal128("12.5"), Decimal("12.50")),
        ("decimal", Decimal128("-0.30"), Decimal("-0.30")),
        ("decimal", Decimal128("12.5000"), Decimal("12.50")),
        ("decimal", Decimal128("1E+3"), Decimal("1000.00")),
        ("decimal", Decimal128("9" * 32 + ".99"), Decimal("9" * 32 + ".99")),
        ("decimal", Decimal128("-" + "9" * 34), Decimal("-" + "9" * 34 + ".00")),
        ("decimal", Decimal128("0E-6176"), Decimal("0.00")),
        # The first that does not fit into 64 bits with its places.
        ("decimal", Decimal128("92233720368547759"), Decimal("92233720368547759.00")),
        ("decimal", 5, Decimal("5.00")),
        ("decimal", 0.1, Decimal("0.10")),
        ("boolean", False, False),
        ("datetime", AT, datetime(2026, 10, 1, 8, tzinfo=SHANGHAI)),
        ("datetime", datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
        ("date", datetime(2026, 10, 1, 15, 59, 59, 999000, UTC), date(2026, 10, 1)),
        ("date", datetime(2026, 10, 1, 16, tzinfo=UTC), date(2026, 10, 2)),
        ("date", datetime(1899, 12, 31, 16, tzinfo=UTC), date(1900, 1, 1)),
        # The clock went back over midnight here, from 00:00:00 to 23:54:17.
        ("date", datetime(1900, 12, 31, 15, 54, 16, tzinfo=UTC), date(1900, 12, 31)),
        ("date", datetime(1900, 12, 31, 15, 55, tzinfo=UTC), date(1900, 12, 31)),
        ("id", ID, str(ID)),
        ("id", "u1", "u1"),
        ("json", "a", '"a"'),
        ("json", [], "[]"),
        ("json", AT, '{"$date": "2026-10-01T00:00:00Z"}'),
        ("json", NAN, '{"$numberDouble": "NaN"}'),
        ("json", Regex("^a", "i"), '{"$regularExpression": {"pattern": "^a", "options": "i"}}'),
    ],
)
def test_a_value_that_fits_its_column_is_there_exactly(
    kind: ColumnType, value: object, expected: object
) -> None:
    assert _column(kind, value) == [expected]


def test_nan_in_a_column_of_numbers_stays_nan() -> None:
    assert repr(_column("number", 1, NAN, None, Decimal128("NaN"))) == "[1.0, nan, None, nan]"
    assert repr(_column("number", 1.5, NAN, None)) == "[1.5, nan, None]"


@pytest.mark.parametrize("kind", COLUMN_TYPES)
def test_null_and_a_missing_field_are_no_value(kind: ColumnType) -> None:
    decoder = _decoder(kind)

    found = decoder.decode(_raw(decoder, {"f0": None}, {}))

    assert found.columns[0].to_pylist() == [None, None]


MISMATCHES: Sequence[tuple[ColumnType, object, str]] = [
    ("integer", 1.5, "double"),
    ("integer", NAN, "double"),
    ("integer", INFINITY, "double"),
    ("integer", 2.0**63, "double"),
    ("integer", True, "bool"),
    ("integer", "5", "string"),
    ("integer", Decimal128("0.5"), "decimal"),
    ("integer", Decimal128("9223372036854775808"), "decimal"),
    ("integer", Decimal128("Infinity"), "decimal"),
    ("number", True, "bool"),
    ("number", Int64(2**53 + 1), "long"),
    ("number", "1.5", "string"),
    ("number", Decimal128("0.1000000000000000000001"), "decimal"),
    ("decimal", Decimal128("0.001"), "decimal"),
    ("decimal", Decimal128("NaN"), "decimal"),
    ("decimal", Decimal128("Infinity"), "decimal"),
    ("decimal", Decimal128("1E+36"), "decimal"),
    ("decimal", Decimal128("1E-6176"), "decimal"),
    ("decimal", NAN, "double"),
    ("decimal", 0.1 + 0.2, "double"),
    ("decimal", False, "bool"),
    ("decimal", "12.50", "string"),
    ("boolean", 1, "int"),
    ("boolean", "true", "string"),
    ("boolean", NAN, "double"),
    ("datetime", "2026-10-01", "string"),
    ("datetime", 1_790_784_000_000, "long"),
    ("datetime", DatetimeMS(253_402_300_800_000), "DatetimeMS"),
    ("datetime", datetime(9999, 12, 31, 16, tzinfo=UTC), "date"),
    ("datetime", Timestamp(1, 1), "Timestamp"),
    ("datetime", NAN, "double"),
    ("date", datetime(9999, 12, 31, 16, tzinfo=UTC), "date"),
    ("date", DatetimeMS(-(2**60)), "DatetimeMS"),
    ("id", 5, "int"),
    ("id", UUID, "Binary"),
    ("id", Code("x"), "Code"),
    ("id", NAN, "double"),
]


@pytest.mark.parametrize(("kind", "value", "found"), MISMATCHES)
def test_a_value_that_does_not_fit_fails_the_export_and_is_not_in_the_message(
    kind: ColumnType, value: object, found: str
) -> None:
    with pytest.raises(MismatchError) as raised:
        _column(kind, value)

    assert raised.value.permanent
    assert raised.value.msg == (
        f"The column 'column0' has the type {kind}, but a document has a value of BSON type "
        f"{found} that does not fit; change the column's `type`, or set `on_mismatch` to "
        '"text" or "null".'
    )


@pytest.mark.parametrize(("kind", "value", "found"), MISMATCHES)
def test_a_value_that_does_not_fit_is_left_out_and_counted_if_the_report_says_so(
    kind: ColumnType, value: object, found: str
) -> None:
    decoder = _decoder(kind, on_mismatch="null")
    raw = _raw(decoder, {"f0": None}, {"f0": value, "at": AT + timedelta(seconds=1)})

    decoded = decoder.decode(raw)

    assert decoded.columns[0].to_pylist() == [None, None], found
    assert [times.tolist() for times in decoded.mismatches] == [[decoded.times[1]]]


def test_a_column_becomes_text_with_the_text_of_every_value_if_the_report_says_so() -> None:
    decoder = _decoder("decimal", "integer", "datetime", on_mismatch="text")
    fits = {"f0": Decimal128("1.5"), "f1": 7, "f2": AT}
    first = decoder.decode(_raw(decoder, fits, {"f0": "n/a", "f1": 1.5, "f2": None}))
    second = decoder.decode(_raw(decoder, fits))

    assert [column.to_pylist() for column in first.columns] == [
        ["1.50", "n/a"],
        ["7", "1.5"],
        [datetime(2026, 10, 1, 8, tzinfo=SHANGHAI), None],
    ]
    assert [len(times) for times in first.mismatches] == [1, 1, 0]
    # It stays text, so that the parts of a unit do not change back and forth.
    assert [str(column.type) for column in second.columns[:2]] == ["string", "string"]
    assert [column.to_pylist() for column in second.columns[:2]] == [["1.50"], ["7"]]


def test_a_boolean_among_numbers_does_not_hide_a_nan() -> None:
    decoder = _decoder("number", "number", on_mismatch="null")

    found = decoder.decode(_raw(decoder, {"f0": True, "f1": NAN}))

    assert repr([column.to_pylist() for column in found.columns]) == "[[None], [nan]]"


@pytest.mark.parametrize(
    "inside", [b"\x01aac\0", b"\x0aaac\0", b"\x08aad\0", b"\x02aaa\0", b"\0\0"]
)
def test_a_text_that_looks_like_another_element_is_only_a_text(inside: bytes) -> None:
    decoder = _decoder("integer", "number", "text")
    text = inside.decode()

    found = decoder.decode(_raw(decoder, {"f0": 1, "f1": NAN, "f2": text}, {"f1": 2.5}))

    assert repr([column.to_pylist() for column in found.columns]) == repr(
        [[1, None], [NAN, 2.5], [text, None]]
    )


def test_each_of_as_many_columns_as_a_report_may_have_is_asked_for() -> None:
    most = 16_384
    with pytest.raises(ValidationError, match=f"at most {most} items"):
        RowsDefinition.model_validate(
            {"columns": {f"c{number}": "a" for number in range(most + 1)}}
        )

    columns: list[ColumnType] = ["integer"] * most
    assert len(_decoder(*columns).projection) == most + len(("_id", "time", "key"))


def test_a_decoder_knows_that_the_next_batch_may_be_slow() -> None:
    decoder = _decoder("integer")
    before = decoder.is_slow
    decoder.decode(_raw(decoder, {"f0": 1.0}))
    odd = decoder.is_slow
    decoder.decode(_raw(decoder, {"f0": 1}))

    assert (before, odd, decoder.is_slow) == (False, True, False)
    assert _decoder("json").is_slow


def test_fields_in_another_order_than_asked_for_are_found() -> None:
    decoder = _decoder("text", "integer")
    names = [name for name in decoder.projection if name != "_id"]
    values = dict(zip(names, (AT, ID, "a", 1), strict=True))
    raw = bson.encode(values) + bson.encode(dict(reversed(values.items())))

    assert [column.to_pylist() for column in decoder.decode(raw).columns] == [["a", "a"], [1, 1]]


def test_a_text_that_is_not_utf8_has_replacement_characters() -> None:
    decoder = _decoder("text")
    raw = _raw(decoder, {"f0": "abcd"}).replace(b"abcd", b"a\xff\xfed")

    assert decoder.decode(raw).columns[0].to_pylist() == ["a\ufffd\ufffdd"]


def test_an_id_that_is_not_utf8_is_an_id_like_others() -> None:
    decoder = _decoder("integer")
    raw = _raw(decoder, {"_id": "abcd"}).replace(b"abcd", b"a\xff\xfed")

    assert [decoder.decode(raw).keys.to_pylist() for _ in range(2)] == [
        [b"\x02a" + "\ufffd\ufffd".encode() + b"d"]
    ] * 2


def test_ordinary_documents_need_no_python_object_per_value() -> None:
    decoder = _decoder("id", *FAST)
    whole = {
        "f0": ID,
        "f1": "图书",
        "f2": 3,
        "f3": 2.5,
        "f4": Decimal128("-12.5"),
        "f5": True,
        "f6": AT,
        "f7": AT,
        "f8": ID,
    }
    with patch.object(bson, "decode_all", side_effect=AssertionError):
        found = decoder.decode(_raw(decoder, whole, {}, whole | {"f2": Int64(4), "f3": 7}))

    assert [column.to_pylist()[2] for column in found.columns] == [
        *(str(ID), "图书", 4, 7.0, Decimal("-12.50"), True),
        *(AT.astimezone(SHANGHAI), date(2026, 10, 1), str(ID)),
    ]


@pytest.mark.parametrize("ids", [["a", "b"], [1, Int64(2)], [ObjectId(), ObjectId()]])
def test_a_decoder_learns_what_the_ids_are(ids: list[object]) -> None:
    decoder = _decoder("integer")
    documents = [{"_id": value, "f0": 1} for value in ids]
    learnt = decoder.decode(_raw(decoder, *documents))
    with patch.object(bson, "decode_all", side_effect=AssertionError):
        again = decoder.decode(_raw(decoder, *documents))

    assert again.keys.to_pylist() == learnt.keys.to_pylist()


def test_a_document_whose_time_is_an_array_fails_the_export() -> None:
    decoder = _decoder("text")

    with pytest.raises(MismatchError, match="field 'at' of a document is not one date"):
        decoder.decode(_raw(decoder, {"at": [AT, AT]}))


_INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**31, 0]),
)
_DECIMALS = st.one_of(
    st.decimals(places=2, min_value=-(10**9), max_value=10**9),
    st.tuples(
        st.integers(0, 1),
        st.lists(st.integers(0, 9), min_size=1, max_size=34).map(tuple),
        st.integers(-60, 40),
    ).map(Decimal),
    st.sampled_from(
        [Decimal("NaN"), Decimal("-Infinity"), Decimal("0E+6000"), Decimal("-0E-6176")]
    ),
).map(Decimal128)
_DATES = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- bounds are local to the zone that is drawn
    st.integers(-(2**62), 2**62).map(DatetimeMS),
    st.sampled_from([-62_135_596_800_000, 253_402_300_799_999, 0, -1]).map(DatetimeMS),
)
_OBJECT_IDS = st.binary(min_size=12, max_size=12).map(ObjectId)
_PLAIN: dict[ColumnType, st.SearchStrategy[object]] = {
    "text": st.text(max_size=6),
    "integer": st.one_of(st.integers(-(2**31), 2**31 - 1), _INT64.map(Int64)),
    "number": st.one_of(st.floats(), st.integers(-99, 99)),
    "decimal": _DECIMALS,
    "boolean": st.booleans(),
    "datetime": _DATES,
    "date": _DATES,
    "id": _OBJECT_IDS,
    "json": st.lists(st.integers(0, 9), max_size=2),
}
_ANYTHING = st.one_of(
    *_PLAIN.values(),
    st.none(),
    st.sampled_from([b"x", UUID, Regex("a"), Code("x"), Timestamp(1, 2), MinKey(), {"a": [1.5]}]),
)
_MISSING = object()


@st.composite
def _batches(draw: st.DrawFn) -> tuple[list[ColumnType], list[dict[str, Any]]]:
    kinds = draw(st.lists(st.sampled_from(COLUMN_TYPES), min_size=1, max_size=3))
    odd = draw(st.booleans())  # without odd values, batches are decoded the fast way
    documents: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        document: dict[str, Any] = {"_id": draw(_ANYTHING if odd else _OBJECT_IDS)}
        for index, kind in enumerate(kinds):
            value = draw(
                st.one_of(_PLAIN[kind], _ANYTHING if odd else st.none(), st.just(_MISSING))
            )
            if value is not _MISSING:
                document[f"f{index}"] = value
        documents.append(document)
    return kinds, documents


@given(
    _batches(),
    st.sampled_from(["fail", "text", "null"]),
    st.sampled_from(["Asia/Shanghai", "UTC", "America/St_Johns", "Africa/Monrovia"]),
    st.sampled_from([0, 2, 20, 38]),
)
@example((["number", "number"], [{"f0": True, "f1": NAN}]), "null", "UTC", 2)
@example((["decimal"], [{"f0": Decimal128("92233720368547758.08")}]), "fail", "UTC", 2)
def test_the_fast_way_gives_the_same_rows_as_the_rules(
    batch: tuple[list[ColumnType], list[dict[str, Any]]],
    on_mismatch: OnMismatch,
    zone: str,
    scale: int,
) -> None:
    kinds, documents = batch
    quick, exact = (
        _decoder(*kinds, on_mismatch=on_mismatch, zone=zone, scale=scale) for _ in range(2)
    )
    raw = _raw(quick, *documents)
    with patch.object(Batch, "_elements", return_value={}):
        rules = [_found_of(lambda: exact.decode(raw)) for _ in range(2)]

    assert [_found_of(lambda: quick.decode(raw)) for _ in range(2)] == rules


@given(
    st.lists(
        st.datetimes(datetime(1850, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 -- taken for UTC
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(
        ["Asia/Shanghai", "America/St_Johns", "Africa/Monrovia", "Pacific/Apia", "Europe/Dublin"]
    ),
)
def test_a_date_is_the_day_on_the_clock_of_the_zone(moments: list[datetime], zone: str) -> None:
    exact = [
        moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
        for moment in moments
    ]

    assert _column("date", *exact, zone=zone) == [
        moment.astimezone(ZoneInfo(zone)).date() for moment in exact
    ]


def test_offsets_of_dates_do_not_change_the_instant() -> None:
    ahead = datetime(2026, 10, 1, 9, tzinfo=timezone(timedelta(hours=9)))

    assert _column("datetime", ahead) == [AT]
