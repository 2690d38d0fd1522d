"""The names of security policies and modes, for those who need no more of them."""

from typing import Final

POLICIES: Final = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
"""As in their URIs (Part 7, 6.6), the best first."""

MODES: Final = ("SignAndEncrypt", "Sign")
