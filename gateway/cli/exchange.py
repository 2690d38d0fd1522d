"""Export and import: history, events and state as csv, parquet or json, through the running gateway or, with --config, without one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import daemon, offline, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Name, Url


class What(StrEnum):
    history = "history"
    events = "events"
    state = "state"


class Format(StrEnum):
    csv = "csv"
    parquet = "parquet"
    json = "json"


_EVENT_COLUMNS = ("event_id", "timestamp", "category", "severity", "level", "source", "message", "details", "acknowledged")


def export(
    what: Annotated[What, typer.Argument(help="What to export.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="File to write, by its ending .csv, .parquet, .json. A state without it: a new file in digital_twin."),
    ] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Tags whose history is wanted; all of them without it.")] = None,
    start: Annotated[str, typer.Option("--from", help="Beginning: a time, or a distance like now-24h.")] = "now-24h",
    end: Annotated[str | None, typer.Option("--to", help="End; now without it.")] = None,
    buckets: Annotated[int | None, typer.Option("--buckets", min=1, help="Downsample to so many buckets per tag.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Without a running gateway: read the data of this configuration.")
    ] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Write history, events or the present state to a file."""
    if out is None:
        if what is not What.state:
            raise Failure(WRONG, f"export {what.value} needs a file to write: FILE.csv, .parquet or .json")
        out = _new_state()
    form = _format(out)
    if config is not None:
        if what is not What.history or buckets is not None:
            raise Failure(WRONG, "--config exports the samples of history; everything else needs the running gateway")
        count = offline.export_history(config, out, tags, start, end)
        _told({"what": what.value, "path": str(out), "samples": count}, as_json=as_json)
        return
    for option, text in (("--from", start), ("--to", end)):
        if text is not None:
            offline.moment(option, text)  # what is no time is wrong usage, whoever is asked
    gateway = daemon.find(url, name)
    if what is What.history:
        size = _history(gateway, out, form, tags, {"from": start, "to": end, "buckets": buckets})
    elif what is What.events:
        size = _write(out, _events(gateway, form, {"since": start, "until": end, "limit": 10_000}))
    elif form is Format.json:
        size = _write(out, _pretty(gateway.get("/twin/file")))
    else:
        raise Failure(WRONG, "the state is a tree: write it to a .json file")
    _told({"what": what.value, "path": str(out), "bytes": size}, as_json=as_json)


def import_(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE|state", help="CSV or Parquet with the columns tag, timestamp, value, or timestamp and one per tag."),
    ],
    state: Annotated[
        Path | None, typer.Argument(metavar="STATE.json", help="After `state`: what `export state` wrote; the newest of digital_twin.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="CONFIG_PATH", help="Configuration with these tags; its gateway is stopped.")
    ] = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Put samples of a file into the history; twin and alarms see none of them, and what is there already stays.

    Or `import state STATE.json`: the running gateway takes over the values of a state file until its sources give others.
    """
    if path == Path(What.state.value):
        _told(_take_state(state, url, name), as_json=as_json)
        return
    if state is not None or url is not None or name is not None:
        raise Failure(WRONG, "only `import state STATE.json` goes into a running gateway: samples are imported with --config")
    if config is None:
        raise Failure(WRONG, "samples are imported with --config FILE, while the gateway of it does not run")
    if not path.exists():
        raise Failure(WRONG, f"{path}: there is no such file")
    _told({"path": str(path), **offline.import_history(config, path)}, as_json=as_json)


def _told(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.document(report)
    else:
        figures = ", ".join(f"{shown} {key}" for key, shown in report.items() if key in {"samples", "bytes", "tags"})
        show.note(f"{report['path']}: {figures}")


def _format(out: Path) -> Format:
    try:
        return Format(out.suffix.lstrip(".").lower())
    except ValueError:
        raise Failure(WRONG, f"{out}: end the name in .csv, .parquet or .json") from None


def _history(gateway: daemon.Daemon, out: Path, form: Format, tags: list[str] | None, window: dict[str, Any]) -> int:
    params = {
        **({"tag": tags} if tags else {"prefix": ""}),
        "format": form.value,
        **{key: given for key, given in window.items() if given is not None},
    }
    part = out.with_name(out.name + ".part")
    with gateway.download("/history", params) as pieces, part.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        size = file.tell()
    part.replace(out)
    return size


def _events(gateway: daemon.Daemon, form: Format, params: dict[str, Any]) -> str:
    rows = gateway.get("/events", **params)["events"]
    if form is Format.json:
        return _pretty({"events": rows})
    if form is Format.parquet:
        raise Failure(WRONG, "events are written to .csv or .json")
    import csv
    import io
    import json

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_EVENT_COLUMNS)
    writer.writerows([json.dumps(row[name]) if name == "details" else row[name] for name in _EVENT_COLUMNS] for row in rows)
    return out.getvalue()


def _pretty(content: Any) -> str:
    import json

    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _write(out: Path, text: str) -> int:
    """Whole or not at all."""
    from gateway.store import whole

    content = text.encode()
    try:
        whole.replace(out, content, mode=0o644)
    except OSError as error:
        raise Failure(FAILED, f"{out}: {error.strerror}") from None
    return len(content)


def _new_state() -> Path:
    """A name by the time, in the folder of state files, which is made."""
    import time

    from gateway.model.statefile import FOLDER

    folder = Path(FOLDER)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Failure(FAILED, f"{folder}: {error.strerror}") from None
    return folder / time.strftime("state-%Y%m%dT%H%M%SZ.json", time.gmtime())


def _take_state(path: Path | None, url: str | None, name: str | None) -> dict[str, Any]:
    """A state file into the running gateway; without one the newest of the folder of state files."""
    from gateway import bounded
    from gateway.model import statefile

    if path is None:
        path = max(Path(statefile.FOLDER).glob("state-*.json"), default=None)
        if path is None:
            raise Failure(WRONG, f"there is no state file in {statefile.FOLDER}: name one")
    try:
        content = statefile.parsed(bounded.read(path, statefile.MOST_BYTES))
        statefile.checked(content)
    except OSError as error:
        raise Failure(WRONG, f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(FAILED, f"{path}: {error}") from None
    return {"path": str(path), **daemon.find(url, name).command("state.import", {"state": content})["result"]}
