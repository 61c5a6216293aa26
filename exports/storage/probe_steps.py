"""The steps of a probe of the bucket: each tries one thing, in the way that an export does it.

They write under two prefixes of their own, `staging/probe-…/` and `files/probe-…/`. The keys are
built like those of an export without a task, so that the sweep removes what is left of a probe that
was killed.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from threading import Event
from typing import Final

from exports import names
from exports.errors import StoreAccessError
from exports.settings import Settings
from exports.storage.bucket import ObjectStore, StoredObject
from exports.storage.probe_links import Found, LinkSteps, Step
from exports.storage.s3 import s3_client, translate_errors
from exports.storage.upload import PART_SIZE, FileUpload

RIGHTS: Final = "Give the access key the rights of a worker: see docs/access.md."
_RUN: Final = "probe"
_DATA: Final = bytes(range(256)) * 4
_PAGE: Final = 1000
"""How many objects a store lists at once."""
_IN_FLIGHT: Final = 16
"""How many objects are written at the same time."""
_LOOKS: Final = 5
"""How often an incomplete listing is asked for again, each time a second later."""


class ProbeSteps:
    """The steps, and the clean-up after them. A step raises an `ExportError` if the store refuses.

    Args:
        settings: Those of a worker.

    Raises:
        SettingsError: The settings can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._written: list[str] = []
        self._settings = settings
        self._store = ObjectStore(settings)
        self._client = s3_client(settings, settings.s3_endpoint_url)
        self._bucket = settings.s3_bucket
        self._task = names.new_probe_id()

    def all(self, *, thorough: bool = True) -> dict[str, Step]:
        """Return the steps by their names, in the order in which they are to be tried."""
        links = LinkSteps(self._settings, self._store, _DATA)
        steps: dict[str, Step] = {
            "list": self._list,
            "put": self._put,
            "get": self._get,
            "delete": self._delete,
            "range": self._range,
            "head": self._head,
            "abort": self._abort,
            "upload": partial(self._upload, links),
            "link": links.link,
            "link: range": links.range,
            "link: no signature": links.unsigned,
        }
        if thorough:
            steps |= {
                "three parts": self._three_parts,
                "1,001 objects": self._many,
                "link: ended": links.ended,
            }
        return steps

    def clean_up(self) -> Found | None:
        """Remove everything that was written, if anything was."""
        if not self._written:
            return None
        self._store.remove_all(self._written)
        left = 0
        for root in (names.STAGING, names.FILES):
            own = names.run_prefix(root, self._task, _RUN)
            for find in (self._store.open_uploads, self._store.objects):
                for item in find(own):
                    self._store.remove(item)
                left += sum(1 for _ in find(own))
        if left:
            return Found(
                "failed", f"{left:,} objects are left under {self._task}/.", "Remove them."
            )
        return Found("ok", "Nothing is left of what was written.")

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
        self._client.close()

    def _list(self) -> Found:
        self._store.check()
        return Found("ok", "The bucket is there, and its objects can be listed.")

    def _put(self) -> Found:
        self._put_part()
        return Found("ok", "An object can be written.")

    def _get(self) -> Found:
        if self._store.get(self._put_part()) != _DATA:
            return Found("failed", "An object is not read as it was written.")
        return Found("ok", "An object is read as it was written.")

    def _delete(self) -> Found:
        key = self._put_part()
        for _ in range(2):
            self._store.remove(StoredObject(key, datetime.now(UTC)))
        if self._store.size(key) is not None:
            return Found("failed", "An object that was removed is still there.")
        return Found("ok", "An object can be removed, also twice.")

    def _range(self) -> Found:
        if self._store.get(self._put_part(), first_bytes=100) != _DATA[:100]:
            return Found("failed", "The first bytes of an object can't be read alone.")
        return Found("ok", "The first bytes of an object can be read alone.")

    def _head(self) -> Found:
        size = self._store.size(self._put_part())
        if size != len(_DATA):
            return Found("failed", f"An object of {len(_DATA):,} bytes counts as {size} bytes.")
        try:
            self._store.size(self._new_part())
        except StoreAccessError:
            return Found(
                "failed", "For a missing object the answer is that access is denied.", RIGHTS
            )
        return Found("ok", "The size of an object is known, and that another one is missing.")

    def _upload(self, links: LinkSteps) -> Found:
        key = self._new_file()
        found = self._send(key, [_DATA], links.file_name)
        links.key = key
        return found

    def _three_parts(self) -> Found:
        parts = [bytes(PART_SIZE), bytes(PART_SIZE), _DATA]
        return self._send(self._new_file(), parts, "probe.csv")

    def _send(self, key: str, pieces: list[bytes], file_name: str) -> Found:
        reads: list[str] = []
        client = s3_client(self._settings, self._settings.s3_endpoint_url)

        def read(**_: object) -> None:
            reads.append(key)

        client.meta.events.register("before-call.s3.GetObject", read)
        upload = FileUpload(
            client,
            bucket=self._bucket,
            key=self._named(key),
            media_type="text/csv",
            file_name=file_name,
            stop=Event(),
            checksums=self._settings.s3_checksums == "when_supported",
            abort=lambda upload: self._store.remove(StoredObject(key, datetime.now(UTC), upload)),
        )
        with closing(client), translate_errors(self._bucket):
            upload.write(pieces)
        if self._store.size(key) != sum(map(len, pieces)):
            return Found("failed", "A file does not have the size that was sent.")
        if reads:
            return Found(
                "warning",
                "A file can be written, but neither its ETag nor a checksum proves what the store "
                "holds: each file is read back once.",
            )
        return Found("ok", "A file can be written, and the answer proves what the store holds.")

    def _abort(self) -> Found:
        key = self._new_file()
        bucket, named = self._bucket, self._named(key)
        with translate_errors(bucket):
            begun = self._client.create_multipart_upload(Bucket=bucket, Key=named)
            upload = StoredObject(key, datetime.now(UTC), begun["UploadId"])
            self._client.upload_part(
                Bucket=bucket, Key=named, UploadId=begun["UploadId"], PartNumber=1, Body=_DATA
            )
        own = names.run_prefix(names.FILES, self._task, _RUN)
        listed = [item.upload_id for item in self._store.open_uploads(own)]
        for _ in range(2):
            self._store.remove(upload)
        if upload.upload_id not in listed:
            return Found(
                "warning",
                "An upload that is not complete is not listed, so that the sweep can't remove it.",
                "Give the bucket the lifecycle rules in compose/bucket-lifecycle.json.",
            )
        if any(True for _ in self._store.open_uploads(own)):
            return Found("failed", "An upload that was aborted is still there.")
        return Found("ok", "An upload that is not complete is listed, and can be aborted twice.")

    def _many(self) -> Found:
        keys = [self._new_part() for _ in range(_PAGE + 1)]
        with ThreadPoolExecutor(_IN_FLIGHT, "probe") as pool:
            for _ in pool.map(self._store.put, keys, repeat(_DATA)):
                pass
        own = names.run_prefix(names.STAGING, self._task, _RUN)
        missing = set(keys)
        for seconds in range(_LOOKS):
            if seconds:
                time.sleep(1)
            missing = set(keys).difference(item.key for item in self._store.objects(own))
            if not missing and seconds:
                late = f"Objects are listed up to {seconds} s after they were written."
                return Found("warning", late, "Nothing: a sweep removes what is listed too late.")
            if not missing:
                return Found("ok", f"{len(keys):,} objects are listed: more than one page.")
        return Found(
            "failed", f"{len(missing):,} of {len(keys):,} objects are missing in the listing."
        )

    def _named(self, key: str) -> str:
        return self._settings.s3_prefix + key

    def _put_part(self) -> str:
        key = self._new_part()
        self._store.put(key, _DATA)
        return key

    def _new_part(self) -> str:
        key = names.staged_part_key(self._task, _RUN, unit="probe", attempt="1", index=0)
        self._written.append(key)
        return key

    def _new_file(self) -> str:
        key = names.file_key(self._task, _RUN, attempt="1", extension="csv")
        self._written.append(key)
        return key
