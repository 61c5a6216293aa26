"""How much a benchmark does: all of it, a few minutes of it, or just enough to see that it runs."""

from dataclasses import dataclass
from typing import Literal, TypeVar

Extent = Literal["full", "quick", "smoke"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        extent: `full` gives the figures that are stored; `quick` takes a few minutes; `smoke`
            takes seconds, and its figures mean nothing.
        asked_runs: How often each thing is to be measured; None for the default of the extent.
    """

    extent: Extent = "full"
    asked_runs: int | None = None

    @property
    def runs(self) -> int:
        """How often each thing is measured."""
        return self.asked_runs or self.pick(full=3, quick=1, smoke=1)

    def pick(self, *, full: _T, quick: _T, smoke: _T) -> _T:
        """Return the value for the extent."""
        return {"full": full, "quick": quick, "smoke": smoke}[self.extent]
