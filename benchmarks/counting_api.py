"""`exports api`, which tells what it has used: `python -m benchmarks.counting_api`.

On SIGUSR1 it prints one line of JSON: how many commands of each kind it has sent to the database,
and the processor time and the memory that it has used.
"""

import json
import signal
import time
from collections import Counter
from types import FrameType
from typing import Final

import psutil
from pymongo import monitoring

from exports.api.process import serve
from exports.runtime.process import end

USED: Final = "Used: "


class _Commands(monitoring.CommandListener):
    def __init__(self) -> None:
        self.sent = Counter[str]()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def main() -> int:
    """Run the API; return the exit code of the process."""
    commands = _Commands()
    monitoring.register(commands)

    def tell(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        used = {
            "commands": commands.sent,
            "cpu": time.process_time(),
            "memory": psutil.Process().memory_info().rss,
        }
        print(USED, json.dumps(used), flush=True)

    signal.signal(signal.SIGUSR1, tell)
    serve()
    return 0


if __name__ == "__main__":
    end(main())
