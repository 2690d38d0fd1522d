"""Verbs that change something in a running gateway: each is one command through its one door."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import daemon, show
from gateway.cli.failure import WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

_GRACE_S = 10.0
_LONGEST_S = 1e8


def write(
    assignments: Annotated[list[str], typer.Argument(metavar="TAG=VALUE...", help="What to write; with --release the names alone.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; some tags ask for it.")] = "",
    override: Annotated[bool, typer.Option("--override", help="Put the value into the twin by hand, over its source.")] = False,
    release: Annotated[bool, typer.Option("--release", help="End manual input: the source counts again.")] = False,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Write setpoints to the plant, or values of manual tags. Refused where a tag is not writable or a value out of its bounds."""
    if override and release:
        raise Failure(WRONG, "--override and --release exclude each other")
    wanted = [] if release else [_assignment(text) for text in assignments]
    gateway = daemon.find(url, name)
    if release:
        released = gateway.command("tag.release", {"tag": assignments})["result"]["released"]
        rows = [{"tag": tag, "status": "released"} for tag in released]
    else:
        kind = "tag.override" if override else "tag.write"
        rows = [_written(gateway.command(kind, {"tag": tag, "value": value, "reason": reason}), tag, value) for tag, value in wanted]
    if as_json:
        show.document({"written": rows})
        return
    for row in rows:
        show.line(row["tag"] + (f" = {show.value(row['value'])}" if "value" in row else "") + f": {row['status']}")


def _written(outcome: dict[str, Any], tag: str, value: Any) -> dict[str, Any]:
    return {"tag": tag, "value": value, "status": outcome["status"], "message": outcome["message"]}


def _assignment(text: str) -> tuple[str, Any]:
    tag, equals, value = text.partition("=")
    if not equals or not tag:
        raise Failure(WRONG, f"{text!r}: write TAG=VALUE")
    return tag, _value(value)


def _value(text: str) -> float | int | bool | str:
    """true, false, a number, or else the text as it stands."""
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if isinstance(value, float | int | bool | str) else text


def reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, change nothing.")] = False,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Read the configuration again and apply what changed; nothing is changed where any part of it fails."""
    outcome = daemon.find(url, name).command("config.reload", {"dry_run": dry_run})
    if as_json:
        show.document(outcome["result"])
        return
    changes = outcome["result"].get("differences", [])
    for change in changes:
        show.line(f"{change['what']}  {change['path']}: {change['before']} -> {change['after']}")
    show.line(f"{len(changes)} differences" + (", nothing changed yet" if dry_run else ", applied"))


def record(
    out: Annotated[Path, typer.Argument(help="The recording to write (.etrec).")],
    seconds: Annotated[str | None, typer.Option("--for", help="How long: 30s, 5min; without it until Ctrl-C.")] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Record the engine's input to a file that `edgetwin replay` reads."""
    from gateway.model.duration import seconds as parsed

    try:
        length_s = None if seconds is None else parsed(seconds)
    except ValueError as error:
        raise Failure(WRONG, f"--for: {error}") from None
    gateway = daemon.find(url, name)
    path = str(out.absolute()) if gateway.socket is not None else str(out)
    guard_s = None if length_s is None else length_s + _GRACE_S  # the gateway ends it by itself where this process is killed
    started = gateway.command("record.start", {"path": path, "seconds": guard_s})["result"]
    show.note(f"recording to {started['path']}" + ("; Ctrl-C ends it" if length_s is None else f" for {show.age(length_s)}"))
    with suppress(KeyboardInterrupt):
        time.sleep(_LONGEST_S if length_s is None else length_s)
    report = gateway.command("record.stop", {})["result"]
    if as_json:
        show.document(report)
    else:
        show.line("  ".join(f"{key}: {shown}" for key, shown in report.items()))
