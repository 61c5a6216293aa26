"""What `make test-page` does without a Chromium."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import browser
from tests.support.paths import REPOSITORY


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    there = shutil.which

    def which(name: str) -> str | None:
        return None if name in missing else there(name)

    monkeypatch.setattr(shutil, "which", which)


def test_the_chromium_of_the_system_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chromium = tmp_path / "chromium"
    chromium.write_text("#!/bin/sh\n")
    chromium.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find() == chromium
    assert browser.main() == 0


def test_if_none_can_be_installed_it_says_loudly_that_nothing_was_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "chromium", "chromium-browser", "google-chrome", "apt-get")
    fails = (sys.executable, "-c", "import sys; sys.exit('no such host')")
    monkeypatch.setattr(browser, "_PLAYWRIGHT", fails)
    assert browser.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("NO TEST OF THE PAGE WAS RUN: there is no Chromium")
    assert said.endswith("no such host\n")


def test_without_one_the_tests_of_the_page_fail_only_in_ci(tmp_path: Path) -> None:
    finds_none = tmp_path / "python"
    finds_none.write_text("#!/bin/sh\nexit 1\n")
    finds_none.chmod(0o755)
    make = ["make", "--old-file=setup", "test-page", f"RUN={tmp_path}"]
    for ci, passes in (("", True), ("true", False)):
        environment = {**os.environ, "CI": ci}
        done = subprocess.run(make, cwd=REPOSITORY, env=environment, check=False)  # noqa: S603 -- our own Makefile
        assert (done.returncode == 0) is passes, f"CI={ci}"


def test_only_root_starts_it_without_its_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--no-sandbox" not in browser.options()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--no-sandbox" in browser.options()
