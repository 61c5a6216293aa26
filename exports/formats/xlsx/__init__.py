"""Excel workbooks (xlsx)."""
