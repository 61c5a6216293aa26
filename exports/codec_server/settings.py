"""Settings of the codec server, from environment variables.

They are separate from those of workers and clients, because this server needs no database and no
bucket, and should have access to neither.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from exports.encryption.keys import EncryptionKeys, EncryptionKeyText
from exports.runtime.listening import ListenAddress, Origins
from exports.runtime.log_settings import LogSettings

_TOKEN: Final = re.compile(r"[!-~]{24,}")  # ASCII without the space


def _token(token: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError(
            "must have at least 24 ASCII characters and no spaces; `openssl rand -hex 32` makes one"
        )
    return token


class CodecSettings(LogSettings):
    """Settings of `exports codec-server`."""

    encryption_key: EncryptionKeyText = Field(description="Keys of the workers and clients")
    codec_token: Annotated[SecretStr, AfterValidator(_token)] = Field(
        description="Token that gives access, at least 24 characters"
    )
    codec_origins: Origins = Field(
        default=(),
        description="Web UIs that may use this server, `https://host,https://host`. Default: none",
    )
    codec_listen: ListenAddress = Field(
        default="127.0.0.1:8088", description="Address and port to listen on"
    )

    @property
    def keys(self) -> EncryptionKeys:
        """The keys that payloads are decrypted with."""
        return EncryptionKeys.of(self.encryption_key)
