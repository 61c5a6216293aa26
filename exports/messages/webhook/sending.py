"""Sends one request to an address that a person named, and nothing else: no redirect, no proxy."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Final

import httpx2

from exports.errors import ExportError, WebhookAddressError
from exports.messages.channel import Outcome, Verdict
from exports.messages.webhook.public_address import Destination, Resolve, destination, look_up

TIMEOUT: Final = 15.0
"""Seconds for the whole attempt, with the look-up of the name and the reading of the answer."""
MAX_ANSWER_BYTES: Final = 4096
"""How much of the content of an answer is read."""
GONE: Final = 410
"""The status of a receiver that wants no more messages."""

_CONNECT_TIMEOUT: Final = 4.0  # seconds for each address, with TLS
_MAX_ADDRESSES: Final = 3  # of one name, so that all of them have their time
_SHOWN_CHARACTERS: Final = 1024
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass
class _Answer:
    """What has come so far: an attempt that runs out of time keeps it."""

    status: int | None = None
    retry_after: float | None = None
    content: bytes = b""


class Sender:
    """Makes attempts.

    Each has a connection of its own: one that is kept would be used for every other name at the
    same IP address, without a look at the certificate.

    Args:
        loopback: Whether this machine itself may be reached: see `destination`.
        resolve: Asks for the addresses of a name.
        tls: Which certificates are trusted; by default those that this machine trusts.
        timeout: Seconds for an attempt.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        resolve: Resolve = look_up,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._loopback = loopback
        self._resolve = resolve
        self._given_tls = tls
        self._timeout = timeout

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading all certificates takes a while, and most commands do not send anything.
        return self._given_tls or httpx2.create_ssl_context(trust_env=False)

    async def check(self, url: str) -> str:
        """Return the normal form of an address that messages may be sent to.

        Raises:
            WebhookAddressError: They may not: see `destination`.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return str((await self._destination(url)).url)
        except TimeoutError:
            raise WebhookAddressError(
                "The name of the host could not be looked up in time; try again."
            ) from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Make one attempt. Whatever the receiver does, this does not raise.

        Args:
            url: Where to. It is looked up and checked again, because names change their addresses.
            body: What to send.
            headers: Without `Host`, which is the name in the address.
        """
        answer = _Answer()
        try:
            async with asyncio.timeout(self._timeout):
                await self._exchange(await self._destination(url), body, headers, answer)
            reason = ""
        except ExportError as error:
            reason = error.msg
        except TimeoutError:
            reason = f"There was no complete answer within {self._timeout:g} s."
        except (httpx2.HTTPError, OSError) as error:
            reason = _reason(error)
        return _outcome(answer, reason)

    async def _destination(self, url: str) -> Destination:
        return await destination(url, loopback=self._loopback, resolve=self._resolve)

    async def _exchange(
        self, where: Destination, body: bytes, headers: Mapping[str, str], answer: _Answer
    ) -> None:
        # A transport without a client around it: that would follow the environment, unpack what is
        # compressed, and write the address to the log.
        async with httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await _first_response(transport, where, body, headers)
            answer.status = response.status_code
            answer.retry_after = _retry_after(response.headers.get("retry-after", ""))
            async with aclosing(response), aclosing(response.aiter_raw()) as pieces:
                async for piece in pieces:
                    answer.content += piece[: MAX_ANSWER_BYTES - len(answer.content)]
                    if len(answer.content) >= MAX_ANSWER_BYTES:
                        break


async def _first_response(
    transport: httpx2.AsyncHTTPTransport,
    where: Destination,
    body: bytes,
    headers: Mapping[str, str],
) -> httpx2.Response:
    """Send the request to the first address that takes a connection."""
    name = where.url.raw_host.decode()
    addresses = where.addresses[:_MAX_ADDRESSES]
    for left, address in enumerate(addresses, start=1 - len(addresses)):
        request = httpx2.Request(
            "POST",
            where.url.copy_with(host=address),
            headers={**headers, "Host": where.url.netloc.decode(), "Connection": "close"},
            content=body,
            extensions={
                # The name that the certificate must be for.
                "sni_hostname": name,
                "timeout": {"connect": _CONNECT_TIMEOUT},
            },
        )
        try:
            return await transport.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if not left:
                raise
    raise AssertionError  # a destination has an address


def _outcome(answer: _Answer, reason: str) -> Outcome:
    status = answer.status
    verdict = Verdict.AGAIN
    # Without the rest of an answer, its status counts all the same: a receiver that has said that
    # it has the message must not get it again.
    if status in _SUCCESS:
        verdict, reason = Verdict.DELIVERED, "The receiver has the message."
    elif status == GONE:
        verdict, reason = Verdict.REFUSED, "The receiver wants no more messages: 410."
    elif status in _REDIRECT:
        reason = f"The receiver answered with a redirect, which is not followed: {status}."
    elif status is not None:
        reason = f"The receiver answered with {status}."
    return Outcome(
        verdict,
        reason,
        status=status,
        answer=answer.content.decode(errors="replace")[:_SHOWN_CHARACTERS],
        retry_after=answer.retry_after,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return f"There was no connection within {_CONNECT_TIMEOUT:g} s."
    if isinstance(error, httpx2.ConnectError):
        if _is_of_tls(error):
            return "There was no connection over TLS: the certificate must be valid for the name."
        return "There was no connection."
    return "The connection ended before there was an answer that can be read."


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(value: str) -> float | None:
    """Return the seconds that a header asks to wait: it has a number, or a date."""
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
