"""Settings of a test on the servers of the run."""

from datetime import timedelta
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.paths import REPORTS


def settings_of(
    endpoints: Endpoints, *, database: str, prefix: str, task_queue: str, reports: Path = REPORTS
) -> Settings:
    """Return settings with a database, a prefix of all keys and a task queue of one's own."""
    own = {"mongo_database": database, "s3_prefix": prefix, "task_queue": task_queue}
    return _shared(endpoints).model_copy(update=own | {"reports_file": reports})


@cache  # to make settings takes as long as a short test
def _shared(endpoints: Endpoints) -> Settings:
    return Settings(
        mongo_uri=SecretStr(endpoints.mongo_uri),
        mongo_database="each-has-its-own",
        s3_endpoint_url=endpoints.s3_endpoint_url,
        s3_bucket=endpoints.s3_bucket,
        s3_region=endpoints.s3_region,
        s3_access_key_id=endpoints.s3_access_key_id,
        s3_secret_access_key=endpoints.s3_secret_access_key,
        s3_addressing_style="path",
        # Most tests ask for the same export again and again, and mean another one.
        join_within=timedelta(0),
        # ... and sweep again, and mean the whole bucket.
        orphans_every=timedelta(0),
        quota_open=0,
        quota_per_day=0,
    )
