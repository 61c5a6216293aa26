"""`worker.py` that takes no steps and only watches, for the test that kills it.

python -m tests.support.chaos.watching_entry
"""

from unittest.mock import patch

from temporalio.worker import Worker

import worker
from exports.runtime.process import end


def _none(*_: object) -> list[Worker]:
    return []


if __name__ == "__main__":
    with patch.object(worker, "create_workers", _none):
        end(worker.main())
