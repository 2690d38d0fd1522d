"""What an address means."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that host. A name other than localhost may resolve to anything."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
