"""No way inside: the one way from an address that a person named to where it leads."""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple

import httpx2

from exports import names
from exports.errors import WebhookAddressError
from exports.runtime.threads import in_own_thread

MAX_URL_LENGTH: Final = 2048
"""Characters of an address."""

_HTTPS: Final = 443
_HTTP: Final = 80
_FIRST_FREE_PORT: Final = 1024  # those below belong to other protocols, such as mail
# With a dot, and the last part begins with a letter: no name inside a network such as `localhost`,
# and no spelling of a number that a resolver takes for an address, such as `127.1` or `0x7f000001`.
_NAME: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
_MAX_NAME_LENGTH: Final = 253
_LOCALHOST: Final = "localhost"

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast.
_NOT_PUBLIC_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by the customers of a provider; metadata of Alibaba Cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the platform of Azure, for its virtual machines
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# Everything public is in here: https://www.iana.org/assignments/ipv6-address-space. Outside are
# loopback, link-local, site-local, unique local, multicast, and what embeds an IPv4 address:
# mapped, compatible, translated, and both prefixes of NAT64.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking and others
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
# The lower half of an address of ISATAP (RFC 5214) ends with an IPv4 address.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name and a port. Raises OSError if there are none."""


class Destination(NamedTuple):
    """Where an address leads.

    Attributes:
        url: The address, in its normal form.
        addresses: The IP addresses of its host. Only these may be connected to: a resolver may have
            another answer the next time.
    """

    url: httpx2.URL
    addresses: Sequence[str]


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the resolver of this machine for the addresses of a name."""
    # Not in the loop's executor: a name server that does not answer must not hold up other work.
    found = await in_own_thread(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), "look-up"
    )
    return [str(address[0]) for *_, address in found]


async def destination(url: str, *, loopback: bool, resolve: Resolve = look_up) -> Destination:
    """Return where an address leads, if that is nowhere inside a network.

    Args:
        url: What a person named.
        loopback: Whether this machine itself is allowed, also without TLS: only for development.
        resolve: Asks for the addresses of a name.

    Raises:
        WebhookAddressError: The address does not have the required form, its name has no address,
            or one of its addresses is not public. The last two are not told apart, so that nobody
            learns which names exist inside. The message does not repeat the address.
    """
    parsed = _parsed(url)
    tls = parsed.scheme == "https"
    if not tls and not (loopback and parsed.scheme == "http"):
        raise WebhookAddressError("The address of a webhook must begin with https://.")
    if parsed.userinfo:
        raise WebhookAddressError(
            "The address of a webhook must have no user name and no password."
        )
    if parsed.fragment:
        raise WebhookAddressError("The address of a webhook must have no part after a #.")
    default = _HTTPS if tls else _HTTP
    port = default if parsed.port is None else parsed.port
    if port != default and not _FIRST_FREE_PORT <= port < 2**16:
        raise WebhookAddressError(
            f"The port of a webhook must be {_HTTPS}, or from {_FIRST_FREE_PORT} to 65535."
        )
    host = parsed.raw_host.decode()
    if not (_is_address(host) or _is_name(host) or (loopback and host == _LOCALHOST)):
        raise WebhookAddressError(
            "The host of a webhook must be a full name, such as hooks.example.com."
        )
    try:
        addresses = list(dict.fromkeys(await resolve(host, port)))
    except (OSError, UnicodeError):
        addresses = []
    inside_is_fine = loopback and all(map(_is_loopback, addresses))
    if addresses and (inside_is_fine or (tls and all(map(is_public, addresses)))):
        return Destination(parsed, addresses)
    raise WebhookAddressError(
        "The host of a webhook must have a public address; this one has none, or one that is not "
        "public."
    )


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public Internet.

    One that embeds an IPv4 address, as NAT64 or 6to4 do, is not, whatever it embeds.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_V4)
    return (
        found in _GLOBAL_UNICAST
        and found.scope_id is None
        and not any(found in network for network in _NOT_PUBLIC_V6)
        and int(found) >> 32 & 0xFFFFFFFF not in _ISATAP
    )


def _parsed(url: str) -> httpx2.URL:
    try:
        names.check_text(url, "The address of a webhook")
        if len(url) <= MAX_URL_LENGTH:
            return httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        pass
    raise WebhookAddressError(
        f"The address of a webhook must be a URL of at most {MAX_URL_LENGTH} characters, such as "
        "https://hooks.example.com/exports."
    )


def _is_address(host: str) -> bool:
    try:
        # It does not accept what older systems do: short, octal or hexadecimal spellings.
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    return len(host) <= _MAX_NAME_LENGTH and _NAME.fullmatch(host) is not None


def _is_loopback(address: str) -> bool:
    found: IPv4Address | IPv6Address = ip_address(address)
    return found.is_loopback
