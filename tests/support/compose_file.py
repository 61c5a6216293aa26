"""Reads docker-compose.yml as Compose does, as far as this file needs it."""

import re
from collections.abc import Mapping
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from tests.support.paths import REPOSITORY

COMPOSE_FILE: Final = REPOSITORY / "docker-compose.yml"

# This file uses only two forms of https://docs.docker.com/reference/compose-file/interpolation/:
# a variable with a default, and the escaped dollar.
_DOLLAR: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+):-(?P<default>[^}]*)\}|(?P<other>))"
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Healthcheck(_Part):
    test: list[str] = []
    disable: bool = False


class Dependency(_Part):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Service(_Part):
    image: str
    build: str | None = None
    entrypoint: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    ports: list[str] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    restart: str
    healthcheck: Healthcheck = Healthcheck()
    depends_on: dict[str, Dependency] = {}
    container_name: str | None = None
    read_only: bool = False
    cap_drop: list[str] = []
    security_opt: list[str] = []
    privileged: bool = False
    user: str = ""
    profiles: list[str] = []
    stop_grace_period: str = "10s"

    @property
    def stays(self) -> bool:
        """Whether it is a server, not a one-shot."""
        return self.restart == "unless-stopped"


class ConfigFile(_Part):
    content: str


class Compose(_Part):
    services: dict[str, Service]
    configs: dict[str, ConfigFile]


def text() -> str:
    return COMPOSE_FILE.read_text(encoding="utf-8")


def variables() -> dict[str, str]:
    """Return the variables of the file, with their defaults."""
    found: dict[str, str] = {}
    for match in _DOLLAR.finditer(_without_comments()):
        if match["escaped"]:
            continue
        assert match["name"], (
            f"must have the form ${{NAME:-default}}: {match.string[match.start() :][:40]}"
        )
        assert found.setdefault(match["name"], match["default"]) == match["default"], match["name"]
    return found


def rendered(given: Mapping[str, str] | None = None) -> str:
    """Return the file with its variables replaced.

    Args:
        given: The variables of a .env file; all others have their defaults.
    """

    def value(match: re.Match[str]) -> str:
        return "$" if match["escaped"] else (given or {}).get(match["name"], match["default"])

    return _DOLLAR.sub(value, _without_comments())


def load(given: Mapping[str, str] | None = None) -> Compose:
    return Compose.model_validate(yaml.safe_load(rendered(given)))


def _without_comments() -> str:
    return re.sub(r"(?m)(^|\s)#.*$", "", text())
