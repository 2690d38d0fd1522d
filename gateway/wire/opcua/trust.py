"""Whose certificates are good (Part 4, 6.1.3; trust lists as in Part 12, 7.8.2). A list is read off the event loop and asked on it.

trusted/   certificates of applications, and authorities whose certificates are all good
issuers/   authorities that are only needed to complete a chain: they make nobody trusted
Certificates are DER or PEM (`.der .pem .crt .cer`), revocation lists `.crl`; the folders `certs` and `crl` below are read as well.
An authority without a revocation list revokes nothing.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

Kind = TypeVar("Kind", bound=x509.ExtensionType)

KEY_BITS: Final = (2048, 4096)  # what the current policies allow (Part 7, Basic256Sha256 and later)
LONGEST_CHAIN: Final = 8
CERTIFICATES: Final = frozenset({".der", ".pem", ".crt", ".cer"})
_LARGEST_BYTES: Final = 64 * 1024
_CRL_BYTES: Final = 8 * 2**20
_HASHES: Final = (hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)

INVALID: Final = 0x8012_0000  # BadCertificateInvalid
TIME_INVALID: Final = 0x8014_0000
ISSUER_TIME_INVALID: Final = 0x8015_0000
URI_INVALID: Final = 0x8017_0000
USE_NOT_ALLOWED: Final = 0x8018_0000
ISSUER_USE_NOT_ALLOWED: Final = 0x8019_0000
UNTRUSTED: Final = 0x801A_0000
REVOKED: Final = 0x801D_0000
ISSUER_REVOKED: Final = 0x801E_0000
CHAIN_INCOMPLETE: Final = 0x810D_0000
POLICY_CHECK_FAILED: Final = 0x8114_0000
SECURITY_CHECKS_FAILED: Final = 0x8013_0000


class Untrusted(Exception):
    """A certificate that must not be used: why, the StatusCode of Part 4, 6.1.3, and whether it would be trusted but for this."""

    def __init__(self, why: str, code: int = UNTRUSTED, *, known: bool = False) -> None:
        super().__init__(why)
        self.why, self.code, self.known = why, code, known

    @property
    def said(self) -> int:
        """What the peer is told: a stranger learns nothing but BadSecurityChecksFailed."""
        return self.code if self.known else SECURITY_CHECKS_FAILED


@dataclass(frozen=True, slots=True)
class TrustList:
    """What a person has decided, at one time."""

    trusted: tuple[x509.Certificate, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()
    revocations: tuple[x509.CertificateRevocationList, ...] = ()
    _authorities: dict[x509.Name, list[x509.Certificate]] = field(default_factory=dict)

    @classmethod
    def read(cls, pki: Path) -> "TrustList":
        """Files that are neither certificate nor list are passed over. Raises nothing."""
        trusted, issuers = (tuple(_certificates(pki / name)) for name in ("trusted", "issuers"))
        revocations = tuple(found for name in ("trusted", "issuers") for found in _revocations(pki / name))
        authorities: dict[x509.Name, list[x509.Certificate]] = {}
        for certificate in (*trusted, *issuers):
            if is_authority(certificate):
                authorities.setdefault(certificate.subject, []).append(certificate)
        return cls(trusted, issuers, revocations, authorities)

    def check(self, der: bytes, now_s: float, purpose: x509.ObjectIdentifier, *, strict: bool = True) -> x509.Certificate:
        """The certificate of an application, the first of a chain in DER; purpose is its ExtendedKeyUsage.

        strict: it must say its usage (Part 6, 6.2.2); else only what it says is held against it. Raises Untrusted.
        """
        try:
            return self._check(der, now_s, purpose, strict=strict)
        except (ValueError, TypeError, UnsupportedAlgorithm) as damaged:
            raise Untrusted(f"a certificate that cannot be read: {damaged}"[:200], INVALID) from None

    def _check(self, der: bytes, now_s: float, purpose: x509.ObjectIdentifier, *, strict: bool) -> x509.Certificate:
        leaf, sent = parse(der)
        path = self._path(leaf, sent)
        if not any(certificate in self.trusted for certificate in path):
            raise Untrusted(f"{name(leaf)} is not trusted")
        complete = path[-1].issuer == path[-1].subject
        if not complete and leaf not in self.trusted:
            raise Untrusted(f"the issuer {plain(path[-1].issuer.rfc4514_string())} is not known", CHAIN_INCOMPLETE)
        check_form(leaf, now_s)
        _check_usage(leaf, purpose, strict=strict)
        for below, issuer in enumerate(path[1:]):
            _check_issuer(issuer, now_s, below)
        self._check_revoked(path)
        return leaf

    def _path(self, leaf: x509.Certificate, sent: Iterable[x509.Certificate]) -> list[x509.Certificate]:
        """From the leaf up, as far as issuers are known: from the lists, else from what the peer sent."""
        offered = [certificate for certificate in sent if is_authority(certificate)]
        path = [leaf]
        while path[-1].issuer != path[-1].subject and len(path) < LONGEST_CHAIN:
            last = path[-1]
            known = (*self._authorities.get(last.issuer, ()), *(one for one in offered if one.subject == last.issuer))
            issuer = next((one for one in known if one not in path and _signed(last, one)), None)
            if issuer is None:
                break
            path.append(issuer)
        return path

    def _check_revoked(self, path: list[x509.Certificate]) -> None:
        for at, certificate in enumerate(path[:-1]):
            issuer = path[at + 1]
            for revocation in self.revocations:
                if revocation.issuer != issuer.subject or not _lists(revocation, issuer):
                    continue
                if revocation.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                    code = ISSUER_REVOKED if at else REVOKED
                    raise Untrusted(f"{name(certificate)} was revoked by its issuer", code, known=True)


class Trust:
    """The lists of a folder, read again when something in it has changed."""

    def __init__(self, pki: Path) -> None:
        self.pki = pki
        self.lists = TrustList()
        self._stamp: object = None

    async def refresh(self) -> bool:
        """Whether anything has changed, the own certificate included. A folder that cannot be read trusts nobody."""
        read = await asyncio.to_thread(self._read, self._stamp)
        if read is None:
            return False
        self._stamp, self.lists = read
        return True

    def forget(self) -> None:
        """The next refresh reads all of it again."""
        self._stamp = None

    def _read(self, before: object) -> "tuple[object, TrustList] | None":
        stamp = tuple(_stamps(self.pki))
        return None if stamp == before else (stamp, TrustList.read(self.pki))


def parse(der: bytes) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """The first certificate of a chain in DER, and the others (Part 6, 6.2.6). Raises Untrusted."""
    found: list[x509.Certificate] = []
    rest = bytes(der or b"")
    if len(rest) > _LARGEST_BYTES:
        raise Untrusted(f"a chain of {len(rest)} bytes", INVALID)
    while rest and len(found) < LONGEST_CHAIN:
        size = _element_size(rest)
        try:
            found.append(x509.load_der_x509_certificate(rest[:size]))
        except ValueError:
            raise Untrusted("no certificate in DER", INVALID) from None
        rest = rest[size:]
    if not found:
        raise Untrusted("there is no certificate", INVALID)
    return found[0], found[1:]


def _element_size(data: bytes) -> int:
    """Of the DER element at the beginning, its head included (X.690, 8.1.3)."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + (data[1] if len(data) > 1 else 0)
    digits = data[1] & 0x7F
    return 2 + digits + int.from_bytes(data[2 : 2 + digits], "big")


def check_form(certificate: x509.Certificate, now_s: float) -> None:
    """Its time, key and signature algorithm. Raises Untrusted."""
    if not _in_time(certificate, now_s):
        raise Untrusted(f"{name(certificate)} is valid from {_span(certificate)}", TIME_INVALID, known=True)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not KEY_BITS[0] <= key.key_size <= KEY_BITS[1]:
        why = f"the key of {name(certificate)} is not RSA of {KEY_BITS[0]} to {KEY_BITS[1]} bits"
        raise Untrusted(why, POLICY_CHECK_FAILED, known=True)
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        raise Untrusted(f"{name(certificate)} is not signed with SHA-2", POLICY_CHECK_FAILED, known=True)


def check_uri(certificate: x509.Certificate, application_uri: str) -> None:
    """The ApplicationUri that a peer gives must be the one in its certificate (Part 4, 5.6.2). Raises Untrusted."""
    if not application_uri or application_uri not in uris(certificate):
        shown = plain(application_uri) or "no ApplicationUri"
        raise Untrusted(f"{name(certificate)} is not made for {shown}", URI_INVALID, known=True)


def _check_usage(certificate: x509.Certificate, purpose: x509.ObjectIdentifier, *, strict: bool) -> None:
    usage = _extension(certificate, x509.KeyUsage)
    allowed = strict is False if usage is None else usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and purpose not in purposes and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in purposes:
        allowed = False
    if not allowed:
        raise Untrusted(f"{name(certificate)} is not made for that use", USE_NOT_ALLOWED, known=True)


def _check_issuer(issuer: x509.Certificate, now_s: float, below: int) -> None:
    """below: how many other authorities stand between it and the application (RFC 5280, 4.2.1.9)."""
    if not _in_time(issuer, now_s):
        raise Untrusted(f"the issuer {name(issuer)} is valid from {_span(issuer)}", ISSUER_TIME_INVALID, known=True)
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Untrusted(f"the issuer {name(issuer)} may not sign certificates", ISSUER_USE_NOT_ALLOWED, known=True)
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        raise Untrusted(f"the issuer {name(issuer)} may not sign for authorities", ISSUER_USE_NOT_ALLOWED, known=True)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _lists(revocation: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether the list is the issuer's own."""
    key: Any = issuer.public_key()
    return bool(revocation.is_signature_valid(key))


def uris(certificate: x509.Certificate) -> list[str]:
    """The ApplicationUri in its SubjectAlternativeName, as a list; empty where there is none, or none that can be read."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    return [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


def _in_time(certificate: x509.Certificate, now_s: float) -> bool:
    now = dt.datetime.fromtimestamp(now_s, dt.UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _span(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"


def name(certificate: x509.Certificate) -> str:
    """Subject and thumbprint, for people."""
    return f"{subject(certificate)} ({thumbprint(certificate)})"


def subject(certificate: x509.Certificate) -> str:
    return plain(certificate.subject.rfc4514_string())


def plain(text: str) -> str:
    """What a stranger wrote, fit for a terminal and a log: nothing that moves a cursor, and no more than 200 characters."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 in hexadecimal: the CertificateId of Part 6."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the standard's name of a certificate, no proof


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


# --- files -----------------------------------------------------------------------------------------------------------------------------


def load(path: Path) -> x509.Certificate:
    """A certificate in DER or PEM. Raises OSError, ValueError."""
    content = path.read_bytes()
    return x509.load_pem_x509_certificate(content) if content.lstrip().startswith(b"-----") else x509.load_der_x509_certificate(content)


def files(folder: Path) -> Iterator[Path]:
    """All certificates' files of a list, by name."""
    for place in (folder, folder / "certs"):
        with contextlib.suppress(OSError):
            yield from (path for path in sorted(place.iterdir()) if path.suffix in CERTIFICATES and path.stat().st_size <= _LARGEST_BYTES)


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    for path in files(folder):
        with contextlib.suppress(ValueError, OSError):
            yield load(path)


def _revocations(folder: Path) -> Iterator[x509.CertificateRevocationList]:
    for place in (folder, folder / "crl"):
        with contextlib.suppress(OSError):
            for path in sorted(place.iterdir()):
                if path.suffix == ".crl" and path.stat().st_size <= _CRL_BYTES:
                    with contextlib.suppress(ValueError):
                        content = path.read_bytes()
                        pem = content.lstrip().startswith(b"-----")
                        yield x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)


def _stamps(pki: Path) -> Iterator[tuple[str, int, int]]:
    """What shows that a file was added, taken away or replaced."""
    for name_ in ("own", "trusted", "trusted/certs", "trusted/crl", "issuers", "issuers/certs", "issuers/crl"):
        with contextlib.suppress(OSError):
            for path in sorted((pki / name_).iterdir()):
                found = path.stat()
                yield str(path), found.st_mtime_ns, found.st_size
