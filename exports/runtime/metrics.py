"""What is counted and measured, for Prometheus, by the meters of the Temporal SDK.

Each process has one endpoint, with these and the SDK's own metrics. `docs/monitoring.md` has the
table. A label is never an id, a person or the text of an error: its values must be few.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from temporalio import activity, workflow
from temporalio.common import MetricMeter
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
)

from exports import errors
from exports.errors import ExportError, SettingsError
from exports.runtime.listening import open_socket, url_of

METRICS_LISTEN: Final = "EXPORTS_METRICS_LISTEN"
Outcome = Literal["done", "failed", "cancelled"]
WaitsFor = Literal["temporal", "database", "source", "store", "key", "plan"]
"""What a step waits for: a server, or a worker that has the key or fits the plan."""
Loss = Literal["timeout", "shutdown"]
"""How a worker left a step: without a heartbeat, or because it was stopped."""

_CODES: Final = frozenset(
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ExportError)
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_TO_START: Final = "exports_time_to_start"
_TO_DONE: Final = "exports_time_to_done"
_REQUESTS: Final = "exports_api_request"
# From a tenth of a second to a day.
_LONG: Final = (
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0),
)
_SHORT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Of the SDK's own, those that are long here: steps take up to hours.
_BUCKETS: Final = {
    _TO_START: _LONG,
    _TO_DONE: _LONG,
    _REQUESTS: _SHORT,
    "temporal_activity_execution_latency": _LONG,
    "temporal_activity_succeed_endtoend_latency": _LONG,
    "temporal_activity_schedule_to_start_latency": _LONG,
    "temporal_workflow_endtoend_latency": _LONG,
}


class _Process:
    """What is measured outside of steps and workflows goes to the meter of the process."""

    meter: MetricMeter = MetricMeter.noop


def start_temporal(log: logging.Logger, *, metrics_listen: str | None) -> None:
    """Make the runtime of the Temporal SDK for this process, with the endpoint of its metrics.

    To be called once, before anything connects.

    Args:
        log: Gets the log of Temporal's core.
        metrics_listen: Address and port of the endpoint; None if there is none.

    Raises:
        SettingsError: The address can't be listened on.
    """
    forwarding = LoggingConfig(
        filter=LoggingConfig.default.filter, forwarding=LogForwardingConfig(log)
    )
    if metrics_listen is None:
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=forwarding)))
        return
    # The SDK knows no names of hosts, and does not say which port it has chosen.
    with open_socket(metrics_listen, setting=METRICS_LISTEN) as listener:
        url = url_of(listener)
    try:
        runtime = Runtime(telemetry=telemetry(url.removeprefix("http://"), forwarding))
    except ValueError:  # somebody else was quicker
        raise SettingsError(f"{METRICS_LISTEN}: can't listen on {metrics_listen}.") from None
    Runtime.set_default(runtime)
    _Process.meter = runtime.metric_meter
    logging.getLogger("exports.metrics").info("Metrics are at %s/metrics", url)


def telemetry(address: str, log: LoggingConfig | None = LoggingConfig.default) -> TelemetryConfig:
    """Return how the SDK shows metrics: with the names that Temporal's dashboards expect.

    Args:
        address: Address, without names of hosts, and port to listen on.
        log: What becomes of the log of Temporal's core.
    """
    return TelemetryConfig(
        logging=log,
        metrics=PrometheusConfig(
            bind_address=address,
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=_BUCKETS,
        ),
    )


@dataclass(frozen=True)
class Kind:
    """What kind of export something is counted for.

    Attributes:
        type: Name of a configured report, never what somebody asked for.
        format: Name of a file format.
    """

    type: str = "unknown"
    format: str = "unknown"

    @property
    def _labels(self) -> dict[str, str]:
        return {"type": self.type, "format": self.format}

    def count_started(self, waited: timedelta) -> None:
        """Count that a run took a task, this long after it was asked for."""
        _add("exports_started", "Runs that have taken a task.", self._labels)
        what = "Time from asking to the first step."
        _observe(_TO_START, what, {"type": self.type}, waited)

    def count_ended(self, outcome: Outcome, code: str | None) -> None:
        """Count that a task has ended, with the code of the error if it failed."""
        labels = {**self._labels, "outcome": outcome, "code": _known(code)}
        _add("exports_ended", "Tasks that have ended.", labels)

    def count_done(self, *, took: timedelta, rows: int, size: int) -> None:
        """Count what a finished file holds, and its size in bytes."""
        what = "Time from asking to the finished file."
        _observe(_TO_DONE, what, {"type": self.type}, took)
        _add("exports_rows", "Rows of finished files.", self._labels, rows)
        _add("exports_file_bytes", "Bytes of finished files.", self._labels, size)


def count_failed_attempt(code: str | None) -> None:
    """Count a failed attempt at the current step, by the code of its error."""
    _add("exports_failed_attempts", "Attempts at a step that failed.", {"code": _known(code)})


def count_uncounted_wait(waits_for: WaitsFor) -> None:
    """Count that a step begins to wait for something, without this being a failed attempt."""
    what = "Waits that did not count as a failed attempt."
    _add("exports_uncounted_waits", what, {"waits_for": waits_for})


def count_lost_worker(loss: Loss) -> None:
    """Count that a worker was lost during a step, or was stopped before it had done it."""
    _add("exports_lost_workers", "Steps whose worker was lost or stopped.", {"reason": loss})


def are_wanted() -> bool:
    """Return whether anybody sees what is measured here: whether it is worth a query."""
    return _meter() is not MetricMeter.noop


def show_open(tasks: Mapping[str, int], *, oldest_pending: float) -> None:
    """Show how many tasks are open, by their status, and since how many seconds one waits."""
    for status, number in tasks.items():
        _meter().create_gauge("exports_open", "Tasks that have not ended.").set(
            number, {"status": status}
        )
    _meter().create_gauge_float(
        "exports_oldest_pending_age_seconds", "How long a task that is due has been waiting."
    ).set(oldest_pending)


def show_swept(did: Mapping[str, int], at: float) -> None:
    """Show what a part of the sweep did.

    Args:
        did: What it did, and to how many documents or objects.
        at: When it ended, in seconds since 1970.
    """
    for what, number in did.items():
        _meter().create_gauge("exports_last_sweep", "What the last sweep did.").set(
            number, {"did": what}
        )
    _meter().create_gauge_float(
        "exports_last_sweep_timestamp_seconds", "When the last sweep ended."
    ).set(at)


def time_request(method: str, route: str, status: int, seconds: float) -> None:
    """Measure an answer of the HTTP API.

    Args:
        method: The HTTP method.
        route: The path as it is declared, without ids.
        status: The HTTP status.
        seconds: How long it took.
    """
    _meter().create_histogram_float(
        _REQUESTS, "Time of a request to the HTTP API.", "seconds"
    ).record(
        seconds,
        {
            "method": method if method in _METHODS else "other",
            "route": route,
            "status": str(status),
        },
    )


def _meter() -> MetricMeter:
    if workflow.in_workflow():
        return workflow.metric_meter()  # records nothing while history is replayed
    return activity.metric_meter() if activity.in_activity() else _Process.meter


def _add(name: str, description: str, labels: Mapping[str, str], number: int = 1) -> None:
    _meter().create_counter(name, description).add(number, labels)


def _observe(name: str, description: str, labels: Mapping[str, str], time: timedelta) -> None:
    _meter().create_histogram_timedelta(name, description, "seconds").record(time, labels)


def _known(code: str | None) -> str:
    """Return a code as a label: a report in Python, or somebody by hand, may fail with any text."""
    return "none" if code is None else code if code in _CODES else "other"
