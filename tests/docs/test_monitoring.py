"""docs/monitoring.md has every metric with its labels, and the rules for alerts use no other."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import temporalio.bridge
import yaml

from exports.errors import ExportError
from exports.runtime import metrics
from tests.support import pages
from tests.support.metrics import measured_runtime

PAGE = pages.DOCS / "monitoring.md"
RULES = pages.DOCS / "monitoring" / "rules.yml"
_SUFFIXES = re.compile(r"_(?:total|seconds|bucket|sum|count)$")


def _listed() -> dict[str, set[str]]:
    """Return the metrics of the page, with their labels."""
    table = next(pages.tables(pages.section(PAGE, "Metrics")))
    return {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(pages.text(RULES))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_page_lists_every_metric_with_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, scrape = measured_runtime()
    monkeypatch.setattr(vars(metrics)["_Process"], "meter", runtime.metric_meter)
    kind, second = metrics.Kind("statsMonthly", "csv"), timedelta(seconds=1)
    kind.count_started(second)
    kind.count_ended("done", None)
    kind.count_done(took=second, rows=1, size=1)
    metrics.count_failed_attempt("E_STORE")
    metrics.count_uncounted_wait("store")
    metrics.count_lost_worker("timeout")
    metrics.show_open({"pending": 1}, oldest_pending=1)
    metrics.show_swept({"changed": 1}, at=1)
    metrics.time_request("GET", "/exports", 200, 1)
    seen = scrape()
    names = re.findall(r"^# TYPE (\w+) ", seen.text, re.MULTILINE)
    assert {name: seen.labels(name).keys() - {"le"} for name in names} == _listed()


def test_the_rules_use_metrics_that_there_are() -> None:
    sdk = Path(temporalio.bridge.__file__).parent
    core = b"".join(path.read_bytes() for path in sdk.glob("temporal_sdk_bridge*.so"))
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    for rule in _rules():
        text = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", rule["expr"])
        for name in re.findall(r"[a-z][\w:]*_\w+", text):
            if name.startswith("exports"):
                known = {*_listed(), *recorded}
                assert {name, _SUFFIXES.sub("", name)} & known, name
            elif name.startswith("temporal_"):
                base = _SUFFIXES.sub("", _SUFFIXES.sub("", name)).removeprefix("temporal_")
                assert base.encode() in core, name


def _fixers(alert: str) -> dict[str, str]:
    """Return who fixes each error whose code the rule of this name lists."""
    [text] = [rule["expr"] for rule in _rules() if alert in rule.values()]
    codes = re.compile(next(iter(re.findall(r'code[!=]~"([^"]+)"', text))))
    kinds = ExportError.__subclasses__()
    return {kind.code: kind.fixed_by for kind in kinds if codes.fullmatch(kind.code)}


def test_no_alert_is_about_what_somebody_asked_for_wrongly() -> None:
    not_counted = _fixers("exports:failed_in_30m")
    assert len(not_counted) == 11
    assert all(who.startswith(("who ", "nobody")) for who in not_counted.values()), not_counted
    somebody = _fixers("SomebodyHasToAct")
    assert {"E_STORE_REFUSED", "E_DATABASE_REFUSED", "E_SNAPSHOT", "E_STAGING"} <= somebody.keys()
    assert not not_counted.keys() & somebody.keys()


def test_the_page_explains_every_alert() -> None:
    tables = list(pages.tables(pages.section(PAGE, "Alerts")))
    explained = [row[0].strip("`") for table in tables for row in table]
    assert explained == [rule["alert"] for rule in _rules() if "alert" in rule]
