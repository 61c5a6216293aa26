"""The embedded database, with a fault of it kept small: `python -P secantusd.py OPTION...`.

It keeps what it answered to each write of the last thirty minutes, in case a driver repeats one,
and goes through all of that before and after every write
(`docs/upstream/secantusdb-repeated-writes.md`). A driver repeats a write within seconds.
"""

import sys
from typing import Final

from secantus import cli, transactions

KEPT_SECONDS: Final = 30.0

transactions.__dict__["_RETRYABLE_RECORD_LIFETIME_SECONDS"] = KEPT_SECONDS

if __name__ == "__main__":
    sys.exit(cli.main())
