"""What benchmarks found: figures beside a reference of the same run, kept from run to run."""

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
    """What a figure is to be.

    Attributes:
        side: Whether it may be as much as the bound at most, or at least.
        bound: The bound itself.
        of: What is held against it: the ratio to the reference, or our own figure.
    """

    side: Literal["at most", "at least"]
    bound: float
    of: Literal["ratio", "figure"] = "ratio"

    def met_by(self, figure: float) -> bool:
        """Return whether a figure is on the right side of the bound."""
        return figure <= self.bound if self.side == "at most" else figure >= self.bound


class Row(_Frozen):
    """One figure, measured several times.

    Attributes:
        what: What was measured.
        unit: Of the figures.
        ours: The figure of each run.
        reference: That of the reference in the same run; empty if there is none.
        beside: What the reference is.
        goal: What the figure is to be, if anything was asked of it.
    """

    what: str
    unit: str
    ours: list[float]
    reference: list[float] = []
    beside: str = ""
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
        notes: What else there is to say, in Markdown, one paragraph or table each.
    """

    rows: list[Row]
    notes: list[str] = []


class Record(_Frozen):
    """One benchmark as it was run last, with all that is needed to run it again.

    Attributes:
        name: What the command line calls it.
        about: What it compares.
        command: What was typed.
        at: When it ended.
        seconds: How long it took.
        machine: What it ran on.
        versions: Of what took part.
        outcome: What it found.
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
        """Return what was kept; nothing if there is nothing yet."""
        return cls.model_validate_json(kept.read_text("utf-8")) if kept.exists() else cls()

    def with_record(self, record: Record) -> "Results":
        """Return these with a record in place of the one before."""
        return Results(records=self.records | {record.name: record})

    def save(self, kept: Path = _KEPT) -> None:
        """Keep them for the next run."""
        kept.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def now() -> datetime:
    """Return the time to the second."""
    return datetime.now(UTC).replace(microsecond=0)
