"""The types of columns, what happens to values of another type, and how reads belong together."""

from typing import Literal

ColumnType = Literal[
    "text", "integer", "number", "decimal", "boolean", "datetime", "date", "id", "json"
]
"""The type of a column of a row-level report; `exports.source.values` has the rule for each."""
GroupType = Literal["text", "number", "datetime", "boolean", "id"]
"""The type of a group of statistics; `exports.reports.stats.pipeline` has the rule for each."""
OnMismatch = Literal["fail", "text", "null"]
"""What happens to a value that does not fit its column's type."""
Consistency = Literal["causal", "snapshot"]
"""How the reads of an export belong together: see `exports.source.database.Source.at`."""
NotFrozen = Literal["a view", "a time series", "_id"]
"""Why the greatest `_id` of a collection does not tell what was inserted later."""
