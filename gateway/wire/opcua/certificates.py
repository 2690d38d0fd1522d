"""Application certificates (Part 6, 6.2.2) and what a person decides about those of others (Part 12, 7.8.2): files in `<data_dir>/pki`.

own/{cert.der,key.pem}   this application's certificate, self-signed, made on first use and renewed with the same key holder's name
trusted/, issuers/       certificates of the other side, see `trust`
rejected/                what was refused, so that a person can move it to trusted/; the newest ones only
Every function here touches the disk: call them off the event loop.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import shlex
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.wire.opcua import trust
from gateway.wire.opcua.trust import TrustList, Untrusted, load, thumbprint, uris

__all__ = ["Own", "Untrusted", "application_uri", "check_peer", "der", "load", "own", "renew", "thumbprint", "uri_in"]

LIFETIME: Final = dt.timedelta(days=5 * 365)
RENEW_BEFORE: Final = dt.timedelta(days=30)
REJECTED: Final = 100  # files in rejected/
PLACES: Final = ("own", "trusted", "issuers", "rejected")
_SHORTEST_PREFIX: Final = 8
_making = threading.Lock()  # the server and each source may ask for the own certificate at once


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
    """The own certificate, made where there is none and renewed 30 days before it ends. One that an authority has signed is left alone.

    Raises OSError, ValueError (damaged, or made for another application).
    """
    with _making:
        paths = pki / "own" / "cert.der", pki / "own" / "key.pem"
        if all(path.exists() for path in paths):
            certificate = load(paths[0])
            kept = Own(*paths, certificate.not_valid_after_utc.timestamp())
            if certificate.issuer != certificate.subject:
                _check_given(certificate, gateway)
                return kept
            left = kept.expires_s - now_s
            if left > RENEW_BEFORE.total_seconds() and application_uri(gateway) in uris(certificate) and _pair(certificate, paths[1]):
                return kept
        return _renew(pki, gateway, now_s)


def _check_given(certificate: x509.Certificate, gateway: str) -> None:
    if application_uri(gateway) not in uris(certificate):
        raise ValueError(
            f"it was signed by {certificate.issuer.rfc4514_string()}, but not for the ApplicationUri {application_uri(gateway)}"
        )


def _pair(certificate: x509.Certificate, key: Path) -> bool:
    """False after a renewal that was cut off between its two files."""
    private: Any = serialization.load_pem_private_key(key.read_bytes(), None)
    return bool(private.public_key() == certificate.public_key())


def renew(pki: Path, gateway: str, now_s: float) -> Own:
    """A new self-signed certificate and key in place of the old. Raises OSError."""
    with _making:
        return _renew(pki, gateway, now_s)


def _renew(pki: Path, gateway: str, now_s: float) -> Own:
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
                    *(x509.IPAddress(address) for address in _addresses()),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _addresses() -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The loopback's, and the one that this machine shows to others, as far as its routes tell; nothing is sent."""
    found = [ipaddress.ip_address("127.0.0.1")]
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            found.append(ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]))
    return list(dict.fromkeys(found))


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


def der(path: Path) -> bytes:
    """The bytes that go over the wire, whatever the file's form. Raises OSError, ValueError."""
    return trust.der_of(load(path))


def uri_in(path: Path) -> str | None:
    """The ApplicationUri that a certificate is made for; None where it names none. Raises OSError, ValueError."""
    return next(iter(uris(load(path))), None)


def check_peer(der: bytes, pki: Path, pinned: Path | None, now_s: float) -> None:
    """Whether a server's certificate may be used: the pinned one, or one that the trust list vouches for.

    Raises Untrusted with what to do; a refused certificate is put into rejected/.
    """
    if pinned is not None:
        certificate, _ = trust.parse(der)
        if load(pinned) != certificate:
            raise Untrusted(f"the server's certificate {thumbprint(certificate)} is not the pinned {pinned}")
        trust.check_form(certificate, now_s)
        return
    try:
        TrustList.read(pki).check(der, now_s, ExtendedKeyUsageOID.SERVER_AUTH, strict=False)
    except Untrusted as refused:
        if refused.known:
            raise
        reject_unknown(pki, der)
        raise Untrusted(f"the server's certificate: {refused.why}: {_to_trust(pki, der)}", refused.code) from None


def _to_trust(pki: Path, der: bytes) -> str:
    """What lets a refused server in: `edgetwin cert trust` reaches the folder of a gateway alone."""
    try:
        kept = pki / "rejected" / f"{thumbprint(trust.parse(der)[0])}.der"
    except Untrusted:
        return "it cannot be read"
    trusted = shlex.quote(str(pki / "trusted"))
    return f"check it, then `mkdir -p {trusted} && mv {shlex.quote(str(kept))} {trusted}/`"


def reject_unknown(pki: Path, der: bytes) -> None:
    """Keeps what was refused, for a person to look at; the oldest give way to it. Raises OSError."""
    try:
        certificate, _ = trust.parse(der)
    except Untrusted:
        return
    folder = pki / "rejected"
    path = folder / f"{thumbprint(certificate)}.der"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = sorted(folder.glob("*.der"), key=lambda file: file.stat().st_mtime)
    for oldest in kept[: max(0, len(kept) - REJECTED + 1)]:
        oldest.unlink(missing_ok=True)
    _replace(path, trust.der_of(certificate), 0o644)


# --- what a person sees and decides ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate and where it lies: place is one of PLACES. Times: UTC seconds since 1970."""

    place: str
    path: Path
    certificate: x509.Certificate

    @property
    def sha1(self) -> str:
        return thumbprint(self.certificate)

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def inventory(pki: Path) -> Iterator[Entry]:
    """All certificates of a folder, place by place; files that are none are passed over."""
    for place in PLACES:
        for path in trust.files(pki / place):
            with contextlib.suppress(ValueError, OSError):
                yield Entry(place, path, load(path))


def find(pki: Path, wanted: str, places: tuple[str, ...]) -> Entry:
    """The one whose SHA-1 or SHA-256 is, or begins with, that (colons and case do not matter). LookupError where none or several are."""
    digits = wanted.replace(":", "").replace(" ", "").lower()
    if len(digits) < _SHORTEST_PREFIX:
        raise LookupError(f"{wanted[:100]!r}: give at least {_SHORTEST_PREFIX} digits of the thumbprint")
    found = {
        entry.sha256: entry
        for entry in inventory(pki)
        if entry.place in places and digits in (entry.sha1[: len(digits)], entry.sha256[: len(digits)])
    }
    if len(found) != 1:
        many = "there are several certificates" if found else "there is no certificate"
        raise LookupError(f"{many} {wanted[:100]!r} in {', '.join(places)}")
    return next(iter(found.values()))


def decode(content: bytes) -> x509.Certificate:
    """A certificate that a person gives, DER or PEM. Raises ValueError."""
    return x509.load_pem_x509_certificate(content) if content.lstrip().startswith(b"-----") else x509.load_der_x509_certificate(content)


def accept(pki: Path, certificate: x509.Certificate, place: str) -> Entry:
    """Puts it into trusted/ or issuers/, and takes it out of all other places: who moves an authority to issuers/ trusts it no more.

    Raises OSError.
    """
    folder = pki / place
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{thumbprint(certificate)}.der"
    _replace(path, trust.der_of(certificate), 0o644)
    _remove(pki, certificate, tuple({"trusted", "issuers", "rejected"} - {place}))
    return Entry(place, path, certificate)


def reject(pki: Path, entry: Entry) -> Entry:
    """Takes it out of trusted/ and issuers/ into rejected/. Raises OSError."""
    reject_unknown(pki, trust.der_of(entry.certificate))
    _remove(pki, entry.certificate, ("trusted", "issuers"))
    return Entry("rejected", pki / "rejected" / f"{entry.sha1}.der", entry.certificate)


def _remove(pki: Path, certificate: x509.Certificate, places: tuple[str, ...]) -> None:
    for entry in list(inventory(pki)):
        if entry.place in places and entry.certificate == certificate:
            entry.path.unlink(missing_ok=True)
