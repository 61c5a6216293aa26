"""Settings of the HTTP API, from environment variables. It reads those of clients as well."""

from typing import Annotated, Final, Self
from urllib.parse import quote

from annotated_types import Gt
from pydantic import AfterValidator, Field, SecretStr, model_validator

from exports.environment import EnvironmentSettings
from exports.runtime.listening import ListenAddress, Origin, Origins

# As long as the hash of HS256: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
_MIN_SECRET_BYTES: Final = 32


def _secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {_MIN_SECRET_BYTES} bytes")
    return secret


def _web_address(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return value


class ApiSettings(EnvironmentSettings):
    """Settings of `exports api`."""

    api_listen: ListenAddress = Field(
        default="127.0.0.1:8000", description="Address and port to listen on"
    )
    api_origin: Origin | None = Field(
        default=None,
        description="Where browsers reach the API, `https://exports.example.com`, if that is not "
        "what the proxy in front of it says in `Host` and `X-Forwarded-Proto`",
    )
    api_proxies: str = Field(
        default="127.0.0.1",
        description="Addresses of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are "
        "believed, `10.0.0.1,10.1.0.0/16`",
    )
    api_cors_origins: Origins = Field(
        default=(),
        description="Other origins whose pages may use the API with a token, "
        "`https://host,https://host`. Default: none",
    )
    api_rate: Annotated[int, Gt(0)] = Field(
        default=600, description="Requests that one person may send per minute, to each process"
    )
    api_streams: Annotated[int, Gt(0)] = Field(
        default=20, description="Streams of events that one person may have open, at each process"
    )
    api_max_streams: Annotated[int, Gt(0)] = Field(
        default=5000, description="Streams of events that one process has open at most"
    )
    api_jwt_secret: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        default=None,
        description="Secret of JWTs that are signed with HS256, at least 32 bytes",
    )
    api_jwt_jwks_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Address of the public keys of JWTs (a JWKS), in place of a secret",
    )
    api_jwt_issuer: str | None = Field(
        default=None, description="The `iss` of JWTs; needed if JWTs are used"
    )
    api_jwt_audience: str | None = Field(
        default=None, description="The `aud` of JWTs; needed if JWTs are used"
    )
    api_jwt_uid_claim: str = Field(
        default="sub", min_length=1, description="The claim of a JWT that says who asks"
    )
    api_jwt_operator_claim: str | None = Field(
        default=None,
        description="The claim of a JWT that makes an operator, such as `roles`: a text, a list of "
        "texts, or true. Default: no JWT makes one",
    )
    api_jwt_operator_value: str = Field(
        default="true",
        min_length=1,
        description="What that claim must be, or contain, to make an operator",
    )

    api_jwt_email_claim: str = Field(
        default="email",
        min_length=1,
        description="The claim of a JWT with the e-mail address for messages. It does not count if "
        "`email_verified` is false",
    )

    api_sign_in_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Where the exports page sends people who are not signed in: a page of yours, "
        "which sends them back to its parameter `back`, with `#token=TOKEN` at the end. Default: "
        "the page asks for a token itself",
    )
    api_web_ui_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Address of the Temporal Web UI, `https://temporal.example.com`. The exports "
        "page links operators to the workflow of an export there, in the namespace of the client",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.api_jwt_secret is not None and self.api_jwt_jwks_url is not None:
            raise ValueError(
                "only one of EXPORTS_API_JWT_SECRET and EXPORTS_API_JWT_JWKS_URL can be set"
            )
        if self.takes_jwt and not (self.api_jwt_issuer and self.api_jwt_audience):
            raise ValueError(
                "EXPORTS_API_JWT_ISSUER and EXPORTS_API_JWT_AUDIENCE must be set for JWTs"
            )
        return self

    def web_ui(self, namespace: str) -> str | None:
        """Return the address of a namespace's workflows in the Temporal Web UI, if it is set."""
        if self.api_web_ui_url is None:
            return None
        return f"{self.api_web_ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows"

    @property
    def takes_jwt(self) -> bool:
        """Whether JWTs are tokens here."""
        return self.api_jwt_secret is not None or self.api_jwt_jwks_url is not None
