"""Metrics as Prometheus reads them."""

import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.runtime import Runtime

from exports.runtime.listening import open_socket
from exports.runtime.metrics import telemetry

_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_COMMON = {"namespace", "service_name", "task_queue", "workflow_type", "activity_type"}
"""Labels that the SDK adds."""


@dataclass(frozen=True)
class Scraped:
    """What an endpoint showed.

    Attributes:
        text: All of it.
    """

    text: str

    def sums(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Add up the samples of a metric by these labels; what is 0 is left out."""
        found = dict[tuple[str, ...], float]()
        for sample in map(_SAMPLE.fullmatch, self.text.splitlines()):
            if sample and sample["name"] == name:
                of = dict(_LABEL.findall(sample["labels"] or ""))
                key = tuple(of[label] for label in labels)
                found[key] = found.get(key, 0) + float(sample["value"])
        return {key: value for key, value in found.items() if value}

    def labels(self, prefix: str) -> dict[str, set[str]]:
        """Return the values of each label of our metrics, but for those that the SDK adds."""
        found: dict[str, set[str]] = {}
        for sample in map(_SAMPLE.fullmatch, self.text.splitlines()):
            if sample and sample["name"].startswith(prefix):
                for label, value in _LABEL.findall(sample["labels"] or ""):
                    found.setdefault(label, set()).add(value)
        return {label: values for label, values in found.items() if label not in _COMMON}


def scraped(url: str) -> Scraped:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return Scraped(answer.read().decode())


def measured_runtime() -> tuple[Runtime, Callable[[], Scraped]]:
    """Return a runtime with an endpoint, and what reads it."""
    with open_socket("127.0.0.1:0", setting="test") as listener:
        host, port = listener.getsockname()
    runtime = Runtime(telemetry=telemetry(f"{host}:{port}"))
    return runtime, lambda: scraped(f"http://{host}:{port}/metrics")
