"""Verbs that change something in a running gateway: each is one command through its one door."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import daemon, show
from gateway.cli.failure import FAILED, UNREACHABLE, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url

_GRACE_S = 10.0
_LONGEST_S = 1e8
_RELOAD_S = 60.0  # sources hand over side by side, and each is given time to
_SETTLE_S = 5.0
_POLL_S = 0.2
_STATUS = {FAILED: "Bad", UNREACHABLE: "BadNoCommunication"}


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
        gateway.rows([tag for tag, _ in wanted])  # nothing is written where one of the names is wrong
        rows = [_written(gateway, kind, tag, value, reason) for tag, value in wanted]
    if as_json:
        show.document({"written": rows})
    else:
        for row in rows:
            why = f" ({row['message']})" if _refused(row) and row["message"] else ""
            show.line(row["tag"] + (f" = {show.value(row['value'])}" if "value" in row else "") + f": {row['status']}{why}")
    refused = [row for row in rows if _refused(row)]
    if refused:
        raise Failure(FAILED, refused[0]["message"] if len(rows) == 1 else f"{len(refused)} of {len(rows)} were not written")


def _refused(row: dict[str, Any]) -> bool:
    return str(row["status"]).startswith("Bad")


def _written(gateway: daemon.Daemon, kind: str, tag: str, value: Any, reason: str) -> dict[str, Any]:
    """What became of one write; the gateway's refusal is a result like any other."""
    try:
        outcome = gateway.command(kind, {"tag": tag, "value": value, "reason": reason})
    except Failure as failure:
        outcome = {"status": failure.status or _STATUS[failure.code], "message": failure.why}
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
    """Read the configuration again and apply what changed; nothing is changed where any part of it fails. Waits up to 60 s."""
    gateway = daemon.find(url, name)
    result = gateway.command("config.reload", {"dry_run": dry_run}, _RELOAD_S)["result"]
    not_up = _not_up(gateway, result.get("not_up", []))
    if as_json:
        show.document(result | {"not_up": not_up})
        return
    changes = result.get("differences", [])
    for change in changes:
        show.line(f"{change['what']}  {change['path']}: {change['before']} -> {change['after']}")
    show.line(f"{len(changes)} differences" + (", nothing changed yet" if dry_run else ", applied"))
    for source, why in not_up.items():
        show.line(f"source {source} is not up yet: {why}")


def _not_up(gateway: daemon.Daemon, names: list[str]) -> dict[str, str]:
    """Which of these sources are not up, and why; those that only just start are given a moment."""
    deadline_s = time.monotonic() + _SETTLE_S
    while names:
        sources = gateway.get("/status").get("sources", {})
        found = {name: sources[name] for name in names if name in sources and sources[name]["state"] != "up"}
        if time.monotonic() >= deadline_s or not any(each["state"] == "starting" for each in found.values()):
            return {name: each.get("reason") or each["state"] for name, each in found.items()}
        time.sleep(_POLL_S)
    return {}


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
        show.line(f"{report['path']} is written, state {report['state_hash']}")
        if report.get("fault"):
            show.note(f"{report['path']}: {report['fault']}")
