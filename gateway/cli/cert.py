"""Certificates of OPC UA: through the running gateway, or with CONFIG on the data directory of one that is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import people, show
from gateway.cli.failure import WRONG, Failure
from gateway.cli.options import AsJson, Name, Url
from gateway.cli.people import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Certificates of OPC UA: the gateway's own, and whom it trusts.", no_args_is_help=True)

Thumbprint = Annotated[str, typer.Argument(help="SHA-1 or SHA-256 as `cert list` shows it, or eight digits of it at least.")]


@app.command()
def create(
    config: Annotated[Path, typer.Argument(envvar="CONFIG_PATH", help="Configuration of the gateway.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make the gateway's own certificate now, where there is none; the gateway does it by itself when it starts."""
    row = _own(_ask(config, None, None, "cert.list", {}))
    if row is None:
        row = _ask(config, None, None, "cert.create", {})
    _show([row], as_json=as_json)


@app.command("list")
def list_(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """List them: subject, thumbprints, validity and place (own, trusted, issuers, rejected)."""
    rows = _ask(config, url, name, "cert.list", {})["certificates"]
    if as_json:
        show.document({"certificates": rows})
    else:
        _show(rows, as_json=False)


@app.command()
def trust(
    which: Annotated[str, typer.Argument(metavar="THUMBPRINT|FILE", help="One that was refused, or a file in PEM or DER.")],
    issuer: Annotated[bool, typer.Option("--issuer", help="An authority that only completes chains, and makes nobody trusted.")] = False,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Trust an application's certificate, or an authority and all that it signs; the next connection finds it."""
    path = Path(which)
    wanted = {"certificate": _pem(path)} if path.is_file() else {"thumbprint": which}
    _show([_ask(config, url, name, "cert.trust", {**wanted, "issuer": issuer})], as_json=as_json)


@app.command()
def reject(which: Thumbprint, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Trust a certificate no more; sessions with it end."""
    _show([_ask(config, url, name, "cert.reject", {"thumbprint": which})], as_json=as_json)


@app.command()
def renew(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """A new certificate and key for the gateway: its clients and servers have to trust it anew."""
    _show([_ask(config, url, name, "cert.renew", {})], as_json=as_json)


def _pem(path: Path) -> str:
    from gateway.wire.opcua import trust as trusting

    try:
        return trusting.pem_of(trusting.load(path))
    except OSError as error:
        raise Failure(WRONG, f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise Failure(WRONG, f"{path}: is no certificate in PEM or DER") from None


def _own(listed: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((row for row in listed["certificates"] if row["place"] == "own"), None)


def _ask(config: Path | None, url: str | None, name: str | None, kind: str, args: Mapping[str, Any]) -> Any:
    """The result of a command."""
    return people.place(url, name, config).command(kind, args)["result"]


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show.document(rows[0] if len(rows) == 1 else rows)
        return
    show.table(["place", "subject", "valid", "SHA-1", "SHA-256"], [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    subject = row["subject"] + (" (authority)" if row["authority"] else "")
    return [row["place"], subject, f"{row['valid_from'][:10]} to {row['valid_to'][:10]}", row["thumbprint"], row["sha256"]]
