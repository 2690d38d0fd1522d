# mypy: disallow-untyped-calls=False
# (the library's connection classes carry no types)
"""Messages and their chunks on an open channel (Part 6, 6.7.2), for both ends: what the library does field by field is done here at once.

Only what carries services (MSG) passes here; opening and closing go the library's way.
"""

import struct
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import CryptographyNone

from gateway.wire.opcua.policies import HEAD, Keys, Symmetric

_CHUNK_HEAD: Final = struct.Struct("<4sIIIII")  # type, size, channel, token, sequence number, request
_TOKEN: Final = struct.Struct("<I")
_SEQUENCE: Final = struct.Struct("<II")
_BEFORE_TOKEN: Final = HEAD.size - _TOKEN.size  # bytes of a chunk that the library has read when it asks
_LAST_SEQUENCE: Final = 0xFFFF_FFFF


class Chunked(SecureConnection):
    """Either end of a channel. The keys of the token before stay good for what is under way when a token is renewed (Part 4, 5.5.2.1)."""

    _before: tuple[int, Keys | None] | None = None

    def revolve_tokens(self) -> None:
        symmetric = self.security_policy.symmetric_cryptography
        if isinstance(symmetric, Symmetric):
            self._before = self.security_token.TokenId, symmetric.remote
        super().revolve_tokens()

    def receive_from_header_and_body(self, header: Any, body: Buffer) -> Any:
        """A whole message, or None after a chunk that is not its last. Raises Forged, UaError, struct.error."""
        symmetric = self.security_policy.symmetric_cryptography
        if header.MessageType != ua.MessageType.SecureMessage or type(symmetric) not in (CryptographyNone, Symmetric):
            return super().receive_from_header_and_body(header, body)
        begin, end = body._cur_pos, body._cur_pos + header.body_size
        if header.body_size > len(body) or begin < _BEFORE_TOKEN:
            raise ValueError("a chunk that is not all here")
        whole = memoryview(body._data)[begin - _BEFORE_TOKEN : end]
        body.skip(header.body_size)
        (token,) = _TOKEN.unpack_from(whole, _BEFORE_TOKEN)
        self._check_sym_header(ua.SymmetricAlgorithmHeader(token))
        content: bytes | memoryview = whole[HEAD.size :]
        if isinstance(symmetric, Symmetric):
            content = symmetric.unseal(whole, self._keys(symmetric, token))
        chunk = MessageChunk.__new__(MessageChunk)
        chunk.MessageHeader = header
        chunk.SequenceHeader = ua.SequenceHeader(*_SEQUENCE.unpack_from(content))
        chunk.Body = bytes(content[_SEQUENCE.size :])
        return self._receive(chunk)

    def _keys(self, symmetric: Symmetric, token: int) -> Keys | None:
        before = self._before
        return before[1] if before is not None and token == before[0] != self.security_token.TokenId else symmetric.remote

    def message_to_binary(self, message: bytes, message_type: Any = ua.MessageType.SecureMessage, request_id: int = 0) -> bytes:
        """Chunks of a message (Part 6, 6.7.2), put together here: two copies without security, three with it, instead of eight."""
        symmetric = self.security_policy.symmetric_cryptography
        if message_type != ua.MessageType.SecureMessage or type(symmetric) not in (CryptographyNone, Symmetric):
            return super().message_to_binary(message, message_type, request_id)
        pieces: list[Any] = []
        whole, token = memoryview(message), self.security_token
        sealed = symmetric if isinstance(symmetric, Symmetric) else None
        room = self._limits.max_send_buffer - _CHUNK_HEAD.size if sealed is None else sealed.room(self._limits.max_send_buffer)
        for start in range(0, len(whole), room):
            part = whole[start : start + room]
            self._sequence_number = self._sequence_number % _LAST_SEQUENCE + 1
            kind = b"MSGF" if start + room >= len(whole) else b"MSGC"
            if sealed is not None:
                pieces += sealed.seal(kind, token.ChannelId, token.TokenId, self._sequence_number, request_id, part)
                continue
            size = _CHUNK_HEAD.size + len(part)
            pieces += [_CHUNK_HEAD.pack(kind, size, token.ChannelId, token.TokenId, self._sequence_number, request_id), part]
        return b"".join(pieces)
