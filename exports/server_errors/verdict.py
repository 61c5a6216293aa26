"""A verdict: what an error comes to."""

from dataclasses import dataclass
from enum import StrEnum

from exports.errors import ExportError


class Fault(StrEnum):
    """Whose an error is to mend."""

    WHO_ASKED = "who asked"
    OPERATOR = "the operator"
    SERVER = "the server"
    US = "us"


@dataclass(frozen=True)
class Verdict:
    """What an error comes to.

    Attributes:
        error: Ours, with its code and whether a run tries again.
        fault: Whose it is.
        sentence: For people. `{where}` is the collection, the bucket or Temporal's address, and
            `{what}` how the server or the library calls the error; never its own text, which may
            hold a row or a key.
    """

    error: type[ExportError]
    fault: Fault
    sentence: str

    def about(self, *, what: str, where: str = "") -> ExportError:
        """Return the error."""
        return self.error(self.sentence.format(what=what, where=where))
