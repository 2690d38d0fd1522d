"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Url = Annotated[
    str | None, typer.Option("--url", envvar="EDGETWIN_URL", help="Address of the gateway; without it its local socket is used.")
]
Name = Annotated[str | None, typer.Option("--name", help="Which gateway of this machine, where several run.")]
Config = Annotated[Path, typer.Argument(envvar="CONFIG_PATH", help="Configuration file.", show_default=False)]
