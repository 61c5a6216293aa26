"""Settings of the codec server, from environment variables.

They are separate from those of workers and clients, because this server needs no database and no
bucket, and should have access to neither.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from exports.encryption.keys import EncryptionKeys, EncryptionKeyText
from exports.settings import EnvironmentSettings

_TOKEN: Final = re.compile(r"[!-~]{24,}")  # ASCII without the space
_LISTEN: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_MAX_PORT: Final = 65_535


def _token(token: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError(
            "must have at least 24 ASCII characters and no spaces; `openssl rand -hex 32` makes one"
        )
    return token


def _split(value: object) -> object:
    return re.split(r"[\s,]+", value.strip(" ,\n")) if isinstance(value, str) else value


def _origin(value: str) -> str:
    # `*` is not accepted, because it would allow every page.
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be https://host or http://host:port, without a path")
    return value


def _address(value: str) -> str:
    found = _LISTEN.fullmatch(value)
    if found is None or int(found["port"]) > _MAX_PORT:
        raise ValueError("must be host:port")
    return value


class CodecSettings(EnvironmentSettings):
    """Settings of `exports codec-server`."""

    encryption_key: EncryptionKeyText = Field(description="Keys of the workers and clients")
    codec_token: Annotated[SecretStr, AfterValidator(_token)] = Field(
        description="Token that gives access, at least 24 characters"
    )
    codec_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=(),
        description="Web UIs that may use this server, `https://host,https://host`. Default: none",
    )
    codec_listen: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1:8088", description="Address and port to listen on"
    )

    @property
    def keys(self) -> EncryptionKeys:
        """The keys that payloads are decrypted with."""
        return EncryptionKeys.of(self.encryption_key)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.codec_listen.rpartition(":")
        return host.strip("[]"), int(port)
