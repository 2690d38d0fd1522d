"""Commands on certificates: what a person sees of `pki/` and decides about it. The folder's files are written here alone."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.model import quality
from gateway.model.command import Caller
from gateway.model.instant import iso
from gateway.operations.door import Args, Operation, Refused, text_of
from gateway.wire.opcua import certificates, trust
from gateway.wire.opcua.certificates import Entry

PERMISSION: Final = "cert:trust"
BAD_CERTIFICATE_INVALID: Final = 0x8012_0000
_LONGEST: Final = 20_000  # characters of a certificate in PEM
T = TypeVar("T")


class Certificates:
    """pki: `<data_dir>/pki` of the gateway of that name."""

    def __init__(self, pki: Path, gateway: str, now_ns: Callable[[], int]) -> None:
        self._pki, self._gateway, self._now_ns = pki, gateway, now_ns

    def operations(self) -> dict[str, Operation]:
        return {
            "cert.list": Operation(PERMISSION, self.list_, "certificates: own, trusted, issuers, rejected", reads=True),
            "cert.trust": Operation(
                PERMISSION, self.trust, "trust a certificate: thumbprint of a refused one, or certificate (PEM); issuer"
            ),
            "cert.reject": Operation(PERMISSION, self.reject, "trust a certificate no more: thumbprint"),
            "cert.create": Operation(PERMISSION, self.create, "the gateway's own certificate and key, where there are none"),
            "cert.renew": Operation(PERMISSION, self.renew, "a new certificate and key for this gateway"),
        }

    async def list_(self, _: Args, __: Caller) -> Mapping[str, Any]:
        found = await _disk(lambda: list(certificates.inventory(self._pki)))
        return {"certificates": [row(entry) for entry in found]}

    async def trust(self, args: Args, _: Caller) -> Mapping[str, Any]:
        place = "issuers" if args.get("issuer") is True else "trusted"
        return row(await _disk(lambda: certificates.accept(self._pki, self._wanted(args), place)))

    def _wanted(self, args: Args) -> Any:
        if "certificate" not in args:
            return certificates.find(self._pki, text_of(args, "thumbprint"), ("rejected", "issuers", "trusted")).certificate
        text = text_of(args, "certificate")
        if len(text) > _LONGEST:
            raise ValueError("too long for a certificate")
        return certificates.decode(text.encode())

    async def reject(self, args: Args, _: Caller) -> Mapping[str, Any]:
        wanted = text_of(args, "thumbprint")
        return row(await _disk(lambda: certificates.reject(self._pki, certificates.find(self._pki, wanted, ("trusted", "issuers")))))

    async def create(self, _: Args, __: Caller) -> Mapping[str, Any]:
        return row(await _disk(self._created))

    def _created(self) -> Entry:
        return next((entry for entry in certificates.inventory(self._pki) if entry.place == "own"), None) or self._renewed()

    async def renew(self, _: Args, __: Caller) -> Mapping[str, Any]:
        return row(await _disk(self._renewed))

    def _renewed(self) -> Entry:
        """One that an authority has signed is the authority's to renew."""
        for entry in certificates.inventory(self._pki):
            if entry.place == "own" and entry.certificate.issuer != entry.certificate.subject:
                issuer = entry.certificate.issuer.rfc4514_string()
                raise Refused(quality.BAD_INVALID_STATE, f"it was signed by {issuer}: put its successor and key into pki/own")
        made = certificates.renew(self._pki, self._gateway, self._now_ns() / 1e9)
        return Entry("own", made.certificate, trust.load(made.certificate))


async def _disk(work: Callable[[], T]) -> T:
    """Off the loop; what the folder says becomes Refused."""
    try:
        return await asyncio.to_thread(work)
    except LookupError as missing:
        raise Refused(quality.BAD_NO_DATA, str(missing)) from None
    except ValueError as damaged:
        raise Refused(BAD_CERTIFICATE_INVALID, f"no certificate in PEM or DER: {damaged}") from None
    except OSError as fault:
        raise Refused(quality.BAD_UNEXPECTED_ERROR, f"{fault.filename or 'pki'}: {fault.strerror or fault}") from None


def row(entry: Entry) -> dict[str, Any]:
    """A certificate for people and programs. thumbprint: SHA-1, the CertificateId of OPC UA."""
    certificate = entry.certificate
    return {
        "place": entry.place,
        "subject": trust.subject(certificate),
        "issuer": trust.plain(certificate.issuer.rfc4514_string()),
        "thumbprint": entry.sha1,
        "sha256": entry.sha256,
        "application_uri": next(map(trust.plain, trust.uris(certificate)), None),
        "authority": trust.is_authority(certificate),
        "valid_from": iso(round(certificate.not_valid_before_utc.timestamp()) * 10**9),
        "valid_to": iso(round(certificate.not_valid_after_utc.timestamp()) * 10**9),
        "file": entry.path.name,
    }
