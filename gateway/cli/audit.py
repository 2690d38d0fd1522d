"""The audit: who asked for what, from where, and what became of it."""

from typing import Annotated

import typer

from gateway.cli import people, show
from gateway.cli.failure import FAILED, Failure
from gateway.cli.options import AsJson, Name, Url
from gateway.cli.people import Config

app = typer.Typer(help="The record of every command and sign-in.", no_args_is_help=True)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 50,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Only records with a smaller number.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only what this user did.")] = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """The newest records, newest first."""
    records = people.place(url, name, config).audit(limit, before, user)
    if as_json:
        show.document({"records": records})
        return
    head = ("seq", "time", "user", "role", "origin", "command", "status", "message")
    show.table(head, ([_plain(row[column]) for column in head] for row in records), right=(0,))


@app.command()
def verify(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Is any record changed, missing or out of place? Exit code 1 where one is. Keep the head elsewhere to see a cut end, too."""
    check = people.place(url, name, config).verify()
    if as_json:
        show.document(check)
    else:
        show.line(f"{check['records']} records are intact, head {check['head']}")
    if not check["intact"]:
        raise Failure(FAILED, f"the chain is broken at record {check['broken_at']}: it, or what was before it, is not what was written")


def _plain(cell: object) -> object:
    """Without what a stranger's name could do to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in cell) if isinstance(cell, str) else cell
