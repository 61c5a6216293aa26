"""Settings of the codec server, from the environment.

They are apart from those of workers and clients, because this server needs neither a database nor
a bucket, and should be given access to none.
"""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from exports.encryption.keys import EncryptionKeys, EncryptionKeyText
from exports.errors import SettingsError
from exports.settings import in_words

_SHORTEST_TOKEN: Final = 24
_LISTEN: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_MOST_PORTS: Final = 65_535


def _long_enough(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if len(text) < _SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            f"is at least {_SHORTEST_TOKEN} ASCII characters without spaces: openssl rand -hex 32"
        )
    return token


def _split(value: object) -> object:
    return re.split(r"[\s,]+", value.strip(" ,\n")) if isinstance(value, str) else value


def _origin(value: str) -> str:
    # A star, which would let every page in, is none.
    if not _ORIGIN.fullmatch(value):
        raise ValueError("is https://host or http://host:port, without a path")
    return value


def _address(value: str) -> str:
    found = _LISTEN.fullmatch(value)
    if found is None or int(found["port"]) > _MOST_PORTS:
        raise ValueError("is host:port")
    return value


class CodecSettings(BaseSettings):
    """What `exports codec-server` is told."""

    model_config = SettingsConfigDict(
        env_prefix="EXPORTS_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    encryption_key: EncryptionKeyText = Field(description="The keys of workers and clients")
    codec_token: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        description="What one has to know to be let in, at least 24 characters"
    )
    codec_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=(),
        description="Web UIs whose pages may ask, `https://host,https://host`; none if not set",
    )
    codec_listen: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1:8088", description="Where it listens"
    )

    @property
    def keys(self) -> EncryptionKeys:
        """What payloads are decrypted with."""
        return EncryptionKeys.of(self.encryption_key)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.codec_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: A variable is missing or wrong; says which, never what it held.
        """
        try:
            return cls()  # pyright: ignore[reportCallIssue] -- the fields come from the environment
        except ValidationError as error:
            raise SettingsError(in_words(error)) from None
