"""The column types of row-level reports."""

from typing import Literal

ColumnType = Literal[
    "text", "integer", "number", "decimal", "boolean", "datetime", "date", "id", "json"
]
"""The type of a column; `exports.source.values` has the rule for each."""
OnMismatch = Literal["fail", "text", "null"]
"""What happens to a value that does not fit its column's type."""
