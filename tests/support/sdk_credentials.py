"""Credentials that the AWS SDK finds by itself: in the environment, or by a program."""

import sys
from pathlib import Path

import boto3
import pytest


def found_in(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Let new stores find their credentials in these variables, and nothing of this machine."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def printed_by(monkeypatch: pytest.MonkeyPatch, directory: Path, code: str) -> Path:
    """Let new stores find their credentials in what a Python program prints.

    Args:
        monkeypatch: Of the test.
        directory: For the program.
        code: What it does.

    Returns:
        The program.
    """
    program, config = directory / "credentials", directory / "config"
    program.write_text(f"#!{sys.executable}\n{code}\n", encoding="utf-8")
    program.chmod(0o700)
    config.write_text(f"[default]\ncredential_process = {program}\n", encoding="utf-8")
    found_in(monkeypatch)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return program
