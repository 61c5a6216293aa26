"""Tables and figures on the pages say the same as the code, Compose and the benchmarks."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from exports import names
from tests.support import compose_file, pages
from tests.support.paths import REPOSITORY
from workflows import policies

_PRODUCTION = pages.DOCS / "production.md"
_ARCHITECTURE = pages.DOCS / "architecture.md"


def test_the_readme_is_one_page() -> None:
    assert len(pages.README.read_bytes()) < 8_192


def test_the_measured_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    results = pages.text(REPOSITORY / "benchmarks/RESULTS.md")
    said = pages.section(pages.README, "Measured")
    figures = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", pages.without_code(said))
    assert len(figures) > 20
    assert [figure for figure in figures if not re.search(rf"(?<![\d.,]){figure}", results)] == []


def test_the_limits_of_steps_are_those_of_the_policies() -> None:
    rows = pages.tables(pages.section(_ARCHITECTURE, "How an export runs"))
    limits = {step: (longest, silent) for step, longest, silent, _ in next(rows)}
    assert limits == {
        step: (_shown(policy.start_to_close), f"{policy.heartbeat.total_seconds():.0f} s")
        for step, policy in {
            "claim": policies.CLAIM_STEP,
            "aggregate": policies.AGGREGATE_STEP,
            "upload": policies.UPLOAD_STEP,
            "writeback, to `done`": policies.WRITEBACK_STEP,
            "writeback, to `failed` or `cancelled`": policies.WRITEBACK_STEP,
            "discard": policies.CLEANUP_STEP,
        }.items()
    }


def _shown(limit: timedelta) -> str:
    hours, rest = divmod(limit, timedelta(hours=1))
    return f"{hours} h" if hours and not rest else f"{limit // timedelta(minutes=1)} min"


def test_every_package_is_described() -> None:
    rows = next(pages.tables(pages.section(_ARCHITECTURE, "The packages")))
    described = [pages.quoted(row[0])[0] for row in rows]
    packages = {
        f"{init.parent.relative_to(REPOSITORY)}/"
        for folder in ("exports", "workflows", "activities", "dev")
        for init in (REPOSITORY / folder).rglob("__init__.py")
    }
    assert sorted(described) == sorted({*packages, "worker.py", "benchmarks/", "tests/"})


def test_the_ports_of_compose_are_those_of_its_file() -> None:
    published = re.findall(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+", compose_file.text())
    rows = next(pages.tables(pages.section(_PRODUCTION, "Trying it on one machine")))
    said = [(name.strip("`"), address.strip("`").rpartition(":")[2]) for _, address, name in rows]
    assert sorted(said) == sorted(published)


def test_every_variable_of_compose_is_on_the_page() -> None:
    text = pages.text(_PRODUCTION)
    assert {name for name in compose_file.variables() if name not in text} == set()


@pytest.mark.parametrize(
    ("page", "pattern"),
    [
        (_PRODUCTION, r"--name (\w+) --type Keyword"),
        (pages.DOCS / "quickstart.md", r"`(Export(?!Tasks|Client)[A-Z]\w+)`"),
    ],
    ids=["registered", "explained"],
)
def test_the_search_attributes_are_those_that_exports_carry(page: Path, pattern: str) -> None:
    assert re.findall(pattern, pages.text(page)) == list(names.SEARCH_ATTRIBUTES)
