"""What the system itself takes to send the bytes of a notification over the loopback: the floor under every figure of publishing."""

import subprocess
import sys
import time
from contextlib import closing
from socket import create_server
from typing import Final

from gateway.bench.rows import middle

_BYTES_PER_VALUE: Final = 22  # handle, mask, type, a double and its source time
_READER: Final = (
    "import socket, sys\nlink = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nwhile link.recv(1 << 20):\n    pass\n"
)


def sending_us(values: int, hz: float, rounds: int) -> float:
    """CPU us per value of sendall alone, so many values at a time and so often a second, to a process that only reads."""
    block, times = bytes(values * _BYTES_PER_VALUE), []
    with create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", _READER, str(server.getsockname()[1])]
        reader = subprocess.Popen(command)  # noqa: S603  our own interpreter and text
        link, _ = server.accept()
        with closing(link):
            for _ in range(5 * rounds):
                time.sleep(1 / hz)
                began = time.process_time_ns()
                link.sendall(block)
                times.append((time.process_time_ns() - began) / values / 1e3)
        reader.wait(10)
    return middle(times)
