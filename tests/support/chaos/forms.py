"""The short form of the fault suite, for each CI run, and the long one."""

import os
from typing import Final

LONG: Final = any(os.environ.get(name) for name in ("EXPORTS", "KILLS"))
"""Whether the long form was requested: `EXPORTS=500 KILLS=200 make chaos`."""

SEED: Final = os.environ.get("SEED") or "20261001"
"""The seed of everything random: which worker a storm kills, what the short form leaves out.

Fixed unless one is given, so that a run that failed in CI can be repeated: `SEED=... make chaos`.
"""
