"""A whole column is written as `plain` writes each of its values."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.formats.cell_texts import cell_texts
from exports.formats.formulas import safe_text, safe_texts
from exports.formats.text_arrays import slices
from exports.tables.arrow import cells_of
from exports.tables.columns import Column
from exports.tables.plain import plain
from tests.support.rows import batch, measure, table

FIELD = Column(name="x", title="X", role="field")
ZONES = ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "UTC"]
MOMENTS = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999)
# Includes characters that code which compares bytes may handle in a wrong way.
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("=+-@＝＋－＠'\"\t\r\n\x00,;| \u00a0\u200b\ufeff\u1680\u2069＜ab"),
    ),
    max_size=12,
) | st.sampled_from(["-1", "'-1", "-1.5e-07", "-1;-1", "-Infinity", "-1\n", "-\u0661"])


def texts(values: list[object], kind: pa.DataType) -> list[str | None]:
    return cell_texts(FIELD, pa.array(values, kind)).to_pylist()


def plain_texts(values: Sequence[object]) -> list[str | None]:
    return [None if value is None else plain(value) for value in values]


@given(st.lists(st.none() | TEXTS), st.integers(0, 3), st.integers(0, 3))
def test_safe_texts_changes_each_text_as_safe_text_does(
    values: list[str | None], before: int, after: int
) -> None:
    column = pa.array(values, pa.string())
    part = column.slice(before, max(0, len(values) - before - after))
    expected = [None if text is None else safe_text(text) for text in part.to_pylist()]
    assert safe_texts(part).to_pylist() == expected


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers(values: list[object]) -> None:
    assert texts(values, pa.int64()) == plain_texts(values)


@given(
    st.integers(0, 38).flatmap(
        lambda scale: st.tuples(
            st.just(scale),
            st.lists(
                st.none()
                | st.integers(-(10**38) + 1, 10**38 - 1).map(
                    lambda digits: Decimal(digits).scaleb(-scale)
                )
                | st.sampled_from([Decimal(0), Decimal(1).scaleb(-scale)]),
            ),
        )
    )
)
def test_decimals_of_every_scale(scale_and_values: tuple[int, list[object]]) -> None:
    scale, values = scale_and_values
    stored = pa.array(values, pa.decimal256(76, scale))
    assert cell_texts(FIELD, stored).to_pylist() == plain_texts(stored.to_pylist())


def test_decimals_of_a_negative_scale_are_written_out() -> None:
    assert texts([Decimal("1.2E+6"), Decimal(0)], pa.decimal128(10, -3)) == ["1200000", "0"]


@given(
    st.lists(
        st.none()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**70), 2**70).map(float)
        | st.decimals(-(10**13), 10**13, places=3).map(float)
    )
)
def test_floats_have_the_fewest_digits_and_an_exponent_only_if_very_large_or_small(
    values: list[float | None],
) -> None:
    assert texts([*values], pa.float64()) == [
        None if value is None else shortest(value) for value in values
    ]


def shortest(value: float) -> str:
    text = repr(value).removesuffix(".0")
    return f"{Decimal(text):f}" if 1e-6 <= abs(value) < 1e16 else text


def test_nan_and_infinities_are_words() -> None:
    values: list[object] = [float("nan"), float("inf"), None, -float("inf"), 1.5]
    assert texts(values, pa.float64()) == ["NaN", "Infinity", None, "-Infinity", "1.5"]


def test_booleans() -> None:
    assert texts([True, None, False], pa.bool_()) == ["true", None, "false"]


@given(st.lists(st.none() | st.dates()))
def test_days_and_months(values: list[date | None]) -> None:
    column = pa.array(values, pa.date32())
    month = Column(name="x", title="X", role="period", period="month")
    days = [None if value is None else value.isoformat() for value in values]
    assert cell_texts(FIELD, column).to_pylist() == days
    assert cell_texts(month, column).to_pylist() == [day and day[:7] for day in days]


@given(
    st.sampled_from(ZONES),
    st.lists(st.none() | MOMENTS),
)
def test_times_have_the_offset_of_their_zone_at_that_time(
    zone: str, moments: list[datetime | None]
) -> None:
    values = [
        moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        for moment in moments
    ]
    stored = pa.array(values, pa.timestamp("ms", tz=zone))
    local = [
        None
        if value is None
        else value.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
        for value in values
    ]
    assert cell_texts(FIELD, stored).to_pylist() == local


def test_the_hour_repeated_when_summer_time_ends_has_two_offsets() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    moments: list[object] = [first + timedelta(minutes=30 * step) for step in range(4)]
    assert texts([None, *moments], pa.timestamp("ms", tz="Europe/Berlin")) == [
        None,
        "2026-10-25T02:30:00.000+02:00",
        "2026-10-25T02:00:00.000+01:00",
        "2026-10-25T02:30:00.000+01:00",
        "2026-10-25T03:00:00.000+01:00",
    ]


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (pa.timestamp("s"), "03"),
        (pa.timestamp("ms"), "03.456"),
        (pa.timestamp("us"), "03.456000"),
        (pa.timestamp("ns"), "03.456000000"),
    ],
)
def test_a_time_without_a_zone_has_no_offset_and_the_decimal_places_of_its_unit(
    kind: pa.DataType, seconds: str
) -> None:
    moment = datetime(2026, 10, 5, 1, 2, 3, 456000, tzinfo=UTC).replace(tzinfo=None)
    column = pa.array([moment], pa.timestamp("us")).cast(kind, safe=False)
    assert cell_texts(FIELD, column).to_pylist() == [f"2026-10-05T01:02:{seconds}"]


@pytest.mark.parametrize("kind", [pa.timestamp("ms", tz="Europe/Berlin"), pa.null(), pa.string()])
def test_a_column_without_values_has_no_texts(kind: pa.DataType) -> None:
    assert texts([None, None], kind) == [None, None]


def test_a_type_that_exports_do_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        texts([[1]], pa.list_(pa.int64()))


@pytest.mark.parametrize("rows", [0, 1, 8_192, 8_193, 40_000])
def test_slices_hold_all_rows_in_order(rows: int) -> None:
    of = table(measure("n", pa.int64()))
    whole = batch(of, *((number,) for number in range(rows)))
    found = list(slices(whole))
    assert [value for part in found for value in cells_of(part, 0)] == list(range(rows))
    assert all(0 < part.num_rows <= 8_192 for part in found)


def test_slices_of_long_texts_have_fewer_rows() -> None:
    of = table(measure("t", pa.string()))
    whole = batch(of, *(("x" * (1 << 20),) for _ in range(30)))
    assert max(part.nbytes for part in slices(whole)) <= 8 << 20
