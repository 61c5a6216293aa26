"""A team lets people choose which documents they get, by a few lines of the reports file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bson import Decimal128
from hypothesis import assume, given
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from exports.errors import ParamsError, ReportsFileError
from exports.reports.file import load_reports
from exports.reports.report import Report
from exports.reports.values import schema_of
from tests.support.custom_report import Yesterday
from tests.support.stats_reports import OCTOBER, insert_orders, make_report, read_rows

OWN: dict[str, Any] = {
    "region": {"field": "buyer.region", "choices": ["north", "south", "=1+1"], "many": True},
    "shop": {"field": "shop", "title": "Geschäft 店"},
    "level": {"field": "level", "type": "integer"},
    "price": {"field": "price", "type": "decimal", "many": True},
    "paid": {"field": "paid", "type": "boolean"},
    "sent": {"field": "sent", "type": "date", "many": True},
}
REPORT = make_report(params=OWN, timezone="Asia/Shanghai")
STATS = """
[reports.sales]
collection = "orders"
time_field = "at"
period = "month"
measures.n = { op = "count" }
[reports.sales.params]
"""


def _checked(**params: object) -> dict[str, Any]:
    return REPORT.check_params(OCTOBER | params)


def _refusal(**params: object) -> str:
    with pytest.raises(ParamsError) as raised:
        _checked(**params)
    return raised.value.msg


def _load(tmp_path: Path, table: str) -> Report:
    path = tmp_path / "reports.toml"
    path.write_text(STATS + table, encoding="utf-8")
    (report,) = load_reports(path)
    return report


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ({"region": "north"}, {"region": ["north"]}),  # as the command line sends it
        ({"region": ["south", "north", "south"]}, {"region": ["north", "south"]}),
        ({"level": "-7"}, {"level": -7}),
        ({"level": 7.0}, {"level": 7}),
        ({"level": 2**63 - 1}, {"level": 2**63 - 1}),
        ({"price": [10, "9.50", 0.1, "-0.0"]}, {"price": ["0", "0.1", "9.5", "10"]}),
        ({"price": ["1" * 17 + "." + "3" * 17]}, {"price": ["1" * 17 + "." + "3" * 17]}),
        ({"paid": "false"}, {"paid": False}),
        ({"paid": True}, {"paid": True}),
        ({"sent": ["2026-10-31", "2026-10-01"]}, {"sent": ["2026-10-01", "2026-10-31"]}),
    ],
)
def test_requests_that_mean_the_same_are_equal(
    given: dict[str, object], normal: dict[str, object]
) -> None:
    checked = _checked(**given)
    assert checked == OCTOBER | normal
    assert REPORT.check_params(checked) == checked


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"region": "east"}, "region: is not one of: north, south, =1+1"),
        ({"region": []}, "region: is not a list of 1 to 100 values"),
        ({"region": ["north"] * 101}, "region: is not a list of 1 to 100 values"),
        ({"region": {"$ne": "north"}}, "region: is not a list"),
        ({"region": [{"$ne": "north"}]}, "region: is not a text"),
        ({"region": [["north"]]}, "region: takes one value only"),
        ({"region": None}, "region: is not a list"),
        ({"shop": ["a", "b"]}, "shop: takes one value only"),
        ({"shop": {"$gt": ""}}, "shop: is not a text"),
        ({"shop": 7}, "shop: is not a text"),
        ({"shop": None}, "shop: is not a text"),
        ({"shop": ""}, "shop: is not a text of 1 to 500 characters"),
        ({"shop": "x" * 501}, "shop: is not a text of 1 to 500 characters"),
        ({"shop": "a\0"}, "shop: has a character that no text can have"),
        ({"shop": "\ud800"}, "shop: has a character that no text can have"),
        ({"level": True}, "level: is not a whole number"),
        ({"level": 1.5}, "level: is not a whole number"),
        ({"level": "1e3"}, "level: is not a whole number"),
        ({"level": "٧"}, "level: is not a whole number"),
        ({"level": float("nan")}, "level: is not a whole number"),
        ({"level": float("inf")}, "level: is not a whole number"),
        ({"level": 2**63}, "level: is not a whole number of 64 bits"),
        ({"level": "-9223372036854775809"}, "level: is not a whole number of 64 bits"),
        ({"price": [True]}, "price: is not a number"),
        ({"price": ["1e400"]}, "price: is not a number"),
        ({"price": [1e300]}, "price: is not a number"),
        ({"price": [10**5000]}, "price: is not a number"),
        ({"price": ["NaN"]}, "price: is not a number"),
        ({"price": [float("-inf")]}, "price: is not a number"),
        ({"price": ["1" * 18]}, "price: is not a number"),
        ({"paid": 1}, "paid: is not true or false"),
        ({"paid": "yes"}, "paid: is not true or false"),
        ({"sent": ["2026-02-30"]}, "sent: is not a day of the calendar"),
        ({"sent": ["2026-10-01T00:00:00Z"]}, "sent: is not a date such as"),
        ({"sent": [20261001]}, "sent: is not a date such as"),
        ({"own_0": "north"}, "own_0: is not known here"),
        ({"buyer.region": "north"}, "buyer.region: is not known here"),
    ],
)
def test_what_is_no_value_is_refused_with_what_would_be_right(
    params: dict[str, object], reason: str
) -> None:
    assert reason in _refusal(**params)


def test_a_required_parameter_is_required(tmp_path: Path) -> None:
    report = _load(tmp_path, 'region = { field = "r", required = true }')
    with pytest.raises(ParamsError, match="region: Field required"):
        report.check_params(OCTOBER)
    assert report.params_schema()["required"] == ["year", "month", "region"]


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        *(
            (f'{name} = {{ field = "r" }}', f"params.{name}: is a parameter that reports")
            for name in ("year", "month", "from", "to", "columns")
        ),
        ('"a b" = { field = "r" }', "params.a b: is not a name of a parameter"),
        ('"$where" = { field = "r" }', "params.$where: is not a name of a parameter"),
        ('r = { field = "$where" }', "params.r.field: has a `$`"),
        ("r = { feld = 1 }", "params.r.feld: is not a known key (did you mean field?)"),
        ('r = { field = "r", type = "regex" }', "params.r.type: 'regex' is not allowed; use one"),
        ('r = { field = "r", choices = [] }', "params.r.choices: is empty; add at least one"),
        ('r = { field = "r", choices = [1] }', "params.r.choices: has a wrong value, number 1"),
        ('r = { field = "r", choices = ["a", "a"] }', "params.r.choices: has a value twice"),
        ('r = { field = "r", type = "boolean", choices = [true] }', "params.r.choices: are true"),
        ('r = { field = "r", many = 1 }', "params.r.many: Input should be a valid boolean"),
    ],
)
def test_a_mistake_in_a_parameter_is_named_by_its_key(
    tmp_path: Path, table: str, mistake: str
) -> None:
    with pytest.raises(ReportsFileError) as raised:
        _load(tmp_path, table)
    assert f"reports.sales.{mistake}" in raised.value.msg


def test_choices_may_be_written_as_toml_has_them(tmp_path: Path) -> None:
    report = _load(
        tmp_path,
        'd = { field = "d", type = "date", choices = [2026-10-01, "2026-10-02"] }\n'
        'p = { field = "p", type = "decimal", choices = [0.10, "2.50"] }',
    )
    assert report.check_params(OCTOBER | {"d": "2026-10-01", "p": 2.5})["p"] == "2.5"


def test_a_definition_without_parameters_keeps_its_fingerprint() -> None:
    assert make_report().fingerprint == make_report(params={}, max_rows=5, about=False).fingerprint
    assert make_report().fingerprint != REPORT.fingerprint


def test_the_summary_says_what_was_chosen_and_stays_short() -> None:
    chosen = _checked(region=["south", "north"], paid="true", shop="x" * 500)
    summary = REPORT.summary(chosen)
    assert summary.startswith("statsMonthly 2026-10 · region: north, south; Geschäft 店: xxx")
    assert len(summary) < 250
    assert REPORT.file_stem(chosen) == "statsMonthly-2026-10"


DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "north": [{"buyer": {"region": "north"}}, {"buyer": {"region": ["north", "west"]}}],
    "south": [{"buyer": {"region": "south"}}],
    "level 7": [{"level": 7}, {"level": 7.0}, {"level": Decimal128("7.00")}],
    "0.1": [{"price": 0.1}, {"price": Decimal128("0.10")}],
    "10": [{"price": 10}, {"price": 10.0}, {"price": Decimal128("1E+1")}],
    "paid": [{"paid": True}],
    "1 October": [
        {"sent": datetime(2026, 9, 30, 16, tzinfo=UTC)},
        {"sent": datetime(2026, 10, 1, 15, 59, 59, 999000, tzinfo=UTC)},
    ],
    "3 October": [{"sent": datetime(2026, 10, 2, 16, tzinfo=UTC)}],
    "nothing": [
        {"buyer": {"region": "North"}},
        {"level": "7"},
        {"price": "0.1"},
        {"price": 0.1 + 1e-16},
        {"paid": 1},
        {"sent": "2026-10-01"},
        {"sent": datetime(2026, 9, 30, 15, 59, tzinfo=UTC)},
        # One date before the day, and one after it.
        {"sent": [datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]},
    ],
}


async def test_only_documents_with_the_values_are_counted(
    mongo_database: AsyncDatabase[dict[str, Any]],
) -> None:
    await insert_orders(
        mongo_database,
        *({"is": name} | one for name, several in DOCUMENTS.items() for one in several),
    )
    report = make_report(params=OWN, timezone="Asia/Shanghai", group_by={"is": {"field": "is"}})
    for params, expected in (
        ({"region": "north"}, ["north"]),
        ({"region": ["north", "south"]}, ["north", "south"]),
        ({"level": 7}, ["level 7"]),
        ({"price": ["0.1"]}, ["0.1"]),
        ({"price": [0.1, 10]}, ["0.1", "10"]),
        ({"paid": "true"}, ["paid"]),
        ({"sent": ["2026-10-01"]}, ["1 October"]),
        ({"sent": ["2026-10-01", "2026-10-03"]}, ["1 October", "3 October"]),
        ({"region": "north", "level": 7}, []),
    ):
        rows = await read_rows(mongo_database, report, OCTOBER | params)
        found = {row["is"]: row["n"] for row in rows}
        assert found == {name: len(DOCUMENTS[name]) for name in expected}, params


def _accepts(schema: Any, params: Any) -> bool:
    validator: Any = jsonschema.Draft202012Validator(schema)
    return bool(validator.is_valid(params))


class TestSchema:
    own = st.fixed_dictionaries(
        {"year": st.integers(1960, 10_000), "month": st.integers(-1, 14)},
        optional={
            "region": st.lists(st.sampled_from(["north", "south", "east", 1]), max_size=3),
            "shop": st.text(max_size=3) | st.integers() | st.none(),
            "level": st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.booleans(),
            "price": st.lists(
                st.integers(-(10**18), 10**18) | st.decimals(places=3, allow_nan=False).map(str),
                max_size=2,
            ),
            "paid": st.booleans() | st.integers(0, 1),
            "sent": st.lists(st.dates().map(str) | st.just("2026-1-1"), max_size=2),
            "columns": st.lists(st.sampled_from(["day", "n", "x"]), max_size=3),
            "odd": st.none(),
        },
    )

    @given(own)
    def test_it_accepts_what_is_accepted_and_refuses_what_is_refused(
        self, params: dict[str, Any]
    ) -> None:
        # What no schema says: the bounds of days.
        assume(all("1970" <= day < "9999" for day in params.get("sent", [])))
        schema = REPORT.params_schema()
        try:
            checked = REPORT.check_params(params)
        except ParamsError:
            assert not _accepts(schema, params)
        else:
            assert _accepts(schema, params)
            assert _accepts(schema, checked)

    def test_it_has_titles_choices_and_bounds(self) -> None:
        schema: Any = REPORT.params_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert schema["properties"]["year"] | {"description": ""} == {
            "type": "integer",
            "minimum": 1970,
            "maximum": 9998,
            "title": "year",
            "description": "",
        }
        assert schema["properties"]["region"]["items"] == {"enum": OWN["region"]["choices"]}
        assert schema["properties"]["shop"]["title"] == "Geschäft 店"
        assert schema["properties"]["paid"]["type"] == "boolean"

    @pytest.mark.parametrize("kind", ["text", "integer", "decimal", "boolean", "date"])
    def test_a_report_has_an_example_and_a_sample_file_name(self, kind: Any) -> None:
        own = {"own": {"field": "f", "type": kind, "required": True}}
        report = make_report(params=own, title="Sales")
        assert report.check_params(example := report.example_params())
        assert _accepts(report.params_schema(), example)
        assert _accepts(schema_of(kind), example["own"])
        assert report.sample_file_name("csv") == "Sales-2026-10.csv"

    def test_a_report_in_python_has_the_schema_of_its_description(self) -> None:
        report = Yesterday("yesterday")
        schema: Any = report.params_schema()
        assert schema["properties"]["today"]["format"] == "date"
        assert schema["required"] == ["today"]
        assert report.sample_file_name("csv") == "yesterday.csv"
        assert report.describe_columns() == []


def test_the_columns_have_titles_and_types() -> None:
    report = make_report(
        period="year",
        group_by={"c": {"field": "c"}, "k": {"field": "k", "type": "id", "on_mismatch": "null"}},
        measures={
            "n": {"op": "count", "title": "Orders"},
            "s": {"op": "sum", "field": "f"},
            "m": {"op": "max", "field": "f", "type": "datetime"},
            "t": {"op": "min", "field": "f", "on_mismatch": "text"},
        },
    )
    assert [(item.name, item.title, item.type) for item in report.describe_columns()] == [
        ("month", "month", "month"),
        ("c", "c", "any"),
        ("k", "k", "id"),
        ("n", "Orders", "integer"),
        ("s", "s", "number"),
        ("m", "m", "datetime"),
        ("t", "t", "any"),
    ]
