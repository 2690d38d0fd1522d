# mypy: disallow-untyped-calls=False
# (the library's connection classes carry no types)
"""Messages and their chunks on an open channel (Part 6, 6.7.2), for both ends: what the library does field by field is done here at once.

Only what carries services (MSG) passes here; opening and closing go the library's way.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import CryptographyNone

from gateway.wire.opcua.policies import HEAD, Keys, Symmetric

_CHUNK_HEAD: Final = struct.Struct("<4sIIIII")  # type, size, channel, token, sequence number, request
HEAD_BYTES: Final = _CHUNK_HEAD.size  # of a chunk without security
_WHOLE: Final = b"MSGF"
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

    def whole(self, data: bytes, at: int, wanted: Callable[[int], bool]) -> tuple[int, int, int] | None:
        """The usual message, one chunk without security that is all here at data[at:]: request, and where its body begins and ends.

        It counts as received. None: anything else, or of a request that is not wanted here; it goes the long way and has not been touched.
        """
        if len(data) - at < _CHUNK_HEAD.size:
            return None
        kind, size, channel, token, sequence, request = _CHUNK_HEAD.unpack_from(data, at)
        now, limits = self.security_token, self._limits
        if (
            kind != _WHOLE
            or not _CHUNK_HEAD.size <= size <= min(len(data) - at, limits.max_recv_buffer)
            or token != now.TokenId
            or channel != now.ChannelId
            or (self._peer_sequence_number is not None and sequence != self._peer_sequence_number + 1)
            or self._incoming_parts
            or type(self.security_policy.symmetric_cryptography) is not CryptographyNone
            or not limits.is_msg_size_within_limit(size - _CHUNK_HEAD.size)
            or not wanted(request)
        ):
            return None
        self._peer_sequence_number = sequence
        return request, at + _CHUNK_HEAD.size, at + size

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
        token = self.security_token
        sealed = symmetric if isinstance(symmetric, Symmetric) else None
        room = self._limits.max_send_buffer - _CHUNK_HEAD.size if sealed is None else sealed.room(self._limits.max_send_buffer)
        if sealed is None and len(message) <= room:
            self._sequence_number = self._sequence_number % _LAST_SEQUENCE + 1
            size = _CHUNK_HEAD.size + len(message)
            return _CHUNK_HEAD.pack(_WHOLE, size, token.ChannelId, token.TokenId, self._sequence_number, request_id) + message
        whole = memoryview(message)
        for start in range(0, len(whole), room):
            part = whole[start : start + room]
            self._sequence_number = self._sequence_number % _LAST_SEQUENCE + 1
            kind = _WHOLE if start + room >= len(whole) else b"MSGC"
            if sealed is not None:
                pieces += sealed.seal(kind, token.ChannelId, token.TokenId, self._sequence_number, request_id, part)
                continue
            size = _CHUNK_HEAD.size + len(part)
            pieces += [_CHUNK_HEAD.pack(kind, size, token.ChannelId, token.TokenId, self._sequence_number, request_id), part]
        return b"".join(pieces)
