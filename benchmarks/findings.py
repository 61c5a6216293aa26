"""For each goal that is missed: what the limit is, and how that was established."""

from typing import Final

FINDINGS: Final[dict[tuple[str, str], str]] = {}
"""By name of the benchmark and of the figure."""
