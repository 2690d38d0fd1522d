"""Free TCP ports of 127.0.0.1, and waiting for one to answer."""

import socket
import time
from contextlib import suppress

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on; never the same one twice in one test run."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port now."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def wait_open(port: int, within: float = 10.0) -> None:
    """Blocks until the port accepts a connection; TimeoutError after `within` seconds."""
    _wait(port, True, within)


def wait_closed(port: int, within: float = 10.0) -> None:
    """Blocks until nobody listens on the port any more; TimeoutError after `within` seconds."""
    _wait(port, False, within)


def _wait(port: int, state: bool, within: float) -> None:
    deadline = time.monotonic() + within
    while answers(port) is not state:
        if time.monotonic() > deadline:
            raise TimeoutError(f"127.0.0.1:{port} is still {'closed' if state else 'open'} after {within:g} s")
        time.sleep(0.02)
