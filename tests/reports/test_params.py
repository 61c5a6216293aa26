"""Parameters are accepted, or refused with a message that says what would be right."""

from itertools import pairwise

import pytest

from exports.errors import ParamsError, TypeUnknownError
from exports.reports.file import load_reports
from tests.support.paths import REPORTS


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        TypeUnknownError, match="use one of: recordsDetail, statsAnnual, statsMonthly"
    ) as raised:
        load_reports(REPORTS).named("secret")

    assert "secret" not in raised.value.msg


@pytest.mark.parametrize(
    ("params", "normal"),
    [
        ({"year": 2026, "month": 10}, {"year": 2026, "month": 10}),
        ({"year": "2026", "month": "02"}, {"year": 2026, "month": 2}),
        ({"month": 1.0, "year": 1970}, {"year": 1970, "month": 1}),
    ],
)
def test_parameters_may_come_from_json_or_a_command_line(
    params: object, normal: dict[str, int]
) -> None:
    assert load_reports(REPORTS).named("statsMonthly").check_params(params) == normal


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "year: Field required; month: Field required"),
        ({"year": 2026, "month": 13}, "month: Input should be less than or equal to 12"),
        ({"year": 2026, "month": 0}, "month: Input should be greater than or equal to 1"),
        ({"year": "abc", "month": 1}, "year: is not a whole number"),
        ({"year": 1, "month": 1}, "year: Input should be greater than or equal to 1970"),
        ({"year": 9999, "month": 1}, "year: Input should be less than or equal to 9998"),
        ({"year": {"$gt": 0}, "month": 1}, "year: is not a whole number"),
        ({"year": [2026], "month": 1}, "year: is not a whole number"),
        ({"year": None, "month": 1}, "year: is not a whole number"),
        ({"year": True, "month": 1}, "year: is not a whole number"),
        ({"year": 2026.5, "month": 1}, "year: Input should be a valid integer"),
        ({"year": float("nan"), "month": 1}, "year: Input should be a finite number"),
        ({"year": "٢٠٢٦", "month": 1}, "year: is not a whole number"),
        ({"year": " 2026", "month": 1}, "year: is not a whole number"),
        ({"year": 2026, "month": 1, "day": 1}, "day: is not known here"),
        ({"year": 2026, "month": 1, "$where": 1}, "$where: is not known here"),
        ([2026, 1], "are an object with: year, month"),
        (None, "are an object with: year, month"),
        ("year=2026", "are an object with: year, month"),
    ],
)
def test_wrong_parameters_are_refused_with_what_would_be_right(params: object, reason: str) -> None:
    with pytest.raises(ParamsError) as raised:
        load_reports(REPORTS).named("statsMonthly").check_params(params)

    assert reason in raised.value.msg


def test_a_message_about_parameters_stays_short_whatever_was_sent() -> None:
    params = {f"{'x' * 10_000}{number}\n": "y" * 10_000 for number in range(1000)}

    with pytest.raises(ParamsError) as raised:
        load_reports(REPORTS).named("statsAnnual").check_params(params)

    assert len(raised.value.msg) < 500
    assert "\n" not in raised.value.msg
    assert "y" * 10 not in raised.value.msg


def test_a_yearly_report_is_twelve_months_and_named_by_its_year() -> None:
    report = load_reports(REPORTS).named("statsAnnual")
    units = report.units({"year": 2026})

    assert report.file_stem({"year": 2026}) == "statsAnnual-2026"
    assert [unit.key for unit in units] == [f"2026-{number:02}" for number in range(1, 13)]
    assert all(a.end == b.start for a, b in pairwise(units))
