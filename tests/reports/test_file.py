"""A reports file either works, or every mistake in it is reported with its key."""

from pathlib import Path
from textwrap import dedent

import pytest

from exports.errors import ReportsFileError
from exports.reports.file import load_reports
from exports.reports.report import Report
from exports.reports.stats.report import StatsReport
from tests.support.custom_report import Yesterday
from tests.support.paths import REPORTS

GOOD = """\
[reports.statsMonthly]
collection = "orders"
time_field = "createdAt"
measures.orders = { op = "count" }
"""

ROWS = """\
[reports.detail]
kind = "rows"
collection = "orders"
time_field = "createdAt"
columns.id = "_id"
"""


class Custom(StatsReport):
    """What a team writes when TOML is not enough; this one cannot be constructed."""

    def __init__(self, name: str, title: str | None = None) -> None:
        raise RuntimeError(name, title)


def _mistakes(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "reports.toml"
    path.write_bytes(dedent(text).encode())
    with pytest.raises(ReportsFileError) as raised:
        load_reports(path)
    return [line.removeprefix(f"{path}: ") for line in raised.value.msg.splitlines()]


def _load(tmp_path: Path, text: str) -> Report:
    path = tmp_path / "reports.toml"
    path.write_bytes(dedent(text).encode())
    (report,) = load_reports(path)
    return report


def test_the_sample_file_defines_three_reports() -> None:
    monthly, annual, detail = load_reports(REPORTS)

    assert (monthly.type, annual.type, detail.type) == (
        "statsMonthly",
        "statsAnnual",
        "recordsDetail",
    )
    assert [(item.name, item.required, item.values) for item in monthly.describe_params()] == [
        ("year", True, "1970 to 9998"),
        ("month", True, "1 to 12"),
        ("columns", False, "some of: day, category, orders, revenue, average, buyers"),
    ]
    assert [item.name for item in annual.describe_params()] == ["year", "columns"]
    assert [(item.name, item.type, item.required) for item in detail.describe_params()] == [
        ("from", "date", True),
        ("to", "date", True),
        ("columns", "list", False),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'colection = "x"',
            "colection: is not a known key (did you mean collection?); use one of: collection,",
        ),
        ('timezone = "Asia/Shanghia"', "timezone: is not a time zone (did you mean Asia/Sh"),
        ('timezone = "../etc/passwd"', "timezone: is not a time zone"),
        ('timezone = "Factory"', "timezone: is not a time zone"),
        ('owner_field = "$where"', "owner_field: has a `$`"),
        ('owner_field = ""', "owner_field: has an empty part"),
        ('owner_field = "a..b"', "owner_field: has an empty part"),
        ('owner_field = "a\\u0000b"', "owner_field: has a null byte"),
        ('period = "week"', "period: 'week' is not allowed; use one of: month, year"),
        ('title = ""', "title: is not a valid name"),
        ('title = "two\\nlines"', "title: is not a valid name; remove the character U+000A"),
        ('title = "a\\u2028b"', "title: is not a valid name; remove the character U+2028"),
        ('title = "\\u202Evsc.exe"', "title: is not a valid name; remove the character U+202E"),
        ('title = "a\\u2067b"', "title: is not a valid name; remove the character U+2067"),
        ('title = "a\\u200Bb"', "title: is not a valid name; remove the character U+200B"),
        ('title = "a\\uE000b"', "title: is not a valid name; remove the character U+E000"),
        ('title = "\\u200C \\u200D\\u0301"', "title: is not a valid name; use 1 to 100 characters"),
        ('title = "\\u3000"', "title: is not a valid name; use 1 to 100 characters"),
        ('title = "\\u3164"', "title: is not a valid name; use 1 to 100 characters"),
        ('group_by = { "a\\u202Eb" = "c" }', "group_by.a\u202eb: is not a valid name; remove"),
        ("title = 5", "title: Input should be a valid string"),
        ('filter = { "$or" = 1 }', "filter.$or: has a `$`"),
        ("filter = { a = { gt = 1 } }", "filter.a: is a table; put a path into a document in q"),
        ("filter = { a = [1] }", "filter.a: is not a text, a number, true, false, or a d"),
        ("filter = { a = 2026-01-01T00:00:00 }", "filter.a: has no offset from UTC"),
        ("filter = { a = 9223372036854775808 }", "filter.a: is not a text, a number"),
        (
            'group_by.x = "a"\nmeasures.x = { op = "count" }',
            "measures.x: is the name of a group too",
        ),
        ('group_by = { day = "c" }', "group_by.day: is the name of the first column"),
        ('group_by = { "" = "c" }', "group_by.: is not a valid name"),
        ('group_by = { c = "$c" }', "group_by.c.field: has a `$`"),
        (
            'group_by = { c = { feld = "c" } }',
            "group_by.c.feld: is not a known key (did you mean fi",
        ),
        (
            'measures.x = { op = "median" }',
            "measures.x.op: 'median' is not allowed; use one of: co",
        ),
        ('measures.x = { op = "sum" }', "measures.x: has no field; add the `field` whose sum is"),
        ('measures.x = { op = "count", field = "a" }', "measures.x: counts documents"),
        (
            'measures.x = { op = "sum", fild = "a" }',
            "measures.x.fild: is not a known key (did you mean field",
        ),
        ('measures.x = { field = "a" }', "measures.x.op: is required"),
        (
            'measures.x = { op = "count", on_mismatch = "fail" }',
            "measures.x: counts values of every type; remove `on_mismatch`",
        ),
        (
            'measures.x = { op = "sum", field = "a", on_mismatch = "text" }',
            'measures.x: is a sum, which texts do not have; use `on_mismatch` "fail" or "null"',
        ),
        (
            'measures.x = { op = "avg", field = "a", type = "datetime" }',
            "measures.x: has the type datetime; only min and max have a `type`",
        ),
        (
            'measures.x = { op = "max", field = "a", type = "datetime", on_mismatch = "text" }',
            "measures.x: has a type, but takes values of every type; use `on_mismatch`",
        ),
        (
            'group_by = { c = { field = "c", on_mismatch = "null" } }',
            "group_by.c: has no type; add the `type` that values must have, such as text",
        ),
        (
            'group_by = { c = { field = "c", type = "number" } }',
            "group_by.c: has a type, but takes values of every type; use `on_mismatch`",
        ),
    ],
)
def test_a_mistake_in_a_statistics_report_is_reported_with_its_key(
    tmp_path: Path, line: str, expected: str
) -> None:
    mistakes = _mistakes(tmp_path, f"{GOOD}{line}\n")

    assert any(mistake.startswith(f"reports.statsMonthly.{expected}") for mistake in mistakes)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('sort = "_id"', "sort: is not a known key; use one of: collection, time_field,"),
        ('on_mismatch = "nul"', "on_mismatch: 'nul' is not allowed (did you mean null?)"),
        ('long_text = "keep"', "long_text: 'keep' is not allowed; use one of: fail, cut."),
        ('period = "month"', "period: is not a known key; use one of: collection, time_field,"),
        ("quota = { open = -1 }", "quota.open: Input should be greater than or equal to 0"),
        ("quota = { opem = 1 }", "quota.opem: is not a known key (did you mean open?)"),
        ('colums.a = "x"', "colums: is not a known key (did you mean columns?)"),
        ('columns.a = "$x"', "columns.a.field: has a `$`"),
        ('columns.a = "x..y"', "columns.a.field: has an empty part"),
        ("columns.a = 5", "columns.a: Input should be a valid dictionary"),
        ('columns.a = { title = "A" }', "columns.a.field: is required"),
        ('columns."" = "x"', "columns.: is not a valid name"),
        ('columns.a = { field = "x", titel = "A" }', "columns.a.titel: is not a known key (did"),
        ('columns.a = { field = "x", type = "int" }', "columns.a.type: 'int' is not allowed"),
        ('columns.a = { field = "x", scale = 3 }', "columns.a: has the type text; only a decimal"),
        (
            'columns.a = { field = "x", type = "decimal", scale = 39 }',
            "columns.a.scale: Input should be less than or equal to 38",
        ),
        (
            'columns.a = { field = "x", number_format = "0" }',
            "columns.a: has the type text; only numbers and dates have a `number_format`",
        ),
        (
            'columns.a = { field = "x", type = "number", number_format = "" }',
            "columns.a.number_format: is not a number format",
        ),
        (
            'columns.a = { field = "x", type = "number", number_format = "0\\u202E0" }',
            "columns.a.number_format: is not a number format",
        ),
        ('columns."\\u200D" = "x"', "columns.\u200d: is not a valid name"),
        ('owner_field = "$where"', "owner_field: has a `$`"),
        ('timezone = "Mars"', "timezone: is not a time zone"),
    ],
)
def test_a_mistake_in_a_row_level_report_is_reported_with_its_key(
    tmp_path: Path, line: str, expected: str
) -> None:
    (mistake,) = _mistakes(tmp_path, f"{ROWS}{line}\n")

    assert mistake.startswith(f"reports.detail.{expected}")


NAMES = (
    "گزارش\N{ZERO WIDTH NON-JOINER}ها",
    "क्\N{ZERO WIDTH JOINER}ष",
    "👩\N{ZERO WIDTH JOINER}💻 ❤️",
    "Cafe\N{COMBINING ACUTE ACCENT}",
    "Prix\N{NO-BREAK SPACE}: 10\N{NARROW NO-BREAK SPACE}000",
    "月度\N{IDEOGRAPHIC SPACE}订单",
)


@pytest.mark.parametrize("name", NAMES)
def test_titles_and_names_may_have_what_languages_need(tmp_path: Path, name: str) -> None:
    statistics = f"title = '{name}'\nperiod_title = '{name}'\ngroup_by = {{ '{name}' = 'c' }}\n"
    rows = f"columns.'{name}' = {{ field = 'x', title = '{name}' }}\n"

    assert _load(tmp_path, GOOD + statistics).title == name
    report = _load(tmp_path, ROWS + rows)
    assert report.check_params({"from": "2026-10-01", "to": "2026-11-01", "columns": name})


def test_a_number_format_may_have_the_space_that_a_country_puts_between_digits(
    tmp_path: Path,
) -> None:
    line = "columns.a = { field = 'x', type = 'number', number_format = '#\N{NO-BREAK SPACE}##0' }"

    assert _load(tmp_path, f"{ROWS}{line}\n").bulk


def test_a_row_level_report_needs_columns(tmp_path: Path) -> None:
    without = ROWS.replace('columns.id = "_id"', "")

    assert _mistakes(tmp_path, without) == ["reports.detail.columns: is required."]
    assert _mistakes(tmp_path, f"{without}columns = {{}}\n") == [
        "reports.detail.columns: is empty; add at least one."
    ]


def test_an_unknown_kind_of_report_is_a_mistake(tmp_path: Path) -> None:
    (mistake,) = _mistakes(tmp_path, ROWS.replace('"rows"', '"row"'))

    assert mistake == (
        "reports.detail.kind: 'row' is not allowed (did you mean rows?); use one of: stats, rows."
    )
    (mistake,) = _mistakes(tmp_path, ROWS.replace('"rows"', "['rows']"))
    assert mistake.startswith("reports.detail.kind: ['rows'] is not allowed")


def test_a_field_alone_makes_a_column_of_text(tmp_path: Path) -> None:
    report = _load(tmp_path, ROWS)

    assert report.bulk
    assert [item.values for item in report.describe_params()][-1] == "some of: id"


def test_statistics_may_say_what_they_are(tmp_path: Path) -> None:
    assert not _load(tmp_path, f'{GOOD}kind = "stats"\n').bulk


def test_all_mistakes_are_reported_at_once_each_with_its_own_key(tmp_path: Path) -> None:
    assert _mistakes(
        tmp_path,
        """\
        speed = "fast"

        [reports.statsMonthly]
        time_field = "created.$at"
        timezone = '''Mars'''
        group_by = { a = "x", b = { field = "y", titel = "B" } }

        [reports.statsMonthly.measures]
        a = { op = "count" }
        n.op = "cuont"

        [reports.other]
        collection = "o"
        time_field = "t"
        measures = {}
        """,
    ) == [
        "speed: is not a known key; a report is a table [reports.NAME].",
        "reports.statsMonthly.measures.a: is the name of a group too; choose another name.",
        "reports.statsMonthly.collection: is required.",
        (
            "reports.statsMonthly.time_field: has a `$`; a field name is plain text, never an "
            "operator."
        ),
        (
            "reports.statsMonthly.timezone: is not a time zone; use an IANA name such as "
            "Asia/Shanghai."
        ),
        (
            "reports.statsMonthly.group_by.b.titel: is not a known key (did you mean title?); "
            "use one of: field, title, type, on_mismatch."
        ),
        (
            "reports.statsMonthly.measures.n.op: 'cuont' is not allowed (did you mean count?); "
            "use one of: count, sum, avg, min, max, count_distinct."
        ),
        "reports.other.period: is required.",
        "reports.other.measures: is empty; add at least one.",
    ]


def test_two_reports_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    (mistake,) = _mistakes(tmp_path, GOOD + GOOD)

    assert mistake.startswith("is not valid TOML: Cannot declare ('reports', 'statsMonthly') twice")
    assert mistake.endswith("(at line 5, column 22).")


def test_two_measures_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    (mistake,) = _mistakes(tmp_path, f'{GOOD}measures.orders = {{ op = "count" }}\n')

    assert mistake.startswith("is not valid TOML: Cannot overwrite a value (at ")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[reports", "at end of document"),
        ("a = \n", "at line 1, column 5"),
        ("\n\nx y = 1", "at line 3, column 3"),
        ('a = "open\n', "at line 1, column 10"),
    ],
)
def test_what_is_not_toml_is_reported_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    (mistake,) = _mistakes(tmp_path, text)

    assert mistake.startswith("is not valid TOML: ")
    assert mistake.endswith(f" ({where}).")


@pytest.mark.parametrize("text", ["", "[reports]\n", "reports = 5\n"])
def test_a_file_without_reports_is_a_mistake(tmp_path: Path, text: str) -> None:
    assert _mistakes(tmp_path, text) == ["reports: has no report; add a table [reports.NAME]."]


def test_a_report_that_is_not_a_table_is_a_mistake(tmp_path: Path) -> None:
    assert _mistakes(tmp_path, "[reports]\nx = 5\n") == [
        "reports.x: is not a table; write [reports.x]."
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportsFileError, match=r"nowhere\.toml: cannot be read"):
        load_reports(tmp_path / "nowhere.toml")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reports.toml"
    path.write_bytes('title = "订单"'.encode("gbk"))

    with pytest.raises(ReportsFileError, match="is not encoded as UTF-8"):
        load_reports(path)


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "reports.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    assert [report.type for report in load_reports(path)] == ["statsMonthly"]


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("", "does not name a class; write package.module:ClassName"),
        ("exports.reports.report", "does not name a class"),
        ("exports.nowhere:Report", "cannot be imported (ModuleNotFoundError)"),
        ("exports.reports.report:ReportCatalog", "does not name a subclass"),
        ("exports.reports.report:Nothing", "does not name a subclass"),
        ("exports.reports.report:Report", "cannot be called with (name, title) (TypeError)"),
        ("tests.reports.test_file:Custom", "cannot be called with (name, title) (RuntimeError)"),
    ],
)
def test_a_class_that_is_not_a_report_is_a_mistake(
    tmp_path: Path, python: str, reason: str
) -> None:
    (mistake,) = _mistakes(tmp_path, f'[reports.custom]\npython = "{python}"\n')

    assert mistake.startswith(f"reports.custom.python: {reason}")


def test_a_class_takes_no_other_keys(tmp_path: Path) -> None:
    (mistake,) = _mistakes(tmp_path, '[reports.custom]\npython = "a:B"\ncollection = "orders"\n')

    assert mistake == (
        "reports.custom.collection: is not a known key; use one of: python, title, max_rows, "
        "about, quota."
    )


def test_a_class_becomes_the_report_of_its_table(tmp_path: Path) -> None:
    report = _load(
        tmp_path,
        '[reports.custom]\npython = "tests.support.custom_report:Yesterday"\ntitle = "昨天"\n',
    )

    assert (report.type, report.title) == ("custom", "昨天")


@pytest.mark.parametrize(
    "table",
    [
        GOOD,
        ROWS,
        '[reports.custom]\npython = "tests.support.custom_report:Yesterday"\n',
    ],
)
def test_each_kind_of_report_may_have_a_quota(tmp_path: Path, table: str) -> None:
    report = _load(tmp_path, f"{table}quota = {{ open = 2, per_day = 9 }}\n")
    assert (report.quota_open, report.quota_per_day) == (2, 9)


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        (None, "statsMonthly-2026-10"),
        ("月度订单", "月度订单-2026-10"),
        ("../a\\b:c*?", "-a-b-c---2026-10"),
        (" .hidden. ", "hidden-2026-10"),
        ("...", "export-2026-10"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Café-2026-10"),
        ("گزارش\N{ZERO WIDTH NON-JOINER}ها", "گزارش\N{ZERO WIDTH NON-JOINER}ها-2026-10"),
        ("订" * 100, f"{'订' * 60}-2026-10"),
    ],
)
def test_the_file_is_named_for_people_and_for_every_file_system(
    tmp_path: Path, title: str | None, stem: str
) -> None:
    escaped = "" if title is None else f"title = '{title}'\n"
    report = _load(tmp_path, GOOD + escaped)

    assert report.file_stem({"year": 2026, "month": 10}) == stem
    assert report.summary({"year": 2026, "month": 10}) == "statsMonthly 2026-10"


def test_a_title_in_chinese_may_have_files_with_a_short_name_for_every_program(
    tmp_path: Path,
) -> None:
    report = _load(tmp_path, f"{GOOD}title = '月度订单'\nfile_name = 'orders'\n")
    assert report.title == "月度订单"
    assert report.file_stem({"year": 2026, "month": 10}) == "orders-2026-10"
    assert report.sample_file_name("csv") == "orders-2026-10.csv"


@pytest.mark.parametrize("character", ["\n", "\u202e", "\u2066", "\u200b", "\ue000", "\ud800"])
def test_the_title_of_a_class_cannot_make_the_name_of_its_file_mislead(character: str) -> None:
    report = Yesterday("custom", f"{character}vsc.exe")

    assert report.file_stem({"today": "2026-10-05"}) == "-vsc.exe-2026-10-05"
