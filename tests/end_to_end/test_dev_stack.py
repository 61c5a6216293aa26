"""What `make dev` promises, and what the tests rely on: the embedded servers."""

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from dev import binaries, object_store, ports
from dev.endpoints import Endpoints
from dev.http_api import kept_tokens
from dev.process import CrashError, Process
from dev.servers import Servers
from dev.stack import CURL, OCTOBER
from exports.names import TOKENS_COLLECTION
from tests.support import dev_stack, processes
from tests.support.dev_stack import crash_of, output_of, wait_until_ready
from tests.support.paths import REPOSITORY
from tests.support.processes import running, running_with_few_orders


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for kept data, with ports of its own."""
    return dev_stack.with_other_ports(tmp_path / "it's kept here")


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def in_a_shell(file: Path, command: str) -> str:
    """Run a command in a shell whose only variables are those of the file."""
    return subprocess.run(  # noqa: S603 -- our own commands
        ["/bin/sh", "-c", f"set -a; . {shlex.quote(str(file))}; {command}"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_process_that_ends_by_itself_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process(
        "The printer",
        ["/bin/sh", "-c", "seq 100; echo out of paper >&2; exit 3"],
        log=tmp_path / "log",
        environment={"PATH": os.defpath},
        cwd=tmp_path,
    )
    said = crash_of(process.check)
    process.stop()
    assert said.startswith("The printer ended with exit code 3.")
    assert said.splitlines()[-2:] == ["    100", "    out of paper"]
    assert len(said.splitlines()) < 20


def test_without_a_temporal_cli_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nothing)
    # With a proxy that does not exist, the download fails on every machine.
    monkeypatch.setenv("HTTPS_PROXY", f"http://{ports.LOOPBACK}:9")
    monkeypatch.setattr(binaries, "_DOWNLOADS", tmp_path)
    with pytest.raises(CrashError, match="Install `temporal` from"):
        binaries.temporal()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = Process(
        "The process",
        ["/bin/sh", "-c", "trap '' TERM INT HUP; echo $$ > pid; while :; do sleep 1; done"],
        log=tmp_path / "log",
        environment={"PATH": os.defpath},
        cwd=tmp_path,
        grace=0.2,
    )
    file = tmp_path / "pid"
    processes.wait_until(lambda: file.exists() and bool(file.read_text()), seconds=150)
    process.stop()
    assert not processes.is_alive(int(file.read_text()))


def test_servers_start_again_if_another_program_takes_a_port_first(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices: list[dict[str, int]] = []
    choose = ports.choose

    def choose_badly_once(preferred: dict[str, int]) -> dict[str, int]:
        choices.append(choose(preferred))
        if len(choices) == 1:
            choices[0]["temporal"] = taken.getsockname()[1]
        return choices[-1]

    with socket.create_server((ports.LOOPBACK, 0)) as taken:
        monkeypatch.setattr(ports, "choose", choose_badly_once)
        with Servers(mongo_uri=endpoints.mongo_uri) as servers:
            assert servers.endpoints.mongo_uri == endpoints.mongo_uri, "which runs elsewhere"
    assert len(choices) == 2


def test_data_keys_and_ports_are_kept_and_a_port_that_is_not_free_is_replaced(
    data_dir: Path,
) -> None:
    with Servers(data_dir) as servers:
        first = servers.endpoints
        s3 = object_store.connect(first)
        s3.put_object(Bucket=first.s3_bucket, Key="a", Body=b"kept")
        s3.close()
        with MongoClient[dict[str, Any]](first.mongo_uri) as mongo:
            mongo["kept"]["kept"].insert_one({"_id": 1})

    taken = socket.create_server((ports.LOOPBACK, port_of(first.s3_endpoint_url)))
    with taken, Servers(data_dir) as servers:
        second = servers.endpoints
        s3 = object_store.connect(second)
        body = s3.get_object(Bucket=second.s3_bucket, Key="a")["Body"].read()
        s3.close()
        with MongoClient[dict[str, Any]](second.mongo_uri) as mongo:
            documents = list(mongo["kept"]["kept"].find())

    assert (body, documents) == (b"kept", [{"_id": 1}])
    assert second.s3_secret_access_key == first.s3_secret_access_key
    assert second.s3_endpoint_url != first.s3_endpoint_url
    assert second.mongo_uri == first.mongo_uri
    assert second.temporal_address == first.temporal_address


def test_make_dev_runs_until_sigterm_and_a_second_one_does_not_start(
    data_dir: Path,
) -> None:
    file = data_dir / "env"
    with running_with_few_orders("dev.stack", "--data-dir", str(data_dir)) as first:
        wait_until_ready(first, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        told = in_a_shell(file, "printenv TEMPORAL_ADDRESS EXPORTS_S3_BUCKET EXPORTS_REPORTS_FILE")
        address, bucket, reports = told.splitlines()
        assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
        assert (bucket, reports) == ("exports", str(REPOSITORY / "exports.toml"))
        public, api = in_a_shell(file, "printenv EXPORTS_PUBLIC_URL EXPORTS_API_URL").splitlines()
        assert public == api, "messages lead to the files"

        for name, uid in (("", "u1"), ("_U2", "u2"), ("_OPERATOR", "operator")):
            curl = CURL.replace("EXPORTS_API_TOKEN", f"EXPORTS_API_TOKEN{name}")
            data = json.loads(in_a_shell(file, f"{curl}/me"))["data"]
            assert (data["uid"], data["operator"]) == (uid, uid == "operator")
            assert bool(data["webUi"]) == (uid == "operator")
        created = json.loads(in_a_shell(file, f"{CURL}/exports{OCTOBER}"))
        assert (created["data"]["type"], created["data"]["createdBy"]) == ("statsMonthly", "u1")

        with running_with_few_orders("dev.stack", "--data-dir", str(data_dir)) as second:
            assert "It is already running" in output_of(second)
            assert second.returncode == 2
        assert file.exists()
        assert first.poll() is None

        left = processes.descendants(first.pid)
        assert len(left) >= 10  # three servers, the worker and the API, each with its guard
        first.send_signal(signal.SIGTERM)
        said = output_of(first)
    assert first.returncode == 0
    assert "Web UI" in said
    assert f"  {CURL}/exports{OCTOBER}\n" in said
    assert re.findall(r"^  (\w+) +http://\S+/#token=exp_", said, re.MULTILINE) == [
        *("u1", "u2", "operator")
    ]
    assert "Traceback" not in said
    assert "Stopping after SIGTERM" in said
    assert not any(map(processes.is_alive, left))
    assert not file.exists()


def test_make_dev_keeps_its_tokens_and_replaces_one_that_was_revoked(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    own = endpoints.model_copy(update={"mongo_database": f"t_{secrets.token_hex(8)}"})
    saved = tmp_path / "api-tokens.json"
    first = kept_tokens(own, saved)
    assert kept_tokens(own, saved) == first
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    with MongoClient[dict[str, Any]](own.mongo_uri) as mongo:
        mongo[own.mongo_database][TOKENS_COLLECTION].delete_one({"uid": "u1"})
        later = kept_tokens(own, saved)
        mongo.drop_database(own.mongo_database)
    assert {name for name in first if later[name] != first[name]} == {"EXPORTS_API_TOKEN"}


def test_make_dev_with_a_mistake_in_the_reports_file_starts_nothing(
    data_dir: Path, tmp_path: Path
) -> None:
    reports = tmp_path / "my.toml"
    reports.write_text('[reports.sales]\ncolection = "c"\n', encoding="utf-8")
    options = ("--data-dir", str(data_dir), "--reports", str(reports))
    with running("-m", "dev.stack", *options) as stack:
        said = output_of(stack)
    assert stack.returncode == 2
    assert said.startswith("E_REPORTS: ")
    assert "reports.sales.colection" in said
