# mypy: disallow-untyped-calls=False
# (the library's policy classes carry no types)
"""The security policies that are served (Part 7, 6.6), with the symmetric part of the channel done here: one pass over a chunk to sign
it, one to encrypt it. The library keeps the asymmetric part, which is needed once an hour.
"""

import hmac
import struct
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    CryptographyNone,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
    SecurityPolicyNone,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SIGNATURE_BYTES: Final = 32  # HMAC-SHA2-256, of all policies here
BLOCK_BYTES: Final = 16  # AES
_SEQUENCE_BYTES: Final = 8
HEAD: Final = struct.Struct("<4sIII")  # type, size, channel, token: signed, not encrypted (Part 6, 6.7.2)


class Forged(Exception):
    """A signature or padding that is not right."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one side, for the life of one token (Part 6, 6.7.5)."""

    signing: bytes
    cipher: "Cipher[modes.CBC]"


class Symmetric(CryptographyNone):
    """The keys of both sides; the methods are what the library asks while it takes a chunk apart."""

    def __init__(self, *, encrypts: bool) -> None:
        super().__init__()
        self.encrypts = encrypts
        self.local: Keys | None = None
        self.remote: Keys | None = None
        self.use_prev_key = False  # the old keys end with the first message under the new ones (Part 4, 5.5.2)

    def room(self, chunk_bytes: int) -> int:
        """How many bytes of a body go into a chunk of that size."""
        room = chunk_bytes - HEAD.size
        if self.encrypts:
            room = room // BLOCK_BYTES * BLOCK_BYTES - 1
        return room - SIGNATURE_BYTES - _SEQUENCE_BYTES

    def seal(self, kind: bytes, channel_id: int, token_id: int, sequence: int, request_id: int, body: memoryview) -> list[Any]:
        """A chunk, in pieces (Part 6, 6.7.2)."""
        assert self.local is not None
        used = _SEQUENCE_BYTES + len(body) + SIGNATURE_BYTES
        padding = 1 + -(used + 1) % BLOCK_BYTES if self.encrypts else 0
        chunk = bytearray(HEAD.size + used + padding)
        HEAD.pack_into(chunk, 0, kind, len(chunk), channel_id, token_id)
        struct.pack_into("<II", chunk, HEAD.size, sequence, request_id)
        end = HEAD.size + _SEQUENCE_BYTES + len(body)
        chunk[end - len(body) : end] = body
        if padding:
            chunk[end : end + padding] = bytes((padding - 1,)) * padding
        signed = memoryview(chunk)[:-SIGNATURE_BYTES]
        chunk[-SIGNATURE_BYTES:] = hmac.digest(self.local.signing, signed, "sha256")
        if not self.encrypts:
            return [chunk]
        encryptor = self.local.cipher.encryptor()
        return [signed[: HEAD.size], encryptor.update(memoryview(chunk)[HEAD.size :])]

    def unseal(self, chunk: memoryview, keys: Keys | None) -> memoryview:
        """Sequence header and body of a whole chunk that the other side sealed with these keys. Raises Forged, ValueError."""
        if keys is None or len(chunk) < HEAD.size + _SEQUENCE_BYTES + SIGNATURE_BYTES:
            raise Forged
        plain = chunk
        if self.encrypts:
            plain = memoryview(b"".join((chunk[: HEAD.size], keys.cipher.decryptor().update(chunk[HEAD.size :]))))
        end = len(plain) - SIGNATURE_BYTES
        if end < HEAD.size or not hmac.compare_digest(hmac.digest(keys.signing, plain[:end], "sha256"), plain[end:]):
            raise Forged
        padding = plain[end - 1] + 1 if self.encrypts else 0
        if padding > end - HEAD.size - _SEQUENCE_BYTES:
            raise Forged
        return plain[HEAD.size : end - padding]

    def decrypt(self, data: bytes) -> bytes:
        assert self.remote is not None
        return self.remote.cipher.decryptor().update(data) if self.encrypts else data

    def vsignature_size(self) -> int:
        return SIGNATURE_BYTES

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raises Forged."""
        if self.remote is None or not hmac.compare_digest(hmac.digest(self.remote.signing, data, "sha256"), signature):
            raise Forged

    def remove_padding(self, data: bytes) -> bytes:
        """What is signed but padding (Part 6, 6.7.2.5). Raises Forged."""
        if not self.encrypts:
            return data
        padding = data[-1] + 1 if data else 1
        if padding > len(data) - _SEQUENCE_BYTES:
            raise Forged
        return data[:-padding]


class _Keyed:
    """A policy of the library with our symmetric part."""

    signature_key_size: int
    symmetric_key_size: int
    symmetric_cryptography: Any
    Mode: ua.MessageSecurityMode

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.symmetric_cryptography = Symmetric(encrypts=ua.MessageSecurityMode.SignAndEncrypt == self.Mode)

    def make_local_symmetric_key(self, secret: bytes, seed: bytes) -> None:
        self.symmetric_cryptography.local = self._keys(secret, seed)

    def make_remote_symmetric_key(self, secret: bytes, seed: bytes, lifetime: float) -> None:  # noqa: ARG002 the library's signature
        self.symmetric_cryptography.remote = self._keys(secret, seed)

    def _keys(self, secret: bytes, seed: bytes) -> Keys:
        signing, key, vector = uacrypto.p_sha256(secret, seed, (self.signature_key_size, self.symmetric_key_size, BLOCK_BYTES))
        return Keys(signing, Cipher(algorithms.AES(key), modes.CBC(vector)))


class Basic256Sha256(_Keyed, SecurityPolicyBasic256Sha256):
    pass


class Aes128Sha256RsaOaep(_Keyed, SecurityPolicyAes128Sha256RsaOaep):
    pass


class Aes256Sha256RsaPss(_Keyed, SecurityPolicyAes256Sha256RsaPss):
    pass


@dataclass(frozen=True, slots=True)
class Policy:
    """name as in its URI; cls of the library; level: the greater, the better (Part 4, 7.14, securityLevel), without the mode's part."""

    name: str
    cls: Any
    level: int


NONE: Final = Policy("None", SecurityPolicyNone, 0)
POLICIES: Final = {
    policy.name: policy
    for policy in (
        Policy("Aes256_Sha256_RsaPss", Aes256Sha256RsaPss, 30),
        Policy("Aes128_Sha256_RsaOaep", Aes128Sha256RsaOaep, 20),
        Policy("Basic256Sha256", Basic256Sha256, 10),
    )
}
MODES: Final = {"SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt, "Sign": ua.MessageSecurityMode.Sign}
ENCRYPT_LEVEL: Final = 100
