"""The results of benchmarks: figures and references from the same run, stored in results.json."""

from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

DIRECTORY: Final = Path(__file__).resolve().parent
_KEPT: Final = DIRECTORY / "results.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Goal(_Frozen):
    """The goal for a figure.

    Attributes:
        side: Whether the bound is the largest or the smallest value that is good enough.
        bound: The bound itself.
        of: What is compared with the bound: the ratio to the reference, or our own figure.
    """

    side: Literal["at most", "at least"]
    bound: float
    of: Literal["ratio", "figure"] = "ratio"

    def met_by(self, figure: float) -> bool:
        """Return whether a figure meets the goal."""
        return figure <= self.bound if self.side == "at most" else figure >= self.bound


class Row(_Frozen):
    """One figure, measured several times.

    Attributes:
        what: What was measured.
        unit: The unit of the figures.
        ours: The figure of each run.
        reference: The figure of the reference in each run; empty if there is no reference.
        reference_name: What the reference is.
        goal: The goal for the figure; None if there is none.
    """

    what: str
    unit: str
    ours: list[float]
    reference: list[float] = []
    reference_name: str = ""
    goal: Goal | None = None

    @property
    def figure(self) -> float:
        """Our figure: the median of the runs."""
        return median(self.ours)

    @property
    def reference_figure(self) -> float | None:
        """The figure of the reference: the median of the runs."""
        return median(self.reference) if self.reference else None

    @property
    def ratio(self) -> float | None:
        """Ours to the reference's: the median of the ratios of each run."""
        if not self.reference:
            return None
        return median(mine / theirs for mine, theirs in zip(self.ours, self.reference, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        if self.goal is None:
            return None
        figure = self.ratio if self.goal.of == "ratio" else self.figure
        return figure is not None and self.goal.met_by(figure)


class Outcome(_Frozen):
    """What one benchmark found.

    Attributes:
        rows: Its figures.
        notes: More about the results, in Markdown: one paragraph or table each.
    """

    rows: list[Row]
    notes: list[str] = []


class Record(_Frozen):
    """The last run of one benchmark, with everything that is needed to repeat it.

    Attributes:
        name: What the command line calls it.
        about: What it compares.
        command: The command that started it.
        at: When it ended.
        seconds: How long it took.
        machine: What it ran on.
        versions: The versions of the software.
        outcome: Its results.
    """

    name: str
    about: str
    command: str
    at: datetime
    seconds: float
    machine: str
    versions: dict[str, str]
    outcome: Outcome


class Results(_Frozen):
    """The last record of each benchmark."""

    records: dict[str, Record] = {}

    @classmethod
    def load(cls, kept: Path = _KEPT) -> Self:
        """Return the stored results; empty if there are none yet."""
        return cls.model_validate_json(kept.read_text("utf-8")) if kept.exists() else cls()

    def with_record(self, record: Record) -> "Results":
        """Return these results with a new record in place of the old one of the same name."""
        return Results(records=self.records | {record.name: record})

    def save(self, kept: Path = _KEPT) -> None:
        """Store them for the next run."""
        kept.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def now() -> datetime:
    """Return the present time, without fractions of a second."""
    return datetime.now(UTC).replace(microsecond=0)
