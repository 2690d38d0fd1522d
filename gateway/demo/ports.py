"""Ports of 127.0.0.1: the usual one, or the next that is free."""

import socket
from typing import Final

TRIES: Final = 200


def free_from(port: int) -> int:
    """The first free port from `port` on. Raises OSError where 200 in a row are taken."""
    for candidate in range(port, min(port + TRIES, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    raise OSError(f"no free port on 127.0.0.1 from {port} on")
