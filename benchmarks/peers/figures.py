"""What is measured, and how much of it."""

from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(frozen=True)
class Aftermath:
    """The state some time after a worker was killed and a new one was started.

    Attributes:
        done: Exports that are done.
        stuck: Exports that are not done, and that the tool still has.
        lost: Exports that are not done, and that the tool no longer has.
        repeated: By step, how many exports ran it to its end more than once.
        doubled: How many exports ran any step to its end more than once.
        files: Finished files in the bucket; more than there are exports means leftovers.
        seconds: From the crash until the last export was done; None if some never were.
    """

    done: int
    stuck: int
    lost: int
    repeated: dict[str, int]
    doubled: int
    files: int
    seconds: float | None


@dataclass
class Figures:
    """What was measured of one tool.

    Attributes:
        tool: Its name.
        recovery: How it notices that a worker is lost.
        per_second: Exports a second, for each round.
        latencies: Seconds of each export that ran alone, for each round.
        files: The SHA-256 of the files that it made.
        aftermath: The state after the crash.
    """

    tool: str
    recovery: str
    per_second: list[float] = field(default_factory=list[float])
    latencies: list[list[float]] = field(default_factory=list[list[float]])
    files: set[str] = field(default_factory=set[str])
    aftermath: Aftermath | None = None

    @property
    def p50s(self) -> list[float]:
        """The median latency of each round, in milliseconds."""
        return [median(alone) * 1000 for alone in self.latencies]

    @property
    def p95s(self) -> list[float]:
        """The 95th percentile of the latencies of each round, in milliseconds."""
        return [quantiles(alone, n=20, method="inclusive")[-1] * 1000 for alone in self.latencies]


@dataclass(frozen=True)
class Amounts:
    """How much is done.

    Attributes:
        exports: Submitted at once, for exports a second.
        alone: One after the other, for the latency.
        in_flight: Submitted before the crash.
        rounds: How often the first two are measured.
        bound: Seconds that a tool has to recover.
    """

    exports: int = 100
    alone: int = 20
    in_flight: int = 100
    rounds: int = 1
    bound: float = 120.0
