"""Tokens: what programs sign in with."""

from typing import Annotated

import typer

from gateway.cli import people, show
from gateway.cli.options import AsJson, Name, Url
from gateway.cli.people import Config

app = typer.Typer(help="Tokens for programs that use the API.", no_args_is_help=True)


@app.command()
def create(
    token: Annotated[str, typer.Argument(metavar="NAME", help="What it is for; the audit shows it.", show_default=False)],
    role: Annotated[str, typer.Option("--role", help="viewer, operator, engineer, manager or admin.")] = "viewer",
    days: Annotated[float, typer.Option("--days", min=0.0, help="How long it lives; 0 = it does not expire.")] = 365.0,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. Its secret is shown this once: the gateway keeps its hash alone."""
    args = {"name": token, "role": role, "days": days or None}
    outcome = people.place(url, name, config).command("token.create", args)
    people.told(outcome, outcome["result"]["token"], as_json=as_json)


@app.command("list")
def list_(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """All tokens, the newest first, without their secrets."""
    tokens = people.place(url, name, config).tokens()
    if as_json:
        show.document({"tokens": tokens})
    else:
        head = ("id", "name", "role", "owner", "expires")
        show.table(head, ((row["token_id"], row["name"], row["role"], row["owner"], row["expires"] or "never") for row in tokens))


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, from `token list`.", show_default=False)],
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """A token opens nothing from now on."""
    people.told(people.place(url, name, config).command("token.revoke", {"token_id": token_id}), f"{token_id} is revoked", as_json=as_json)
