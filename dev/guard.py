"""Runs one command and ends it when whoever started this process is gone.

`python guard.py GRACE COMMAND...` holds its standard input open. When that closes, because the
parent closed it or died in whatever way (SIGKILL too), the command gets SIGTERM, and SIGKILL after
GRACE seconds. So one mechanism, known to every POSIX system, is both the way to stop a server and
the promise that none is left behind. Exits with the command's code, or 128 + the signal.
"""

import os
import subprocess
import sys
import threading


def main() -> int:
    """Run the command given as arguments."""
    grace, *command = sys.argv[1:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_parent, args=(child, float(grace)), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_parent(child: "subprocess.Popen[bytes]", grace: float) -> None:
    # Not through sys.stdin: its lock, held by this thread, would abort the interpreter at exit.
    while os.read(sys.stdin.fileno(), 1):
        pass
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main())
