"""Certificates as other applications and people bring them, good ones and bad ones."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

URI = "urn:test:client"
_KEYS: dict[tuple[str, int], rsa.RSAPrivateKey] = {}


@dataclass(frozen=True)
class Made:
    """certificate and key, in memory and as files of DER and PEM."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    folder: Path
    name: str

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def sha1(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex()

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def certificate_file(self) -> Path:
        path = self.folder / f"{self.name}.der"
        path.write_bytes(self.der)
        return path

    @property
    def key_file(self) -> Path:
        path = self.folder / f"{self.name}.pem"
        kind = serialization.PrivateFormat.PKCS8
        path.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
        return path

    def put(self, folder: Path) -> Path:
        """Into a trust list."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.der"
        path.write_bytes(self.der)
        return path


def make(
    folder: Path,
    name: str = "client",
    *,
    uri: str | None = URI,
    bits: int = 2048,
    days: tuple[float, float] = (-1, 30),
    issuer: Made | None = None,
    ca: bool = False,
    path_length: int | None = None,
    usage: dict[str, bool] | None = None,
    purposes: Any = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    digest: Any = None,
) -> Made:
    """A certificate of an application. usage: what of the KeyUsage is otherwise than it should be; uri, purposes None: not in it."""
    key = _KEYS.setdefault((name, bits), rsa.generate_private_key(65537, bits))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    usages = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True)
    usages |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False) | {"key_cert_sign": ca, "crl_sign": ca}
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(**(usages | (usage or {}))), critical=True)
    )
    if purposes is not None and not ca:
        made = made.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
    if uri is not None:
        made = made.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    return Made(made.sign(issuer.key if issuer else key, digest or hashes.SHA256()), key, folder, name)


def revocation(issuer: Made, *revoked: Made) -> bytes:
    """A revocation list in DER."""
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject).last_update(now)
    made = made.next_update(now + dt.timedelta(days=1))
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now).build()
        made = made.add_revoked_certificate(entry)
    return made.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
