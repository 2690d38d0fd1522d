"""Certificates of OPC UA: through the running gateway, or with CONFIG on the data directory of one that is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import daemon, offline, show
from gateway.cli.failure import FAILED, UNREACHABLE, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Certificates of OPC UA: the gateway's own, and whom it trusts.", no_args_is_help=True)

Thumbprint = Annotated[str, typer.Argument(help="SHA-1 or SHA-256 as `cert list` shows it, or eight digits of it at least.")]
Where = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration of the gateway; where it does not run, its data directory is used.")
]


@app.command()
def create(
    config: Annotated[Path, typer.Argument(envvar="CONFIG_PATH", help="Configuration of the gateway.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make the gateway's own certificate now, where there is none; the gateway does it by itself when it starts."""
    row = _own(_ask(config, None, None, "cert.list", {}))
    if row is None:
        row = _ask(config, None, None, "cert.renew", {})
    _show([row], as_json=as_json)


@app.command("list")
def list_(config: Where = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
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
    config: Where = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Trust an application's certificate, or an authority and all that it signs; the next connection finds it."""
    path = Path(which)
    wanted = {"certificate": _pem(path)} if path.is_file() else {"thumbprint": which}
    _show([_ask(config, url, name, "cert.trust", {**wanted, "issuer": issuer})], as_json=as_json)


@app.command()
def reject(which: Thumbprint, config: Where = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Trust a certificate no more; sessions with it end."""
    _show([_ask(config, url, name, "cert.reject", {"thumbprint": which})], as_json=as_json)


@app.command()
def renew(config: Where = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """A new certificate and key for the gateway: its clients and servers have to trust it anew."""
    _show([_ask(config, url, name, "cert.renew", {})], as_json=as_json)


def _pem(path: Path) -> str:
    from gateway.wire.opcua import trust as trusting

    try:
        return trusting.pem_of(trusting.load(path))
    except (OSError, ValueError) as error:
        raise Failure(WRONG, f"{path}: no certificate in PEM or DER: {error}") from None


def _own(listed: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((row for row in listed["certificates"] if row["place"] == "own"), None)


def _ask(config: Path | None, url: str | None, name: str | None, kind: str, args: Mapping[str, Any]) -> Any:
    """The result of a command: of the daemon, or of the same operation on the data directory of one that does not run."""
    if config is None:
        return daemon.find(url, name).command(kind, args)["result"]
    if url is not None:
        raise Failure(WRONG, "--config and --url exclude each other")
    site = offline.site_of(config)
    try:
        return daemon.find(None, site.gateway.name).command(kind, args)["result"]
    except Failure as failure:
        if failure.code != UNREACHABLE:
            raise
    return asyncio.run(_offline(config, kind, args))


async def _offline(config: Path, kind: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Under the lock, and with a record in the audit."""
    import os
    import time

    from gateway.model import quality
    from gateway.model.command import Caller, Command
    from gateway.operations import Door
    from gateway.operations.certificates import Certificates

    site = offline.site_of(config)
    async with offline.opened(config) as (store, _):

        async def audit(command: Any, outcome: Any) -> None:
            await store.audit(command, outcome, time.time_ns())

        table = Certificates(Path(site.gateway.data_dir) / "pki", site.gateway.name, time.time_ns).operations()
        door = Door(table, _everything, audit)
        outcome = await door.execute(Command(kind, args, Caller("local", "admin", f"local:{os.getuid()}")))
    if outcome.status != quality.GOOD:
        raise Failure(FAILED, outcome.message, status=quality.name(outcome.status))
    return outcome.result


def _everything(_role: str, _permission: str) -> bool:
    return True  # whoever may write the data directory


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show.document(rows[0] if len(rows) == 1 else rows)
        return
    show.table(["place", "subject", "valid", "SHA-1", "SHA-256"], [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    subject = row["subject"] + (" (authority)" if row["authority"] else "")
    return [row["place"], subject, f"{row['valid_from'][:10]} to {row['valid_to'][:10]}", row["thumbprint"], row["sha256"]]
