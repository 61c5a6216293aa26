"""The short form of the suite, which every test run has, and the long one."""

import os
from typing import Final

LONG: Final = any(os.environ.get(name) for name in ("EXPORTS", "KILLS"))
"""Whether the long form was asked for: `EXPORTS=500 KILLS=200 make chaos`."""

SEED: Final = os.environ.get("SEED") or "20261001"
"""Decides all that is left to chance: whom a storm kills, what the short form leaves out.

Fixed unless one is given, so that a run that failed in CI can be repeated: `SEED=... make chaos`.
"""
