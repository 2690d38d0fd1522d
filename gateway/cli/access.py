"""How a verb signs in to an OPC UA server: the words of a source's configuration, as options."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.failure import WRONG, Failure

if TYPE_CHECKING:
    from drivers.opcua.config import Config
    from gateway.wire.opcua.client import Access

NAME = "browse"


def access(url: str, user: str | None, password: str | None, security: str, pki: Path | None, server_certificate: Path | None) -> Access:
    """Checked as a source's configuration is. pki: folder with own/ and trusted/ like data_dir/pki of a gateway; a user's own without it.

    Failure names what is wrong.
    """
    from pydantic import ValidationError

    from drivers.opcua.config import Config
    from gateway.wire.opcua.client import Access

    try:
        config = Config.model_validate({
            "url": url, "user": user, "password": password, "security": security, "server_certificate": server_certificate
        })  # fmt: skip
    except ValidationError as error:
        raise Failure(WRONG, "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from None
    secret = None if config.password is None else config.password.get_secret_value()
    if config.security == "None":
        return Access(config.url, user=config.user, password=secret)
    return _secure(config, secret, pki or _own_folder())


def _secure(config: Config, password: str | None, pki: Path) -> Access:
    """With the certificate that lies in the folder, which is made where there is none and never renewed: it may be a gateway's."""
    from gateway.wire.opcua import certificates
    from gateway.wire.opcua.client import Access, Security

    policy, _, mode = config.security.partition("/")
    certificate, key = pki / "own" / "cert.der", pki / "own" / "key.pem"
    try:
        if not (certificate.exists() and key.exists()):
            certificates.renew(pki, NAME, time.time())
        uri = certificates.uri_in(certificate) or certificates.application_uri(NAME)
    except (OSError, ValueError) as error:
        raise Failure(WRONG, f"own certificate in {pki}: {error}", "give a folder of your own with --pki") from None
    return Access(
        config.url,
        application_uri=uri,
        security=Security(policy, mode, certificate, key, pki, config.server_certificate),
        user=config.user,
        password=password,
    )


def _own_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "edgetwin" / "pki"
