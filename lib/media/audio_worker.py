"""A process that measures recordings, one after the other, with little power: what it reads is hostile.

It has no secrets (its environment is empty, it was started anew), writes no file, and is bounded in memory and time.
Messages: a JSON object with `start` and `size` beside the open file; the answer is one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys

from lib.media.audio_scan import measured
from lib.media.recording import UnusableRecording

MEMORY_MAX_BYTES = 1_073_741_824
CPU_MAX_SECONDS = 10
"""For one recording."""
OPEN_FILES_MAX = 32
MESSAGE_MAX_BYTES = 4_096


def main(channel: int) -> None:
    """Serve until the other side closes."""
    _limit(resource.RLIMIT_AS, MEMORY_MAX_BYTES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
    with socket.socket(fileno=channel) as server:
        while True:
            message, files, _, _ = socket.recv_fds(server, MESSAGE_MAX_BYTES, 1)
            if not message:
                return
            server.sendall(_answer(message, files[0]))


def _limit(kind: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system knows every limit
        resource.setrlimit(kind, (most, most))


def _answer(message: bytes, fileno: int) -> bytes:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + CPU_MAX_SECONDS, hard))
    wanted = json.loads(message)
    try:
        recording = measured(fileno, wanted["start"], wanted["size"])
    except UnusableRecording as error:
        return json.dumps({"unusable": str(error)}).encode()
    finally:
        os.close(fileno)
    return json.dumps({"kind": recording.kind, "seconds": recording.seconds}).encode()


if __name__ == "__main__":
    main(int(sys.argv[1]))
