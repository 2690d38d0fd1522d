"""Application certificates (Part 6, 6.2.2) and whom to trust (Part 2, 8.1.3): files under `<data_dir>/pki`.

own/{cert.der,key.pem}   this application's certificate, self-signed, made on first use and renewed with the same key holder's name
trusted/, issuers/       certificates of the other side, DER or PEM, put there by a person
rejected/                what was refused, so that a person can move it to trusted/
Every function here touches the disk: call them off the event loop.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = dt.timedelta(days=5 * 365)
RENEW_BEFORE: Final = dt.timedelta(days=30)
KEY_BITS: Final = (2048, 4096)  # what the current policies allow (Part 7, Basic256Sha256 and later)


class Untrusted(Exception):
    """A certificate that must not be used, and why."""


@dataclass(frozen=True, slots=True)
class Own:
    """Paths of the own certificate (DER) and its private key (PEM), and when it ends (UTC, seconds since 1970)."""

    certificate: Path
    key: Path
    expires_s: float


def application_uri(gateway: str) -> str:
    """The ApplicationUri of the gateway's server and clients, equal to the certificate's SAN."""
    return f"urn:{socket.gethostname()}:edgetwin:{gateway}"


def own(pki: Path, gateway: str, now_s: float) -> Own:
    """The own certificate, made where there is none and renewed 30 days before it ends. Raises OSError, ValueError (damaged file)."""
    paths = pki / "own" / "cert.der", pki / "own" / "key.pem"
    if all(path.exists() for path in paths):
        certificate = x509.load_der_x509_certificate(paths[0].read_bytes())
        left = certificate.not_valid_after_utc.timestamp() - now_s
        if left > RENEW_BEFORE.total_seconds() and application_uri(gateway) in _uris(certificate):
            return Own(*paths, certificate.not_valid_after_utc.timestamp())
    return renew(pki, gateway, now_s)


def renew(pki: Path, gateway: str, now_s: float) -> Own:
    """A new self-signed certificate and key in place of the old. Raises OSError."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _self_signed(key, gateway, dt.datetime.fromtimestamp(now_s, dt.UTC))
    folder = pki / "own"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(folder / "key.pem", secret, 0o600)
    _replace(folder / "cert.der", certificate.public_bytes(serialization.Encoding.DER), 0o644)
    return Own(folder / "cert.der", folder / "key.pem", certificate.not_valid_after_utc.timestamp())


def _self_signed(key: rsa.RSAPrivateKey, gateway: str, now: dt.datetime) -> x509.Certificate:
    host = socket.gethostname()
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"edgetwin {gateway}"[:64]), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Edgetwin")]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks of the plant floor differ
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.UniformResourceIdentifier(application_uri(gateway)),
                    x509.DNSName(host),
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def load(path: Path) -> x509.Certificate:
    """A certificate in DER or PEM. Raises OSError, ValueError."""
    content = path.read_bytes()
    return x509.load_pem_x509_certificate(content) if content.lstrip().startswith(b"-----") else x509.load_der_x509_certificate(content)


def der(path: Path) -> bytes:
    """The bytes that go over the wire, whatever the file's form. Raises OSError, ValueError."""
    return load(path).public_bytes(serialization.Encoding.DER)


def uri_in(path: Path) -> str | None:
    """The ApplicationUri that a certificate is made for; None where it names none. Raises OSError, ValueError."""
    return next(iter(_uris(load(path))), None)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 in hexadecimal: the CertificateId of Part 6."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the standard's name of a certificate, no proof


def check_peer(der: bytes, pki: Path, pinned: Path | None, now_s: float) -> None:
    """Whether the other side's certificate may be used: the pinned one, one in trusted/, or one signed by an issuer in either folder.

    Raises Untrusted with what to do; a refused certificate is put into rejected/.
    """
    certificate = x509.load_der_x509_certificate(der)
    _check_form(certificate, now_s)
    if pinned is not None:
        if load(pinned) != certificate:
            raise Untrusted(f"the server's certificate {thumbprint(certificate)} is not the pinned {pinned}")
        return
    if any(trusted == certificate or _signed_by(certificate, trusted) for trusted in _certificates(pki / "trusted")):
        return
    if any(_signed_by(certificate, issuer) for issuer in _certificates(pki / "issuers")):
        return
    print_ = thumbprint(certificate)
    rejected = pki / "rejected"
    rejected.mkdir(parents=True, exist_ok=True, mode=0o700)
    _replace(rejected / f"{print_}.der", der, 0o644)
    whose = certificate.subject.rfc4514_string()
    raise Untrusted(f"the server's certificate {print_} ({whose}) is not trusted: check it, then move it from {rejected} to trusted/")


def _check_form(certificate: x509.Certificate, now_s: float) -> None:
    now = dt.datetime.fromtimestamp(now_s, dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        span = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise Untrusted(f"the server's certificate is valid from {span}")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not KEY_BITS[0] <= key.key_size <= KEY_BITS[1]:
        raise Untrusted(f"the server's key is not RSA of {KEY_BITS[0]} to {KEY_BITS[1]} bits")


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    for path in sorted(folder.glob("*")):
        if path.suffix in {".der", ".pem", ".crt", ".cer"}:
            with contextlib.suppress(ValueError, OSError):
                yield load(path)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not constraints.ca:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
