# mypy: disallow-untyped-calls=False
# (the library's cryptographic functions carry no types)
"""User identity tokens (Part 4, 7.41): what a client brings becomes Credentials, or a ServiceError that tells nothing but its kind.

A password comes encrypted with the server's key, together with the session's nonce, so that it cannot be sent again by somebody who
listened; a user's certificate comes with a signature over the server's certificate and that nonce.
"""

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from gateway.wire.opcua import trust
from gateway.wire.opcua.face import Credentials
from gateway.wire.opcua.policies import POLICIES

_codes: Final = ua.StatusCodes
_BY_URI: Final = {policy.cls.URI: policy for policy in POLICIES.values()}
_DECRYPT: Final[dict[str, Any]] = {
    "Basic256Sha256": uacrypto.decrypt_rsa_oaep,
    "Aes128_Sha256_RsaOaep": uacrypto.decrypt_rsa_oaep,
    "Aes256_Sha256_RsaPss": uacrypto.decrypt_rsa_oaep_sha256,
}
_VERIFY: Final[dict[str, Any]] = {
    "Basic256Sha256": uacrypto.verify_sha256,
    "Aes128_Sha256_RsaOaep": uacrypto.verify_sha256,
    "Aes256_Sha256_RsaPss": uacrypto.verify_pss_sha256,
}
_MOST_BLOCKS: Final = 8  # of RSA, for one password
_LONGEST_NAME: Final = 256
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Server:
    """What the server proves itself with: its certificate (DER) and private key."""

    certificate: bytes
    key: Any


def credentials(
    token: Any, signature: ua.SignatureData, offered: Sequence[ua.UserTokenPolicy], server: Server, nonce: bytes, now_s: float
) -> Credentials:
    """nonce: the last one that the server gave this session. Raises ServiceError: BadIdentityTokenInvalid, BadIdentityTokenRejected,
    BadUserSignatureInvalid.
    """
    if token is None or (isinstance(token, ua.ExtensionObject) and token.TypeId == ua.NodeId()):
        token = ua.AnonymousIdentityToken()  # Part 4, 5.6.3.2
    if isinstance(token, ua.AnonymousIdentityToken):
        _policy(token, ua.UserTokenType.Anonymous, offered)
        return Credentials()
    if isinstance(token, ua.UserNameIdentityToken):
        return _by_name(token, _policy(token, ua.UserTokenType.UserName, offered), server, nonce)
    if isinstance(token, ua.X509IdentityToken):
        return _by_certificate(token, signature, _policy(token, ua.UserTokenType.Certificate, offered), server, nonce, now_s)
    raise ServiceError(_codes.BadIdentityTokenRejected)


def _policy(token: Any, kind: ua.UserTokenType, offered: Sequence[ua.UserTokenPolicy]) -> ua.UserTokenPolicy:
    of_kind = [policy for policy in offered if policy.TokenType == kind]
    if not of_kind:
        raise ServiceError(_codes.BadIdentityTokenRejected)
    wanted = next((policy for policy in of_kind if policy.PolicyId == token.PolicyId), None)
    if wanted is None:
        if token.PolicyId or kind != ua.UserTokenType.Anonymous:
            raise ServiceError(_codes.BadIdentityTokenInvalid)
        wanted = of_kind[0]
    return wanted


def _by_name(token: ua.UserNameIdentityToken, offered: ua.UserTokenPolicy, server: Server, nonce: bytes) -> Credentials:
    """Part 4, 7.41.4 and 7.41.2.2: one answer for whatever is wrong with the secret."""
    policy = _BY_URI[str(offered.SecurityPolicyUri)]
    user, secret = token.UserName, bytes(token.Password or b"")
    if not user or len(user) > _LONGEST_NAME or token.EncryptionAlgorithm != policy.cls.AsymmetricEncryptionURI:
        raise ServiceError(_codes.BadIdentityTokenInvalid)
    try:
        password = _decrypted(secret, _DECRYPT[policy.name], server.key, nonce).decode("utf-8")
    except (ValueError, struct.error):
        raise ServiceError(_codes.BadIdentityTokenInvalid) from None
    return Credentials(user=user, password=password)


def _decrypted(secret: bytes, decrypt: Any, key: Any, nonce: bytes) -> bytes:
    """What stands before the nonce. Raises ValueError, struct.error."""
    block = key.key_size // 8
    if not secret or len(secret) % block or len(secret) > _MOST_BLOCKS * block:
        raise ValueError
    plain = b"".join(decrypt(key, secret[at : at + block]) for at in range(0, len(secret), block))
    (length,) = _LENGTH.unpack_from(plain)
    content = plain[_LENGTH.size : _LENGTH.size + length]
    if len(content) != length or length < len(nonce) or not nonce:
        raise ValueError
    if not hmac.compare_digest(content[-len(nonce) :], nonce):
        raise ValueError
    return content[: -len(nonce)]


def _by_certificate(
    token: ua.X509IdentityToken, signature: ua.SignatureData, offered: ua.UserTokenPolicy, server: Server, nonce: bytes, now_s: float
) -> Credentials:
    """Part 4, 7.41.5."""
    policy = _BY_URI[str(offered.SecurityPolicyUri)]
    try:
        certificate, _ = trust.parse(token.CertificateData)
        trust.check_form(certificate, now_s)
    except trust.Untrusted as unfit:
        raise ServiceError(_codes.BadIdentityTokenRejected if unfit.known else _codes.BadIdentityTokenInvalid) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ServiceError(_codes.BadIdentityTokenInvalid) from None
    if signature.Algorithm != policy.cls.AsymmetricSignatureURI or not signed(
        certificate, _VERIFY[policy.name], server.certificate + nonce, signature
    ):
        raise ServiceError(_codes.BadUserSignatureInvalid)
    return Credentials(certificate=trust.der_of(certificate))


def signed(certificate: x509.Certificate, verify: Any, data: bytes, signature: ua.SignatureData) -> bool:
    """Whether the holder of the certificate's key has signed that."""
    try:
        verify(certificate, data, bytes(signature.Signature or b""))
    except (InvalidSignature, ValueError, TypeError, AttributeError):
        return False
    return True
