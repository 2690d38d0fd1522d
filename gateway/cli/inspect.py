"""Verbs that look at a running gateway, or at an OPC UA server: they change nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import daemon, paste, show
from gateway.cli.doctor import FAULT, FINE, WARNING, Finding, of_certificates, of_status, of_tags
from gateway.cli.failure import FAILED, UNREACHABLE, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url
from gateway.cli.run import load

if TYPE_CHECKING:
    from gateway.wire.opcua.client import Access

_REFUSED: Final = ("BadSecurityChecksFailed", "BadCertificate")  # what a server says of a client's certificate, or how its names begin


def status(url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Health with reasons: sources, sinks, outbox and how many hours of outage it still holds, problems by name."""
    report = daemon.find(url, name).get("/status")
    if as_json:
        show.document(report)
        return
    show.line(f"{report['name']}  {report['state']}  version {report['version']}, up {show.age(report.get('uptime_s'))}")
    for reason in report.get("reasons", []):
        show.line(f"  {reason}")
    twin, alarms = report.get("twin", {}), report.get("alarms", {})
    counts = ", ".join(f"{number} {word}" for word, number in twin.get("quality", {}).items())
    raised = f"{alarms.get('active', 0)} active, {alarms.get('unacknowledged', 0)} unacknowledged"
    for word in ("shelved", "suppressed", "out_of_service", "disabled"):  # what is kept from people is said to them
        if number := alarms.get("performance", {}).get(word):
            raised += f", {number} {word.replace('_', ' ')}"
    show.line(f"twin: {twin.get('tags', 0)} tags ({counts}); alarms: {raised}")
    for kind in ("sources", "sinks"):
        units = report.get(kind, {})
        if units:
            show.line()
            rows = [
                (unit, each["state"], each.get("kind", "-"), len(each.get("problems", ())), each.get("reason", ""))
                for unit, each in units.items()
            ]
            show.table((kind[:-1], "state", "kind", "problems", "reason"), rows, right=(3,))
    _outbox(report.get("outbox", []))
    problems = [(f"{unit}: {subject}", why) for unit, subject, why in _problems(report)]
    if problems:
        show.line()
        show.table(("problem", "why"), problems[:100])


def _outbox(fills: list[dict[str, Any]]) -> None:
    if not fills:
        return
    show.line()
    rows = [
        (
            fill["stream"],
            fill["rows"],
            f"{fill['bytes'] / 1e6:.1f}",
            show.age(fill.get("oldest_age_s")),
            fill["quarantined"],
            fill["dropped"],
            "-" if fill["outage_hours"] is None else f"{fill['outage_hours']:.1f}",
        )
        for fill in fills
    ]
    show.table(("outbox", "rows", "MB", "oldest", "quarantined", "dropped", "hours of outage left"), rows, right=(1, 2, 3, 4, 5, 6))


def _problems(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(unit, subject, why) of all units."""
    return [
        (unit, subject, why)
        for kind in ("sources", "sinks")
        for unit, each in report.get(kind, {}).items()
        for subject, why in each.get("problems", {}).items()
    ]


def read(
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Names of tags.")],
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Present values: value, unit, quality and age."""
    gateway = daemon.find(url, name)
    rows = gateway.rows(tags)
    if as_json:
        show.document({"tags": rows})
        return
    cells = [(row["name"], row["label"] or show.value(row["value"]), row["unit"], _quality(row), show.age(row["age_s"])) for row in rows]
    show.table(("tag", "value", "unit", "quality", "age"), cells, right=(1, 4))


def _quality(row: dict[str, Any]) -> str:
    return row["quality"] if row["status"] == "Good" else f"{row['quality']} ({row['status']})"


def watch(
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help='Names of tags, or "*".')],
    seconds: Annotated[str | None, typer.Option("--for", help="How long: 30s, 5min; without it until Ctrl-C.")] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Values as they come, one line each; with --json one JSON object per line."""
    from websockets.exceptions import ConnectionClosed

    until_s = None if seconds is None else time.monotonic() + _length(seconds)
    gateway = daemon.find(url, name)
    wish = {"subscribe": {"tags": "*" if tags == ["*"] else tags}}
    names: dict[int, str] = {}
    with gateway.stream() as link:
        try:
            link.send(json.dumps(wish))
            while until_s is None or time.monotonic() < until_s:
                _take(json.loads(link.recv(None if until_s is None else max(0.0, until_s - time.monotonic()))), names, as_json=as_json)
        except (KeyboardInterrupt, TimeoutError):
            return
        except ConnectionClosed as error:
            raise Failure(UNREACHABLE, f"{gateway.place} closed the stream: {error.rcvd.reason if error.rcvd else 'no goodbye'}") from None


def _length(text: str) -> float:
    from gateway.model.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise Failure(WRONG, f"--for: {error}") from None


def _take(frame: dict[str, Any], names: dict[int, str], *, as_json: bool) -> None:
    """Print what one message of the stream says."""
    if frame["type"] == "gone":
        raise Failure(FAILED, frame["why"])
    if frame["type"] not in {"snap", "d"}:
        return
    if unknown := frame.get("unknown"):
        raise Failure(FAILED, f"there is no tag {', '.join(unknown)}")
    if "n" in frame:
        names.update(zip(frame["i"], frame["n"], strict=True))
    for tag_id, value, status, offset_ms in zip(frame["i"], frame["v"], frame.get("s") or [0] * len(frame["i"]), frame["d"], strict=True):
        shown = frame.get("x", {}).get(str(tag_id), value)
        _print(names.get(tag_id, str(tag_id)), shown, status, frame["t"] + offset_ms, as_json=as_json)


def _print(tag: str, value: Any, status: int, at_ms: int, *, as_json: bool) -> None:
    from gateway.model import quality
    from gateway.model.instant import iso

    timestamp = iso(at_ms * 1_000_000) if at_ms > 0 else None
    if as_json:
        show.document(
            {"tag": tag, "value": value, "timestamp": timestamp, "quality": quality.word(status), "status": quality.name(status)},
            indent=None,
        )
    else:
        note = "" if quality.word(status) == "good" else f"  {quality.name(status)}"
        show.line(f"{timestamp or '-':<24}  {tag}  {show.value(value)}{note}")


def doctor(
    config: Annotated[Path | None, typer.Argument(help="Configuration to look at as well.")] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong here and what to do: configuration, sources, sinks, dead tags, clocks, room in hours. Exit code 1: a fault."""
    findings, code = [], 0
    if config is not None:
        site, faults = load(config)
        findings += [Finding(WARNING if fault.warning else FAULT, "configuration", str(fault)) for fault in faults]
        findings += [] if site is None else [Finding(FINE, "configuration", f"{config}: no fault")]
        code = WRONG if site is None else 0
        name = name or (site.gateway.name if site is not None and url is None else None)
    try:
        gateway = daemon.find(url, name)
        findings += of_status(gateway.get("/status"))
        findings += of_tags(_all_tags(gateway))
        with suppress(Failure):  # it is for admins to see
            findings += of_certificates(gateway.get("/certificates")["certificates"], time.time())
    except Failure as failure:
        findings.append(Finding(FAULT, "gateway", failure.why, failure.hint))
        code = code or failure.code
    code = code or (FAILED if any(finding.level == FAULT for finding in findings) else 0)
    if as_json:
        show.document({"ok": code == 0, "findings": [finding.row() for finding in findings]})
    else:
        for finding in sorted(findings, key=lambda finding: (FAULT, WARNING, FINE).index(finding.level)):
            show.line(f"{finding.level:<8} {finding.subject}: {finding.what}" + (f" ({finding.hint})" if finding.hint else ""))
    raise typer.Exit(code)


def _all_tags(gateway: daemon.Daemon) -> Iterator[dict[str, Any]]:
    offset, total = 0, 1
    while offset < total:
        page = gateway.get("/tags", limit=10_000, offset=offset)
        yield from page["tags"]
        offset, total = offset + max(1, len(page["tags"])), page["total"]


def unreached(why: str, way: "Access") -> str:
    """What to do about a server that was not reached, by its words."""
    from gateway.wire.opcua import trust

    if way.security is not None and "the server's certificate" in why:
        return "or give the server's certificate, from its administrator: --server-certificate FILE"
    if way.security is not None and any(code in why for code in _REFUSED):
        own = trust.load(way.security.certificate)
        return f"the server refuses our certificate: trust {trust.name(own)} on the server; it lies in {way.security.certificate}"
    return "is the address right, and does the server allow such a session? see --user, --password and --security"


class Format(StrEnum):
    yaml = "yaml"
    csv = "csv"
    json = "json"


def browse(
    url: Annotated[str, typer.Argument(metavar="URL", help="opc.tcp://HOST:PORT")],
    root: Annotated[str | None, typer.Option("--root", help="Address to begin at, nsu=URI;s=NAME; the Objects folder without it.")] = None,
    depth: Annotated[int | None, typer.Option("--depth", min=1, max=50, help="How many levels down; all without it.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the tags are written.")] = Format.yaml,
    source: Annotated[str, typer.Option("--source", help="Name of the source in the configuration.")] = "plc1",
    user: Annotated[str | None, typer.Option("--user", help="Who signs in; anonymous without it.")] = None,
    password: Annotated[
        str | None, typer.Option("--password", envvar="EDGETWIN_PASSWORD", help="Of that user; better in EDGETWIN_PASSWORD.")
    ] = None,
    security: Annotated[str, typer.Option("--security", help="None, or policy/mode: Basic256Sha256/SignAndEncrypt.")] = "None",
    pki: Annotated[Path | None, typer.Option("--pki", help="Folder with own/ and trusted/: data_dir/pki of a gateway.")] = None,
    server_certificate: Annotated[Path | None, typer.Option("--server-certificate", help="The server's certificate, pinned.")] = None,
    as_json: AsJson = False,
) -> None:
    """Walk an OPC UA server and print its variables as tags that can be pasted into a configuration."""
    import asyncio

    from gateway.cli.access import access
    from gateway.contracts import NotConnected
    from gateway.settings import read_units
    from gateway.wire.opcua.browse import browse as walk

    units = read_units()
    way = access(url, user, password if user else None, security, pki, server_certificate)
    try:
        found = asyncio.run(walk(url, root, depth, access=way, ucum=paste.codes(units)))
    except NotConnected as error:
        raise Failure(UNREACHABLE, str(error), unreached(str(error), way)) from None
    except LookupError as error:
        raise Failure(FAILED, str(error)) from None
    except ValueError as error:
        raise Failure(WRONG, str(error)) from None
    pasted = paste.tags(found, source, units)
    section = {"driver": "opcua", "url": url} | ({"user": user} if user else {}) | ({} if security == "None" else {"security": security})
    show.note(f"{len(pasted)} variables, of which {sum(each.fits for each in pasted)} can be tags")
    if as_json or form is Format.json:
        show.document(paste.as_json(pasted, url))
    else:
        show.line((paste.as_csv(pasted) if form is Format.csv else paste.as_yaml(pasted, source, section)).rstrip("\n"))
