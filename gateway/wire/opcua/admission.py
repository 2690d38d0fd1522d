# mypy: disallow-untyped-calls=False
# (the library's policy factory carries no types)
"""Who is let in: the doors that the server opens, its own certificate, whom it trusts, and what it does about those that it turns away."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.wire.opcua import certificates, limits, trust
from gateway.wire.opcua.endpoints import Door, describe, token_policies
from gateway.wire.opcua.face import Face, Refusal
from gateway.wire.opcua.identity import Server
from gateway.wire.opcua.policies import NONE
from gateway.wire.opcua.trust import Trust, Untrusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SAY_AGAIN_S: Final = 60.0
_REMEMBERED: Final = 1000  # certificates that were refused lately
_KEPT_EACH_S: Final = 1.0  # files in rejected/, at most one in that time


@dataclass(frozen=True, slots=True)
class Own:
    """The server's certificate and key. expires_s: UTC seconds since 1970."""

    certificate: x509.Certificate
    key: Any

    @property
    def server(self) -> Server:
        return Server(trust.der_of(self.certificate), self.key)

    @property
    def expires_s(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()


def read_own(pki: Path) -> Own:
    """Raises OSError, ValueError (damaged, or a key that is not the certificate's, as in the middle of a renewal)."""
    certificate = trust.load(pki / "own" / "cert.der")
    key: Any = serialization.load_pem_private_key((pki / "own" / "key.pem").read_bytes(), None)
    if key.public_key() != certificate.public_key():
        raise ValueError("the private key is not the certificate's")
    if not isinstance(key, rsa.RSAPrivateKey) or not trust.KEY_BITS[0] <= key.key_size <= trust.KEY_BITS[1]:
        raise ValueError(f"the private key is not RSA of {trust.KEY_BITS[0]} to {trust.KEY_BITS[1]} bits")
    return Own(certificate, key)


class Admission:
    """policies is shared with every connection and changes in place when the own certificate is renewed."""

    def __init__(self, pki: Path, doors: Sequence[Door], face: Face, *, anonymous: bool) -> None:
        self.pki, self.doors, self.anonymous = pki, doors, anonymous
        self._face = face
        self._trust = Trust(pki)
        self._own: Own | None = None
        self.policies: list[Any] = []
        self._said: OrderedDict[str, float] = OrderedDict()
        self._kept_s = float("-inf")
        self._signing_in = 0

    @property
    def own(self) -> Own:
        assert self._own is not None, "open() comes first"
        return self._own

    async def open(self, gateway: str, now_s: float) -> None:
        """Makes or renews the own certificate where it has to be. Raises OSError, ValueError."""
        await asyncio.to_thread(certificates.own, self.pki, gateway, now_s)
        self._use(await asyncio.to_thread(read_own, self.pki))
        await self._trust.refresh()

    async def refresh(self) -> bool:
        """Takes note of what a person has changed in the folder; whether there was anything. Raises nothing."""
        if not await self._trust.refresh():
            return False
        try:
            own = await asyncio.to_thread(read_own, self.pki)
        except (OSError, ValueError):
            self._trust.forget()  # in the middle of a renewal: looked at again with the next one who comes
            return True
        if own.certificate != self.own.certificate:
            self._use(own)
        return True

    async def keep(self, gateway: str, now_s: float) -> None:
        """An own certificate that has ended keeps everybody out (it may be of a time when the clock was wrong): renewed if it is ours."""
        if now_s > self.own.expires_s:
            with suppress(OSError, ValueError):  # seen in status, and tried again
                await asyncio.to_thread(certificates.own, self.pki, gateway, now_s)

    def _use(self, own: Own) -> None:
        self._own = own
        self.policies[:] = [
            SecurityPolicyFactory(SecurityPolicyNone, door.mode)
            if door.policy is NONE
            else SecurityPolicyFactory(door.policy.cls, door.mode, own.certificate, own.key)
            for door in self.doors
        ]

    def endpoints(self, application: ua.ApplicationDescription) -> list[ua.EndpointDescription]:
        return describe(self.doors, application, self.own.server.certificate, anonymous=self.anonymous)

    def tokens(self, uri: str, mode: ua.MessageSecurityMode) -> list[ua.UserTokenPolicy]:
        """How to sign in over a channel of that policy and mode; no way where it is not served."""
        door = next((door for door in self.doors if uri == door.policy.cls.URI and door.mode == mode), None)
        return [] if door is None else token_policies(door, anonymous=self.anonymous)

    def trusted(self, shown: bytes) -> bytes:
        """The first certificate (DER) of what a client shows. Raises Untrusted."""
        return trust.der_of(self._trust.lists.check(shown, self.now_s(), ExtendedKeyUsageOID.CLIENT_AUTH))

    def now_s(self) -> float:
        return self._face.now_ns() / 1e9

    async def turn_away(self, refused: Untrusted, shown: bytes, origin: str) -> None:
        """Counts it, keeps the certificate of a stranger for a person to look at, and tells of each certificate once a minute."""
        self._face.count("certificates_refused")
        try:
            certificate, _ = trust.parse(shown)
            print_, subject = trust.thumbprint(certificate), trust.subject(certificate)
        except (Untrusted, ValueError):
            print_, subject = "", ""
        now_s = time.monotonic()
        if now_s - self._said.get(print_, float("-inf")) < _SAY_AGAIN_S:
            return
        self._said[print_] = now_s
        self._said.move_to_end(print_)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        await self._face.turned_away(Refusal(origin, subject, print_, refused.why, refused.said))
        if not refused.known and now_s - self._kept_s >= _KEPT_EACH_S:
            self._kept_s = now_s
            await asyncio.to_thread(self._keep, shown)

    def _keep(self, shown: bytes) -> None:
        try:
            certificates.reject_unknown(self.pki, shown)
        except OSError:
            self._face.count("rejected_certificates_not_kept")

    @asynccontextmanager
    async def turn(self) -> "AsyncIterator[None]":
        """Passwords are dear to check: some wait for it at once, the others come again. Raises ServiceError BadTooManyOperations."""
        if self._signing_in >= limits.SIGN_INS:
            self._face.count("sign_ins_refused")
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        self._signing_in += 1
        try:
            yield
        finally:
            self._signing_in -= 1
