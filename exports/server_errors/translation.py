"""What an error of a server becomes: an error of this service, with a sentence for people."""

from dataclasses import dataclass

from exports.errors import ExportError


@dataclass(frozen=True)
class Translation:
    """What an error of a server becomes.

    Attributes:
        error: Its class, which has the code and says whether a retry can help.
        sentence: The message. `{where}` is the collection, the bucket or Temporal's address, and
            `{what}` is the code that the server or the library gives its error. The server's own
            text is never part of it, because it may repeat values of a row or a key.
    """

    error: type[ExportError]
    sentence: str

    def to_error(self, *, what: str, where: str = "") -> ExportError:
        """Return the error."""
        return self.error(self.sentence.format(what=what, where=where))
