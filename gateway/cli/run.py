"""The daemon, and what is done without one: check, schema, replay, version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson, Config

if TYPE_CHECKING:
    from gateway.settings import Fault, Site


def run(config: Config) -> None:
    """Run the gateway until it is told to stop (SIGTERM, Ctrl-C); SIGHUP reloads the configuration."""
    import gc

    gc.disable()  # thousands of classes are made while modules load, and none of them is garbage; on again once the daemon runs
    from gateway.heap import few_arenas

    few_arenas()
    from gateway.launch import run as daemon

    raise typer.Exit(daemon(config))


def check(config: Config, as_json: AsJson = False) -> None:
    """Validate a configuration: each fault with file, line and column. Exit code 2 where there is one."""
    site, faults = load(config)
    if as_json:
        show.document({"ok": site is not None, "config": str(config), "faults": [_row(fault) for fault in faults]})
    else:
        for fault in faults:
            show.line(f"{fault} [warning]" if fault.warning else str(fault))
    if site is None:
        raise typer.Exit(WRONG)
    if not as_json:
        show.line(
            f"{config}: fine; {len(site.sources)} sources, {len(site.tags)} tags, {len(site.rules)} alarms, {len(site.upstream)} upstream"
        )


def load(config: Path) -> "tuple[Site | None, list[Fault]]":
    """The site, or None with its faults; warnings come with either."""
    from gateway import settings
    from gateway.plugins import plugins

    try:
        site = settings.load(config, plugins())
    except settings.SettingsError as error:
        return None, list(error.faults)
    return site, list(site.faults)


def _row(fault: "Fault") -> dict[str, Any]:
    place = fault.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "key": fault.key,
        "why": fault.why,
        "hint": fault.hint,
        "warning": fault.warning,
    }


def schema() -> None:
    """JSON Schema of the configuration."""
    from gateway import settings
    from gateway.plugins import plugins

    show.document(settings.schema(plugins()))


def replay(
    recording: Annotated[Path, typer.Argument(help="A recording (.etrec), or CSV or Parquet with the columns tag, timestamp, value.")],
    config: Annotated[Path, typer.Option("--config", "-c", envvar="CONFIG_PATH", help="Configuration with its tags and alarms.")],
    as_json: AsJson = False,
) -> None:
    """Run the engine on recorded input: the same recording gives the same alarms and the same state hash."""
    from gateway.replay import replay as run_recording

    site, faults = load(config)
    if site is None:
        raise Failure(WRONG, "\n".join(str(fault) for fault in faults if not fault.warning))
    if not recording.exists():
        raise Failure(WRONG, f"{recording}: there is no such file")
    try:
        report = run_recording(recording, config)
    except (OSError, ValueError) as error:
        raise Failure(FAILED, f"{recording}: {error}") from None
    if as_json:
        show.document(report)
        return
    for alarm in report["alarms"]:
        show.line(f"{alarm['time']}  {alarm['condition']}  {alarm['change']}  {show.value(alarm['actual_value'])}  {alarm['message']}")
    same = {None: "", True: ", as recorded", False: ", but another one was recorded"}[report["equal"]]
    show.line(f"{report['steps']} steps, {report['samples']} samples, {report['late']} late, {len(report['alarms'])} transitions of alarms")
    show.line(f"state {report['state_hash']}{same}")
    if report["fault"]:
        show.note(f"{recording}: {report['fault']}")


def told_version(wanted: bool) -> None:
    """The option --version: the verb's line, and the end."""
    if wanted:
        version()
        raise typer.Exit


def version(as_json: AsJson = False) -> None:
    """The version of this program."""
    import platform

    from gateway import __version__

    if as_json:
        show.document({"version": __version__, "python": platform.python_version(), "system": platform.platform()})
    else:
        show.line(f"edgetwin {__version__} (Python {platform.python_version()})")
