"""E-mail addresses: one address, and nothing that could become a second one or a header."""

import re
from typing import Final, NamedTuple

from exports.characters import can_mislead

# The form `dot-atom` of https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3. A name in quotes is
# allowed there as well, but nobody has one. Characters beyond ASCII need SMTPUTF8, which many
# servers lack; a domain has a form without them (punycode).
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(
    rf"(?P<name>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*)"
)
# https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
_MAX_NAME: Final = 64
_MAX_ADDRESS: Final = 254
_SENDER: Final = re.compile(r'(?P<name>[^<>@,;:"\\]*)<(?P<address>[^<>]+)>')


class Sender(NamedTuple):
    """Who an e-mail is from.

    Attributes:
        name: What people see; may be empty.
        address: The address.
    """

    name: str
    address: str


def is_mail_address(text: str) -> bool:
    """Return whether a text is one e-mail address, `a@example.com`, and nothing else."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and len(found["name"]) <= _MAX_NAME and len(text) <= _MAX_ADDRESS


def parse_sender(text: str) -> Sender | None:
    """Read `exports@example.com` or `Exports <exports@example.com>`; None if it is neither."""
    found = _SENDER.fullmatch(text)
    name, address = ("", text) if found is None else (found["name"].strip(), found["address"])
    if not is_mail_address(address) or any(map(can_mislead, name)):
        return None
    return Sender(name, address)
