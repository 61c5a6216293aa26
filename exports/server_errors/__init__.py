"""What each error of a server, a library or our own comes to, as one table in four parts.

A row says which of our errors it becomes, and with that its code and whether a run tries again;
whose it is to mend; and the sentence that people read. The modules that speak to the servers look
their errors up here, and `docs/errors.md` shows all of it.

What is not listed may pass, so it is retried.
"""
