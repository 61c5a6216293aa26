"""A download over a connection that is cut leaves the whole file under its name, or none."""

import hashlib
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from exports import download as downloads
from exports.download import download
from exports.errors import DownloadError, UnreachableError
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.tasks.task import ExportTask
from tests.support.chaos.certificates import Certificates
from tests.support.chaos.proxy import BlackHole, Fault, Flip, Refused, Reset, proxy_to
from tests.support.protections import protected_by

SIZE = 3_000_000
OLD = b"what was here before"
FAULTS = [
    *(Reset(after, toward="client") for after in (0, 100, 5_000, SIZE // 2, SIZE - 1)),
    Reset(after=0, toward="server"),
    Flip(after=SIZE // 2, toward="client"),
    BlackHole(),
    Refused(),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@protected_by("exports/download.py", "if digest != task.sha256:", instead="if False:")
def test_a_download_leaves_no_half_file_under_its_name(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    fault: Fault,
) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT", 2)
    certificates = Certificates.made_in(tmp_path)
    tls = certificates.server if scheme == "https" else None
    with proxy_to(str(settings.s3_endpoint_url), tls) as wire:
        store = ObjectStore(
            settings.model_copy(
                update={
                    "s3_endpoint_url": f"{scheme}://{wire.address}",
                    "s3_ca_bundle": certificates.ca,
                }
            )
        )
        data = hashlib.shake_128(b"file").digest(SIZE)
        uploaded = store.upload(
            "files/a", [data], media_type="text/csv", file_name="a.csv", stop=threading.Event()
        )
        task = ExportTask.model_validate(
            {
                "id": "t1",
                "status": "done",
                "fileName": "a.csv",
                "sha256": uploaded.sha256,
                "downloadUrl": store.link("files/a", file_name="a", ttl=timedelta(minutes=5)).url,
            }
        )
        store.close()
        folder = tmp_path / "here"
        folder.mkdir()
        target = folder / "a.csv"
        target.write_bytes(OLD)
        wire.suffer(fault)
        with pytest.raises((DownloadError, UnreachableError)):
            download(task, folder, ca_bundle=certificates.ca)
        assert target.read_bytes() == OLD
        assert list(folder.iterdir()) == [target]
        wire.recover()
        assert download(task, folder, ca_bundle=certificates.ca).read_bytes() == data
