"""Tries everything that this service ever asks of a bucket, and says what would mend the rest."""

from collections.abc import Iterator
from typing import Final

from exports.errors import (
    BucketMissingError,
    ClockError,
    ExportError,
    StoreAccessError,
    StoreRefusedError,
    StoreUnavailableError,
)
from exports.models import WireModel
from exports.settings import Settings
from exports.storage.probe_links import Found, Outcome, Step
from exports.storage.probe_steps import RIGHTS, ProbeSteps

_NEEDED: Final = ("list", "put", "get", "delete")
"""Without these nothing else can be tried, or what was written could not be removed."""
_CHECKSUMS: Final = ("s3_checksums", ("when_required", "when_supported"))
_OTHERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "list": ("s3_addressing_style", ("virtual", "path")),
    "put": _CHECKSUMS,
    "upload": _CHECKSUMS,
    "link": ("s3_public_endpoint_is_bucket", ("on", "off")),
    "three parts": _CHECKSUMS,
}
"""With which values of a setting a step may succeed that did not."""
_MENDS: Final[dict[type[ExportError], str]] = {
    BucketMissingError: "Create the bucket, or correct EXPORTS_S3_BUCKET, EXPORTS_S3_REGION and "
    "EXPORTS_S3_ENDPOINT_URL.",
    StoreAccessError: "Check EXPORTS_S3_ACCESS_KEY_ID, EXPORTS_S3_SECRET_ACCESS_KEY and "
    f"EXPORTS_S3_REGION. {RIGHTS}",
    StoreRefusedError: "Check EXPORTS_S3_REGION and EXPORTS_S3_ENDPOINT_URL.",
    StoreUnavailableError: "Check EXPORTS_S3_ENDPOINT_URL, and that the store answers there.",
    ClockError: "Let NTP set the clock of this machine.",
}


class ProbeResult(WireModel):
    """What became of one thing that was asked of the bucket.

    Attributes:
        name: What was tried.
        outcome: `warning`: exports work, but something costs more or could not be tried.
        what: What was found, for people. It names no link, no key and no credentials.
        mend: What would mend it, such as a setting; None if nothing has to be mended, or if
            nothing is known that would.
    """

    name: str
    outcome: Outcome
    what: str
    mend: str | None = None


def probe_store(settings: Settings, *, thorough: bool = True) -> list[ProbeResult]:
    """Try what this service asks of a bucket, and remove what was written for it.

    It blocks for seconds, or for a minute if the store is far away or ends no links. It ends at the
    first failure without which nothing else can be tried.

    Args:
        settings: Those of a worker, which may write, read, list and remove.
        thorough: Also list 1,001 objects, upload a file of three parts (33 MiB), and wait for the
            end of a link.

    Raises:
        SettingsError: The settings can't be used.
    """
    steps = ProbeSteps(settings)
    results: list[ProbeResult] = []
    try:
        for name, step in steps.all(thorough=thorough).items():
            found = _tried(name, step)
            if found is None:
                continue
            if found.outcome != "ok" and (helps := _what_helps(name, settings)):
                found = found.model_copy(update={"mend": helps})
            results.append(found)
            if found.outcome == "failed" and name in _NEEDED:
                break
    finally:  # also after Ctrl-C
        cleaned = _tried("clean-up", steps.clean_up)
        steps.close()
    if cleaned is not None and (results[-1].name, results[-1].outcome) != ("put", "failed"):
        results.append(cleaned)
    return results


def _tried(name: str, step: Step) -> ProbeResult | None:
    try:
        found = step()
    except ExportError as error:
        found = Found("failed", f"{error.code}: {error.msg}", _MENDS.get(type(error)))
    if found is None:
        return None
    return ProbeResult(name=name, outcome=found.outcome, what=found.what, mend=found.mend)


def _what_helps(name: str, settings: Settings) -> str | None:
    """Return another value of a setting with which a step holds; None if there is none."""
    for said, others in _others(name, settings):
        steps = ProbeSteps(others)
        every = steps.all()
        try:
            if name == "link":
                _tried("upload", every["upload"])
            tried = _tried(name, every[name])
        finally:
            _tried("clean-up", steps.clean_up)
            steps.close()
        if tried is not None and tried.outcome == "ok":
            return f"Set {said}: it was tried, and helps."
    return None


def _others(name: str, settings: Settings) -> Iterator[tuple[str, Settings]]:
    if name not in _OTHERS or (name == "link" and settings.s3_public_endpoint_url is None):
        return
    setting, values = _OTHERS[name]
    for text in values:
        value = {"on": True, "off": False}.get(text, text)
        if value != getattr(settings, setting):
            yield f"EXPORTS_{setting.upper()}={text}", settings.model_copy(update={setting: value})
