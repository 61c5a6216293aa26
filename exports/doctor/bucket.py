"""Looks at the bucket: what the service does to it, its lifecycle rules, and its CORS rules."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.exceptions import ClientError

from exports import names
from exports.api.settings import ApiSettings
from exports.connections import check_store
from exports.doctor.check import Check, Question, Server, failed, ok, warning
from exports.errors import (
    ExportError,
    SettingsError,
    StoreAccessError,
    StoreRefusedError,
    UnreachableError,
)
from exports.runtime.threads import in_own_thread
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.storage.probe import probe_store
from exports.storage.s3 import error_code, s3_client, translate_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef

_Rule = dict[str, Any]

_PROBED_WITHIN: Final = 120.0
"""Seconds for all that the probe tries: some fifty requests, and a bucket may be far away."""
_DAYS: Final = 3
"""Days after which the bucket removes what a disaster left. No export takes as long."""
_SMALLEST: Final = "TransitionDefaultMinimumObjectSize"
"""What AWS keeps beside the rules, and sets anew if a request does not have it."""
_NO_RULES: Final = frozenset({"NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration"})


class BucketDoctor:
    """The questions about the bucket. Each blocks, and is asked in a thread of its own.

    Args:
        settings: Of a worker.
        closing: Closes the connections at the end.
    """

    def __init__(self, settings: Settings, closing: AsyncExitStack) -> None:
        self._settings = settings
        self._closing = closing
        self._connected: S3Client | None = None

    def server(self) -> Server:
        """Return the questions."""
        mend = "Check EXPORTS_S3_ENDPOINT_URL, EXPORTS_S3_BUCKET and the keys: exports probe-store"
        reach = Question("reachable", self._reachable, mend, within=_PROBED_WITHIN)
        return Server("bucket", reach, self._questions)

    def _questions(self) -> list[Question]:
        return [
            Question("probe", self._probe, "exports probe-store", within=_PROBED_WITHIN),
            Question("lifecycle", self._lifecycle, fix=self._add_rules),
            Question("cors", self._cors),
        ]

    @property
    def _client(self) -> "S3Client":
        if self._connected is None:
            raise RuntimeError("asked before it was reached")
        return self._connected

    async def _reachable(self) -> list[Check]:
        store = ObjectStore(self._settings)
        self._closing.callback(store.close)
        try:
            await check_store(store, self._settings)
        except UnreachableError:
            raise
        except ExportError:
            return await self._probe()  # it tries which setting helps
        self._connected = s3_client(self._settings, self._settings.s3_endpoint_url)
        self._closing.callback(self._connected.close)
        return [ok("reachable", f"The store takes the keys, and has {self._settings.s3_bucket!r}.")]

    async def _probe(self) -> list[Check]:
        results = await in_own_thread(
            lambda: probe_store(self._settings, thorough=False), "probe-store"
        )
        return [Check.model_validate(result.model_dump()) for result in results]

    async def _lifecycle(self) -> list[Check]:
        by_hand = _s3api("get-bucket-lifecycle-configuration", self._settings)
        try:
            found = await in_own_thread(self._lifecycle_rules, "lifecycle")
        except (StoreAccessError, StoreRefusedError) as error:
            what = f"The rules can't be read with this key: {error.msg}"
            return [warning("lifecycle", what, f"As an administrator: {by_hand}")]
        return [lifecycle(found.get("Rules", []), self._settings)]

    async def _add_rules(self) -> None:
        def add() -> None:
            # What is there stays: the request replaces everything.
            found = self._lifecycle_rules()
            rules: list[_Rule] = found.get("Rules", [])
            made = [
                rule
                for rule in missing_rules(rules, self._settings)
                if rule["ID"] not in _ids(rules)
            ]
            if not made:
                return
            kept = {_SMALLEST: found[_SMALLEST]} if _SMALLEST in found else {}
            with translate_errors(self._settings.s3_bucket):
                self._client.put_bucket_lifecycle_configuration(
                    Bucket=self._settings.s3_bucket,
                    LifecycleConfiguration={
                        "Rules": cast("list[LifecycleRuleTypeDef]", rules + made)
                    },
                    **kept,
                )

        await in_own_thread(add, "lifecycle")

    def _lifecycle_rules(self) -> dict[str, Any]:
        get = self._client.get_bucket_lifecycle_configuration
        return self._found(lambda: dict(get(Bucket=self._settings.s3_bucket)))

    async def _cors(self) -> list[Check]:
        try:
            origins = list(ApiSettings.load().api_cors_origins)
        except SettingsError:
            return []  # which is a wrong setting
        if not origins:
            return [ok("cors", "No rule is needed: EXPORTS_API_CORS_ORIGINS names no page.")]

        def get() -> dict[str, Any]:
            return dict(self._client.get_bucket_cors(Bucket=self._settings.s3_bucket))

        try:
            found = await in_own_thread(lambda: self._found(get), "cors")
        except (StoreAccessError, StoreRefusedError) as error:
            what = f"The rules can't be read with this key: {error.msg}"
            by_hand = f"As an administrator: {_s3api('get-bucket-cors', self._settings)}"
            return [warning("cors", what, by_hand)]
        return [cors(found.get("CORSRules", []), origins, self._settings)]

    def _found(self, get: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with translate_errors(self._settings.s3_bucket):
            try:
                return get()
            except ClientError as error:
                if error_code(error) in _NO_RULES:
                    return {}
                raise


def lifecycle(rules: list[_Rule], settings: Settings) -> Check:
    """Return what the lifecycle rules of a bucket mean for exports.

    Args:
        rules: As S3 returns them.
        settings: With the prefix, and how long files are kept.
    """
    files = settings.s3_prefix + names.FILES
    for rule in rules:
        days, prefix = rule.get("Expiration", {}).get("Days"), _prefix(rule)
        reaches = prefix is not None and (files.startswith(prefix) or prefix.startswith(files))
        if days is not None and reaches and days * 86_400 < settings.retention.total_seconds():
            what = f"The rule {rule.get('ID')!r} removes files after {days} days: too early."
            return failed("lifecycle", what, "Change the rule, or make EXPORTS_RETENTION shorter.")
    missing: list[str] = [rule["ID"] for rule in missing_rules(rules, settings)]
    if not missing:
        return ok("lifecycle", "The bucket removes staged parts and uploads that were left.")
    what = f"No rule for {' and '.join(missing)} is in force: what a disaster left stays."
    changed = [name for name in missing if name in _ids(rules)]
    mends: list[str] = []
    if changed:
        mends.append(f"Somebody switched off or changed {' and '.join(changed)}: undo it by hand.")
    if len(changed) < len(missing):
        mends.append("exports doctor --fix, with keys that may change the rules of the bucket")
    return warning("lifecycle", what, " ".join(mends))


def missing_rules(rules: list[_Rule], settings: Settings) -> list[_Rule]:
    """Return the rules that a bucket should have and that none of its rules stands for.

    Args:
        rules: Those that it has, as S3 returns them.
        settings: With the prefix.
    """
    prefix = settings.s3_prefix
    staging, files = prefix + names.STAGING, prefix + names.FILES
    # Ids are unique in a bucket, which others may use under other prefixes.
    of = f"-{prefix.rstrip('/')}" if prefix else ""
    missing: list[_Rule] = []
    if not any(staging.startswith(start) for start in _prefixes(rules, "Expiration")):
        missing.append(
            {
                "ID": f"staged-parts-that-a-disaster-left{of}",
                "Status": "Enabled",
                "Filter": {"Prefix": staging},
                "Expiration": {"Days": _DAYS},
            }
        )
    aborted = list(_prefixes(rules, "AbortIncompleteMultipartUpload"))
    if not all(any(key.startswith(start) for start in aborted) for key in (staging, files)):
        missing.append(
            {
                "ID": f"incomplete-multipart-uploads{of}",
                "Status": "Enabled",
                "Filter": {"Prefix": prefix},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _DAYS},
            }
        )
    return missing


def _ids(rules: list[_Rule]) -> set[str | None]:
    return {rule.get("ID") for rule in rules}


def _prefixes(rules: list[_Rule], action: str) -> Iterator[str]:
    for rule in rules:
        prefix = _prefix(rule)
        if action in rule and prefix is not None:
            yield prefix


def _prefix(rule: _Rule) -> str | None:
    """Return what the keys begin with; None if the rule is off, or asks for more than a prefix."""
    if rule.get("Status") != "Enabled":
        return None
    conditions: _Rule = rule.get("Filter", rule)  # without a filter, in the form of before 2016
    if conditions.keys() & {"And", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}:
        return None
    prefix: str = conditions.get("Prefix", "")
    return prefix


def cors(rules: list[_Rule], origins: list[str], settings: Settings) -> Check:
    """Return whether pages of these origins may download files by `fetch`.

    Args:
        rules: The CORS rules of the bucket, as S3 returns them.
        origins: The origins.
        settings: With the bucket and its address.
    """
    allowed = [
        pattern
        for rule in rules
        if "GET" in rule.get("AllowedMethods", [])
        for pattern in rule.get("AllowedOrigins", [])
    ]
    refused = [
        origin for origin in origins if not any(fnmatchcase(origin, pattern) for pattern in allowed)
    ]
    if not refused:
        return ok("cors", f"Pages of {', '.join(origins)} may download by fetch.")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": refused, "AllowedHeaders": ["*"]}
    return warning(
        "cors",
        f"Pages of {', '.join(refused)} can't download by fetch; links that people follow work.",
        f"{_s3api('put-bucket-cors', settings)} --cors-configuration "
        f"{shlex.quote(json.dumps({'CORSRules': [*rules, rule]}))}",
    )


def _s3api(command: str, settings: Settings) -> str:
    endpoint = ' --endpoint-url "$EXPORTS_S3_ENDPOINT_URL"' if settings.s3_endpoint_url else ""
    return f"aws s3api {command} --bucket {settings.s3_bucket}{endpoint}"
