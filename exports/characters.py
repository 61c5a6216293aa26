"""Which characters a name, a title or a message may show."""

import unicodedata
from typing import Final

_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Persian, Hindi and emoji need them. Domain names may have no other invisible character either:
RFC 5892, appendix A."""
_UNSEEN: Final = "\u115f\u1160\u3164\uffa0\u2800"
"""Letters of Korean and Braille that look like a space."""


def can_mislead(character: str) -> bool:
    """Return whether a character can make the text around it look like another text.

    These are control characters, line breaks, characters that change the direction of text,
    invisible characters, those for private use, half characters (lone surrogates), and those that
    the Unicode version of this Python does not have. Spaces of all widths can't mislead, nor can
    the two joiners that languages need.
    """
    return not (
        character.isprintable() or unicodedata.category(character) == "Zs" or character in _JOINERS
    )


def is_blank(text: str) -> bool:
    """Return whether a person sees nothing: a text is empty, or has only spaces, joiners, marks."""
    return all(
        unicodedata.category(character)[0] in "CMZ" or character in _UNSEEN for character in text
    )
