# mypy: disallow-untyped-calls=False
# (the library's connection classes carry no types)
"""A secure channel (Part 4, 5.5; Part 6, 6.7): who may open one, how long its tokens live, and how messages become chunks."""

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.crypto.uacrypto import InvalidSignature as LibraryInvalidSignature
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from gateway.wire.opcua import limits
from gateway.wire.opcua.chunks import Chunked
from gateway.wire.opcua.policies import Forged

if TYPE_CHECKING:
    from gateway.wire.opcua.admission import Admission

_BAD_CRYPTO: Final = (Forged, InvalidSignature, LibraryInvalidSignature, ValueError, TypeError, IndexError, struct.error)
_GRACE: Final = 1.25  # of a token's lifetime (Part 4, 5.5.2.1)
_codes: Final = ua.StatusCodes


class Channel(Chunked):
    """The server's end. shown: what the client shows as its certificate, a chain in DER; empty without security. own: what the server
    showed when it was opened, whatever has been renewed since.
    """

    def __init__(self, admission: "Admission", transport_limits: Any) -> None:
        super().__init__(SecurityPolicyNone(), transport_limits)
        self._admission = admission
        self._policies = admission.policies
        self._good_until: dict[int, float] = {}  # token -> monotonic seconds
        self.shown = b""
        self.own = admission.own
        self.signed_in = False  # somebody has, once

    @property
    def certificate(self) -> bytes:
        """The client's, the first of its chain; empty without security."""
        return self.security_policy.peer_certificate or b""

    @property
    def secure(self) -> bool:
        return bool(self.security_policy.Mode != ua.MessageSecurityMode.None_)

    @property
    def offered(self) -> bool:
        """Whether sessions may be made on it: without security it is there to ask for the endpoints at least (Part 4, 5.4.1)."""
        return any(policy.matches(self.security_policy.URI, self.security_policy.Mode) for policy in self._policies)

    def expired(self) -> bool:
        """All its tokens have lived their lives."""
        return bool(self._good_until) and time.monotonic() > max(self._good_until.values())

    def select_policy(self, uri: str, peer_certificate: bytes | None, mode: ua.MessageSecurityMode | None = None) -> None:
        """Called before anything is decrypted, without the mode, and once more with it. Raises UaStatusCodeError, Untrusted."""
        if uri == SecurityPolicyNone.URI:
            if mode not in (None, ua.MessageSecurityMode.None_):
                raise UaStatusCodeError(_codes.BadSecurityModeRejected)
            self.security_policy, self.own = SecurityPolicyNone(), self._admission.own
            return
        if not any(policy.matches(uri) for policy in self._policies):
            raise UaStatusCodeError(_codes.BadSecurityPolicyRejected)
        chosen = next((policy for policy in self._policies if policy.matches(uri, mode)), None)
        if chosen is None:
            raise UaStatusCodeError(_codes.BadSecurityModeRejected)
        self.shown = bytes(peer_certificate or b"")
        self.security_policy, self.own = chosen.create(self._admission.trusted(self.shown)), self._admission.own

    def open(self, params: Any, server: Any) -> ua.OpenSecureChannelResult:
        """Part 4, 5.5.2: one channel for each connection; a renewal keeps its mode, and asks for a certificate that is still good.

        Raises UaStatusCodeError, Untrusted.
        """
        issue = params.RequestType == ua.SecurityTokenRequestType.Issue
        if issue is self._open:
            raise UaStatusCodeError(_codes.BadRequestTypeInvalid)
        if params.SecurityMode != self.security_policy.Mode:
            raise UaStatusCodeError(_codes.BadSecurityModeRejected)
        nonce = bytes(params.ClientNonce or b"")
        if self.secure and (len(nonce) != self.security_policy.secure_channel_nonce_length or nonce == self.remote_nonce):
            raise UaStatusCodeError(_codes.BadNonceInvalid)
        if self.secure and not issue:
            self._admission.trusted(self.shown)
        low, high = limits.CHANNEL_LIFETIME_MS
        params.RequestedLifetime = min(max(params.RequestedLifetime or high, low), high)
        made: ua.OpenSecureChannelResult = super().open(params, server)
        self._good_until[made.SecurityToken.TokenId] = time.monotonic() + params.RequestedLifetime / 1000.0 * _GRACE
        return made

    def revolve_tokens(self) -> None:
        """The client uses the new token: the old one is of no use any more."""
        super().revolve_tokens()
        self._good_until = {token: until for token, until in self._good_until.items() if token >= self.security_token.TokenId}

    def _check_sym_header(self, security_hdr: Any) -> None:
        if time.monotonic() > self._good_until.get(security_hdr.TokenId, 0.0):
            raise UaStatusCodeError(_codes.BadSecureChannelTokenUnknown)
        super()._check_sym_header(security_hdr)

    def whole(self, data: bytes, at: int, wanted: Callable[[int], bool]) -> tuple[int, int, int] | None:
        """Also None where a token has lived its life."""
        alive = self._open and time.monotonic() <= self._good_until.get(self.security_token.TokenId, 0.0)
        return super().whole(data, at, wanted) if alive else None

    def receive_from_header_and_body(self, header: Any, body: Buffer) -> Any:
        """Raises UaError; BadSecurityChecksFailed for whatever is wrong with signature, padding or encryption, and no more is said."""
        kind = header.MessageType
        if kind == ua.MessageType.SecureOpen and header.body_size > limits.OPEN_BYTES:
            raise UaStatusCodeError(_codes.BadTcpMessageTooLarge)
        if kind in (ua.MessageType.SecureMessage, ua.MessageType.SecureClose) and not self.is_open():
            raise UaStatusCodeError(_codes.BadTcpSecureChannelUnknown)
        try:
            return super().receive_from_header_and_body(header, body)
        except UaError:
            raise
        except _BAD_CRYPTO:
            raise UaStatusCodeError(_codes.BadSecurityChecksFailed) from None

    def _receive(self, msg: Any) -> Any:
        """Chunks are kept until the last one: of a stranger only so many. Raises UaStatusCodeError."""
        if not self.signed_in and self._incoming_size + len(msg.Body) > limits.STRANGER_BYTES:
            self._drop_incoming_parts()
            raise UaStatusCodeError(_codes.BadRequestTooLarge)
        return super()._receive(msg)
