"""What a column of a row-level report may hold."""

from typing import Literal

ColumnType = Literal[
    "text", "integer", "number", "decimal", "boolean", "datetime", "date", "id", "json"
]
"""What a column holds; `exports.source.values` has the rule for each."""
OnMismatch = Literal["fail", "text", "null"]
"""What becomes of a value that does not fit its column's type."""
