"""Paths in a checkout."""

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
REPORTS: Final = REPOSITORY / "exports.toml"
HISTORIES: Final = REPOSITORY / "tests" / "histories"
DATA: Final = REPOSITORY / "tests" / "data"
