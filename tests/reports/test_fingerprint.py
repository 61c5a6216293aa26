"""Two workers agree on a report if, and only if, it gives the same rows and columns."""

import sys
from pathlib import Path

import pytest

from exports.reports.file import load_reports
from exports.reports.report import Report
from tests.support import custom_report

TABLE = """
[reports.sales]
kind = "rows"
title = "Sales"
collection = "orders"
time_field = "createdAt"
filter = { kind = "sale", year = 2026 }

[reports.sales.columns]
at = "createdAt"
city = { field = "buyer.city" }
"""


def _report(tmp_path: Path, text: str, name: str = "sales") -> Report:
    path = tmp_path / "reports.toml"
    path.write_text(text, encoding="utf-8")
    return load_reports(path).named(name)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("[reports.sales]", "# A comment.\n[reports.sales]"),
        ('kind = "rows"\ntitle = "Sales"', 'title = "Sales"\nkind = "rows"'),
        ('"buyer.city" }', '"buyer.city", type = "text" }'),  # which is the default
        ('{ field = "buyer.city" }', '"buyer.city"'),
        ('"createdAt"\nfilter', '"createdAt"\ntimezone = "UTC"\nfilter'),
        ('"createdAt"\nfilter', '"createdAt"\nquota = { open = 2, per_day = 9 }\nfilter'),
        ('"createdAt"\nfilter', '"createdAt"\nfile_name = "sold"\nfilter'),
        (
            "[reports.sales]",
            '[reports.other]\npython = "tests.support.custom_report:Yesterday"\n[reports.sales]',
        ),
    ],
)
def test_a_change_that_leaves_rows_and_columns_the_same_does_not_matter(
    tmp_path: Path, text: str, instead: str
) -> None:
    changed = TABLE.replace(text, instead, 1)
    assert changed != TABLE
    assert _report(tmp_path, changed).fingerprint == _report(tmp_path, TABLE).fingerprint


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ('"Sales"', '"Sold"'),
        ('"orders"', '"sales"'),
        ('"createdAt"\nfilter', '"createdAt"\ntimezone = "Europe/Berlin"\nfilter'),
        ("2026", "2025"),
        ('"createdAt"\nfilter', '"createdAt"\nowner_field = "uid"\nfilter'),
        ('"buyer.city" }', '"buyer.city", type = "json" }'),
        (
            'at = "createdAt"\ncity = { field = "buyer.city" }',
            'city = { field = "buyer.city" }\nat = "createdAt"',
        ),
    ],
)
def test_a_change_of_the_rows_or_the_columns_gives_another_fingerprint(
    tmp_path: Path, text: str, instead: str
) -> None:
    changed = TABLE.replace(text, instead, 1)
    assert changed != TABLE
    assert _report(tmp_path, changed).fingerprint != _report(tmp_path, TABLE).fingerprint


FIGURES = """
[reports.sales]
period = "month"
collection = "orders"
time_field = "createdAt"
group_by.c = { field = "c" }
measures.least = { op = "min", field = "n" }
"""


@pytest.mark.parametrize(
    ("text", "instead", "same"),
    [
        ('field = "n"', 'field = "n", type = "number", on_mismatch = "null"', True),  # the defaults
        ('field = "c"', 'field = "c", on_mismatch = "text"', True),
        ('op = "min"', 'op = "max"', False),
        ('field = "n"', 'field = "n", type = "datetime"', False),
        ('field = "n"', 'field = "n", on_mismatch = "fail"', False),
        ('field = "c"', 'field = "c", type = "text", on_mismatch = "null"', False),
    ],
)
def test_statistics_have_another_fingerprint_if_their_figures_or_groups_change(
    tmp_path: Path, text: str, instead: str, *, same: bool
) -> None:
    changed = FIGURES.replace(text, instead, 1)
    assert changed != FIGURES
    fingerprints = {_report(tmp_path, table).fingerprint for table in (FIGURES, changed)}
    assert len(fingerprints) == (1 if same else 2)


def test_other_source_of_a_report_class_gives_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    source = Path(custom_report.__file__).read_text(encoding="utf-8")
    seen: list[str] = []
    for module, text in (
        ("first", source),
        ("second", source.replace("timedelta(days=1)", "timedelta(days=2)")),
    ):
        (tmp_path / f"report_{module}.py").write_text(text, encoding="utf-8")
        table = f'[reports.sales]\npython = "report_{module}:Yesterday"\n'
        seen.append(_report(tmp_path, table).fingerprint)
        assert _report(tmp_path, table).fingerprint == seen[-1]
    assert len(set(seen)) == 2
