"""People: one-time links that sign in to the web page."""

from typing import Annotated

import typer

from gateway.cli import daemon, show
from gateway.cli.options import AsJson, Name, Url

app = typer.Typer(help="People who use the gateway.", no_args_is_help=True)


@app.command()
def link(
    user: Annotated[str, typer.Option("--user", help="Name for the audit.")] = "admin",
    role: Annotated[str, typer.Option("--role", help="viewer, operator, engineer, manager or admin.")] = "admin",
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Make a link that signs in to the web page once, within ten minutes."""
    gateway = daemon.find(url, name)
    made = gateway.post("/session/links", {"user": user, "role": role})
    web = gateway.get("/status").get("urls", {}).get("web", gateway.url)
    if as_json:
        show.document({**made, "url": web + made["path"]})
    else:
        show.line(web + made["path"])
