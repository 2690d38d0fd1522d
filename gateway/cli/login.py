"""`edgetwin login`: a token for a gateway at --url, kept in the user's own configuration folder."""

import json
import os
import socket
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gateway.cli import daemon, people, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Url
from gateway.cli.people import PasswordStdin
from gateway.model.address import is_loopback


def login(
    user: Annotated[str | None, typer.Option("--user", help="Who signs in; asked for without it.", show_default=False)] = None,
    forget: Annotated[bool, typer.Option("--forget", help="End the token of that address, and forget it.")] = False,
    password_stdin: PasswordStdin = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Sign in to the gateway at --url; later verbs with that --url use the token, for 30 days. EDGETWIN_TOKEN counts before it."""
    if url is None:
        raise Failure(WRONG, "say where with --url; the local socket needs no sign-in")
    gateway = daemon.find(url, None)
    if forget:
        try:
            gateway.sign_out()
        except Failure as failure:
            show.note(f"its token lives on at the gateway until it expires: {failure.why}")
        keep(gateway.url, None)
        show.note(f"{gateway.url}: forgotten")
        return
    _warn(gateway.url)
    who = user or typer.prompt("User")
    secret = people.password(from_stdin=password_stdin, twice=False)
    made = gateway.post("/session", {"user": who, "password": secret, "token": f"edgetwin login on {socket.gethostname()}"[:100]})
    keep(gateway.url, {"token": made["token"], "user": made["user"], "expires": made["expires"]})
    if as_json:
        show.document({"url": gateway.url, "user": made["user"], "role": made["role"], "expires": made["expires"]})
    else:
        show.line(f"{made['user']} ({made['role']}) is signed in to {gateway.url} until {made['expires']}")


def _warn(url: str) -> None:
    """Of what goes over a network that others may listen to."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        show.note(f"{url} has no TLS: whoever listens on the way reads password and token")


def keep(url: str, entry: dict[str, Any] | None) -> None:
    """Writes the token of that address, readable by this user alone; None forgets it."""
    path = daemon.tokens_file()
    kept = daemon.kept_tokens(path)
    kept.pop(url, None)
    if entry is not None:
        kept[url] = entry
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(part, json.dumps(kept, indent=2) + "\n")
        part.replace(path)
    except OSError as error:
        raise Failure(FAILED, f"{path}: {error.strerror}") from None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
