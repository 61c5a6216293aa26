"""Looks at the settings: those that are wrong, and those that no program knows."""

import difflib
import os
import re
from typing import Final

from exports.api.settings import ApiSettings
from exports.codec_server.settings import CodecSettings
from exports.doctor.check import Check, failed, ok, warning
from exports.environment import PREFIX, EnvironmentSettings
from exports.errors import SettingsError
from exports.settings import Settings

PROGRAMS: Final[tuple[type[EnvironmentSettings], ...]] = (Settings, ApiSettings, CodecSettings)
"""The settings of all programs."""
_OF_CLIENTS: Final = re.compile(f"{PREFIX}(API_(URL|TOKEN(_\\w+)?)|TEST_\\w+)")
"""What the clients of docs/clients.md, `make dev` and the tests read."""
_OF_KUBERNETES: Final = re.compile(
    f"{PREFIX}(\\w+_)?(SERVICE_(HOST|PORT(_\\w+)?)=.*"
    "|PORT(_\\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*|=(tcp|udp|sctp)://.*))",
    re.DOTALL,
)
"""What Kubernetes sets, if there is a Service `exports` or `exports-…`, also when nobody reads it:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""


def check_settings() -> tuple[Settings | None, list[Check]]:
    """Check the environment; return also the settings, if they can be used."""
    settings: Settings | None = None
    wrong: dict[str, str] = {}
    for program in PROGRAMS:
        # The codec server needs variables that nobody else has.
        if program is CodecSettings and not any(map(_of_codec_server, os.environ)):
            continue
        try:
            loaded = program.load()
        except SettingsError as error:
            wrong = error.fields | wrong
        else:
            settings = loaded if isinstance(loaded, Settings) else settings
    checks = [
        failed(name, f"{problem[0].upper()}{problem[1:]}.", f"export {name}=…")
        for name, problem in wrong.items()
    ]
    checks += _unknown()
    if not wrong:
        known = {name for program in PROGRAMS for name in program.variables()}
        count = sum(1 for name in os.environ if name in known)
        checks.insert(0, ok("environment", f"{count} variables are set, and all can be used."))
    return settings, checks


def _of_codec_server(name: str) -> bool:
    return name.startswith(f"{PREFIX}CODEC_") and bool(os.environ[name])


def _unknown() -> list[Check]:
    known = {name for program in PROGRAMS for name in program.variables()}
    found: list[Check] = []
    for name, value in sorted(os.environ.items()):
        others = _OF_CLIENTS.fullmatch(name) or _OF_KUBERNETES.fullmatch(f"{name}={value}")
        if name.startswith(PREFIX) and name not in known and not others:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Is {close[0]} meant?" if close else ""
            found.append(warning(name, f"No program reads it.{hint}", f"unset {name}"))
    return found
