"""What Aes256_Sha256_RsaPss with SignAndEncrypt adds to a value."""

import shutil
import time
from pathlib import Path
from typing import Any, Final

from gateway.bench.opcua import publish
from gateway.bench.opcua.serving import Served, names_of, tap, wish
from gateway.wire.opcua import certificates

_ITEMS: Final = 10_000
_HZ: Final = 20.0
_POLICY: Final = {"policy": "Aes256Sha256RsaPss", "mode": "SignAndEncrypt"}


async def published_us(folder: Path, rounds: int, seconds: float) -> float:
    """us per value of the server's process, to one client of 10 000 items at 20 Hz."""
    names = names_of(_ITEMS)
    more = trusting(folder)
    async with Served(names, folder) as served, tap(served.sink.url, names, [wish(_ITEMS, 1000.0 / _HZ)], folder, **more) as client:
        return await publish.median_us(served, client, rounds, seconds, _HZ)


def trusting(folder: Path) -> dict[str, Any]:
    """A client's certificate that the server of this folder trusts, and what a tap needs to use it."""
    return known_to(folder / "pki", "bench", folder / "tap")


def known_to(server_pki: Path, server: str, client_pki: Path) -> dict[str, Any]:
    """The same for a server of any name and place: `security` and `application_uri` of a tap's work."""
    now_s = time.time()
    shown, own = certificates.own(server_pki, server, now_s), certificates.own(client_pki, "tap", now_s)
    let_in(own.certificate, server_pki)
    files = {"certificate": str(own.certificate), "key": str(own.key), "pki": str(client_pki), "pinned": str(shown.certificate)}
    return {"security": {**_POLICY, **files}, "application_uri": certificates.application_uri("tap")}


def let_in(certificate: Path, server_pki: Path) -> None:
    """Trust it, as `cert trust` does."""
    trusted = server_pki / "trusted"
    trusted.mkdir(parents=True, exist_ok=True)
    shutil.copy(certificate, trusted / f"{certificate.parents[1].name}.der")
