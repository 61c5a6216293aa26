"""The same export on Temporal, Celery, DBOS and procrastinate, side by side."""
