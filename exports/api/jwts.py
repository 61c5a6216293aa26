"""Checks JWTs, with PyJWT: who asks, and whether they are an operator.

Which algorithms are accepted depends on the kind of key alone, never on what a token says. So a
token without a signature, or one that is signed with a public key as a secret, is refused.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final, cast

import jwt
from jwt import PyJWK, PyJWKClient

from exports import names
from exports.api.settings import ApiSettings
from exports.errors import ExportError, RequestError, TokenError, UnreachableError
from exports.mail_addresses import is_mail_address
from exports.messages.wording import Language

_SECRET_ALGORITHMS: Final = ("HS256",)
_KEY_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
# https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims
_VERIFIED: Final = "email_verified"
_LOCALE: Final = "locale"
_LEEWAY: Final = 10  # seconds by which the clock of who signs may differ
_FETCH_TIMEOUT: Final = 5  # seconds
_PAUSE_AFTER_FAILURE: Final = 5.0  # seconds


@dataclass(frozen=True)
class Claims:
    """What a valid JWT says.

    Attributes:
        uid: Who asks.
        operator: Whether they are an operator.
        expires_at: When it ends (epoch milliseconds).
        email: The e-mail address of who asks; None if it does not say, or it is not verified.
        language: The language of who asks, `zh-CN`; None if it does not say.
    """

    uid: str
    operator: bool
    expires_at: int
    email: str | None
    language: str | None


class JwtVerifier:
    """Checks JWTs.

    Args:
        settings: The secret or the address of the keys, the issuer, the audience, and the claims.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        url = settings.api_jwt_jwks_url
        self._keys = None if url is None else _Keys(url)

    async def check(self, token: str) -> Claims:
        """Return what a JWT says.

        Raises:
            TokenError: It is not valid, or does not say who asks.
            UnreachableError: The keys could not be fetched.
        """
        try:
            claims = await self._decoded(token)
        except jwt.ExpiredSignatureError:
            raise TokenError("The token has expired.") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _invalid() from None
        try:
            uid = names.check_uid(claims[self._settings.api_jwt_uid_claim])
        except (KeyError, TypeError, RequestError):
            raise TokenError("The token does not say who asks.") from None
        language = Language.of(claims.get(_LOCALE))
        return Claims(
            uid=uid,
            operator=self._is_operator(claims),
            expires_at=int(claims["exp"] * 1000),
            email=self._email(claims),
            language=None if language is None else language.value,
        )

    async def _decoded(self, token: str) -> dict[str, Any]:
        secret = self._settings.api_jwt_secret
        key: str | PyJWK
        if self._keys is not None:
            key = await self._keys.named(jwt.get_unverified_header(token).get("kid"))
        else:
            assert secret is not None  # noqa: S101 -- one of the two is set
            key = secret.get_secret_value()
        return jwt.decode(
            token,
            key,
            algorithms=_SECRET_ALGORITHMS if self._keys is None else _KEY_ALGORITHMS,
            issuer=self._settings.api_jwt_issuer,
            audience=self._settings.api_jwt_audience,
            leeway=_LEEWAY,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )

    def _email(self, claims: dict[str, Any]) -> str | None:
        email: object = claims.get(self._settings.api_jwt_email_claim)
        # Some providers write it as a text.
        unverified = str(claims.get(_VERIFIED, True)).lower() == "false"
        return (
            email if isinstance(email, str) and is_mail_address(email) and not unverified else None
        )

    def _is_operator(self, claims: dict[str, Any]) -> bool:
        claim = self._settings.api_jwt_operator_claim
        found: object = None if claim is None else claims.get(claim)
        if isinstance(found, bool):
            found = str(found).lower()
        # A list, or a text such as `scope`, which has several values with spaces between them.
        values = found.split() if isinstance(found, str) else found
        return isinstance(values, list) and self._settings.api_jwt_operator_value in cast(
            "list[object]", values
        )


class _Keys:
    """The public keys of who signs, fetched when they are needed.

    A thread fetches them, one at a time. A `kid` that is not known makes it fetch them again, but
    not within 30 seconds (PyJWT's default): tokens with made-up ids do not load the other server.
    """

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, timeout=_FETCH_TIMEOUT)
        self._one_at_a_time = asyncio.Lock()
        self._failed_at = -_PAUSE_AFTER_FAILURE

    async def named(self, kid: object) -> PyJWK:
        """Return a key.

        Raises:
            TokenError: There is none.
            UnreachableError: They could not be fetched.
        """
        if not isinstance(kid, str):
            raise _invalid()
        cache = self._client.jwk_set_cache
        known = cache.get() if cache else None
        key = PyJWKClient.match_kid(known.keys, kid) if known else None
        if key is not None:
            return key
        async with self._one_at_a_time:
            if time.monotonic() < self._failed_at + _PAUSE_AFTER_FAILURE:
                raise _away()
            try:
                return await asyncio.to_thread(self._client.get_signing_key, kid)
            except jwt.PyJWKClientConnectionError:
                self._failed_at = time.monotonic()
                raise _away() from None


def _invalid() -> ExportError:
    return TokenError("The token is not valid here.")


def _away() -> ExportError:
    return UnreachableError("The keys that check tokens can't be fetched at the moment.")
