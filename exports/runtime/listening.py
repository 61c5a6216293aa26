"""What the web servers of this service share: the addresses in their settings, and the socket."""

import re
import socket
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from exports.errors import SettingsError

_LISTEN: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_MAX_PORT: Final = 65_535


def _address(value: str) -> str:
    found = _LISTEN.fullmatch(value)
    if found is None or int(found["port"]) > _MAX_PORT:
        raise ValueError("must be host:port")
    return value


def _origin(value: str) -> str:
    # `*` is not accepted, because it would allow every page.
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be https://host or http://host:port, without a path")
    return value


def _split(value: object) -> object:
    return re.split(r"[\s,]+", value.strip(" ,\n")) if isinstance(value, str) else value


ListenAddress = Annotated[str, AfterValidator(_address)]
"""Address and port to listen on: `127.0.0.1:8000`."""
Origin = Annotated[str, AfterValidator(_origin)]
"""Where a page is from, as browsers say it: `https://host`."""
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)]
"""Several origins; in a text, commas or spaces separate them."""


def open_socket(address: str, *, setting: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        address: A `ListenAddress`.
        setting: The variable that sets it, for the message.

    Raises:
        SettingsError: The address can't be listened on.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise SettingsError(f"{setting}: can't listen on {address} ({error.strerror}).") from None


def url_of(listener: socket.socket) -> str:
    """Return the URL that a socket listens on."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def not_installed(
    error: ModuleNotFoundError, *, program: str, extra: str, packages: Collection[str]
) -> Exception:
    """Return what to raise if a server could not be imported.

    Args:
        error: What was raised.
        program: The server, at the beginning of the sentence.
        extra: The extra that installs its packages.
        packages: The names under which its packages are imported.

    Returns:
        A `SettingsError` that says what to install; `error` itself if another module is missing.
    """
    package, _, _ = (error.name or "").partition(".")
    if package not in packages:
        return error
    return SettingsError(
        f"{program} needs the package {package}, which is not installed: "
        f"pip install 'temporal-exports[{extra}]'."
    )
