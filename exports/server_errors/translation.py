"""What an error of a server becomes: an error of this service, with a sentence for people."""

from dataclasses import dataclass

from exports.errors import ExportError, Server


@dataclass(frozen=True)
class Translation:
    """What an error of a server becomes.

    Attributes:
        error: Its class, which has the code and says whether a retry can help.
        sentence: The message. `{where}` is the collection, the bucket or Temporal's address, and
            `{what}` is the code that the server or the library gives its error. The server's own
            text is never part of it, because it may repeat values of a row or a key.
        away: The server, if the error says that it is away: steps wait for it.
    """

    error: type[ExportError]
    sentence: str
    away: Server | None = None

    def to_error(self, *, what: str, where: str = "") -> ExportError:
        """Return the error."""
        error = self.error(self.sentence.format(what=what, where=where))
        error.away = self.away
        return error
