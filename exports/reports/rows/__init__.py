"""Row-level reports: a row per document."""
