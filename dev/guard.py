"""Runs a command, and stops it when the parent of this process has ended.

`python guard.py GRACE COMMAND...` waits until its standard input is closed: by the parent, or by
the system when the parent has ended, even by SIGKILL. Then the command gets SIGTERM, and SIGKILL
after GRACE seconds. So no server outlives the program that has started it. The exit code is that
of the command, or 128 + the number of the signal.
"""

import os
import subprocess
import sys
import threading


def main() -> int:
    """Run the command in the arguments; return its exit code."""
    grace, *command = sys.argv[1:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_parent, args=(child, float(grace)), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_parent(child: "subprocess.Popen[bytes]", grace: float) -> None:
    # Not sys.stdin.read(): this thread would hold its lock, which aborts the interpreter at exit.
    while os.read(sys.stdin.fileno(), 1):
        pass
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main())
