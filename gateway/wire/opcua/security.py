"""The names of security policies and modes, for those who need no more of them."""

import ipaddress
from typing import Final

POLICIES: Final = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
"""As in their URIs (Part 7, 6.6), the best first."""

MODES: Final = ("SignAndEncrypt", "Sign")


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
