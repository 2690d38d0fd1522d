"""`edgetwin line`: a production line from YAML to OEE and money, offline."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from gateway.cli import bands, show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.options import AsJson
from gateway.model.line import MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.line import LineResult
    from gateway.model.line import Line

PICTURES: Final = ("png", "svg")


class Direct(TyperGroup):
    """`line --run NAME` is `line run --run NAME`, and `--export DIR` is `--export --out DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help"}:
            args = ["run", *args]
        args = [word for arg in args for word in (["--export", arg.removeprefix("--export=")] if arg.startswith("--export=") else [arg])]
        if "--export" in args[:-1]:
            at = args.index("--export") + 1
            if not args[at].startswith("-"):
                args = [*args[:at], "--out", *args[at:]]
        return super().parse_args(ctx, args)


app = typer.Typer(help="A production line, simulated: OEE, buffers, bottleneck and money.", no_args_is_help=True, cls=Direct)

Run = Annotated[str, typer.Option("--run", metavar="NAME", help="A run of the tree: runs/NAME.yaml.", show_default=False)]
Tree = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="DIR", help="The tree; without it ./config/line, else the examples.", show_default=False),
]
Scenario = Annotated[str | None, typer.Option("--scenario", metavar="NAME", help="Another scenario than the run names.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="As an override: Filler.uph=4500; repeatable.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of all chance: the same seed gives the same results.", min=0)]
Duration = Annotated[str | None, typer.Option("--duration", help="How long: 30min, 8h, 5d.")]
Parquet = Annotated[bool, typer.Option("--parquet", help="The tables as Parquet too.")]
Plot = Annotated[bool, typer.Option("--plot", help="Pictures: states of the machines, OEE losses, buffers.")]
Format = Annotated[str, typer.Option("--plot-format", metavar="|".join(PICTURES), help="Kind of the pictures.")]


@app.command("list")
def list_(
    config: Tree = None,
    every: Annotated[bool, typer.Option("--all", help="Every kind of file, not runs and scenarios alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Runs and scenarios of the tree, and where it lies."""
    from gateway.settings.line import KINDS, listing

    folder = _folder(config)
    found = listing(folder, tuple(KINDS) if every else ("runs", "scenarios"))
    rows = [{"kind": one.kind, "name": one.name, "uses": one.uses, "description": one.description, "file": str(one.path)} for one in found]
    if as_json:
        show.document({"config": str(folder), "files": rows})
        return
    uses = [", ".join(f"{key} {name}" for key, name in one.uses.items()) for one in found]
    show.table(("kind", "name", "uses", ""), [(one.kind, one.name, use, one.description) for one, use in zip(found, uses, strict=True)])
    show.note(f"in {folder}")


@app.command()
def run(
    name: Run,
    scenario: Scenario = None,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    export: Annotated[
        bool, typer.Option("--export", help="Write telemetry.csv, events.csv and summary.json; --export DIR says where.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to.", show_default="output/NAME")] = None,
    parquet: Parquet = False,
    plot: Plot = False,
    plot_format: Format = "png",
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Resolve the configuration and print it; nothing runs.")] = False,
) -> None:
    """Run a line of the configuration tree."""
    from gateway.model.line_document import document
    from gateway.settings.line import dump

    _check(parquet, plot, plot_format)
    line = resolved(name, scenario, sets, seed, duration, config)
    if dry_run:
        if as_json:
            show.document({"line": document(line)})
        else:
            show.line(dump(line).rstrip())
        return
    tables, folder = export or parquet or out is not None, out or Path("output") / name
    if tables or plot:
        _writable(folder)
    found = _executed(line)
    _write(found, folder, tables=tables, parquet=parquet, pictures=plot_format if plot else "")
    _tell(found, as_json)


@app.command()
def configure(
    name: Run,
    scenario: Scenario = None,
    sets: Sets = None,
    seed: Seed = None,
    duration: Duration = None,
    config: Tree = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where bundles lie.")] = Path("scenarios"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Freeze a run into a bundle: scenario.py, config_snapshot.yaml, metadata.json."""
    import json
    import shlex

    from gateway.line import bundle
    from gateway.line.atomic import Unwritable

    line = resolved(name, scenario, sets, seed, duration, config)
    options = {"--run": name, "--scenario": scenario, "--seed": seed, "--duration": duration, "--config": config}
    words = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    words += [word for text in sets or [] for word in ("--set", text)]
    folder, files = bundle.preview(line, datetime.now(UTC), out, _folder(config), shlex.join(["edgetwin", "line", "configure", *words]))
    if not dry_run:
        try:
            folder = bundle.write(folder, files)
        except Unwritable as error:
            raise Failure(FAILED, str(error), "give another folder with --out") from None
    if as_json:
        show.document(
            {"bundle": str(folder), "written": not dry_run, "files": sorted(files), "metadata": json.loads(files[bundle.METADATA])}
        )
        return
    show.line(str(folder))
    for file, content in files.items():
        show.line(f"  {file}  {len(content.encode())} bytes")
    show.line(f"  {bundle.OUTPUT}/")
    if dry_run:
        show.line()
        show.line(files[bundle.SNAPSHOT].rstrip())
        show.note("nothing is written: this is a dry run")


@app.command()
def simulate(
    scenario: Annotated[Path, typer.Option("--scenario", metavar="PATH", help="The folder of a bundle.", show_default=False)],
    parquet: Parquet = False,
    plot: Plot = False,
    plot_format: Format = "png",
    as_json: AsJson = False,
) -> None:
    """Run a bundle from its snapshot alone, and write its output."""
    from gateway.line import bundle
    from gateway.settings import SettingsError

    _check(parquet, plot, plot_format)
    try:
        found = bundle.read(scenario)
    except bundle.BundleError as error:
        raise Failure(WRONG, error.why, error.hint) from None
    except SettingsError as error:
        raise Failure(WRONG, str(error)) from None
    if found.differing:
        show.note(f"not as it was configured, so that the bytes may differ: {'; '.join(found.differing)}")
    _writable(found.output)
    results = _executed(found.line)
    _write(results, found.output, tables=True, parquet=parquet, pictures=plot_format if plot else "")
    _tell(results, as_json)


# --- shared ---------------------------------------------------------------------------------------------------------------------------


def _folder(config: Path | None) -> Path:
    from gateway.settings import SettingsError
    from gateway.settings.line import config_dir

    try:
        return config_dir(config)
    except SettingsError as error:
        raise Failure(WRONG, str(error)) from None


def resolved(name: str, scenario: str | None, sets: list[str] | None, seed: int | None, duration: str | None, config: Path | None) -> Line:
    """The line as the tree and the options say. Failure with every fault."""
    return variants(name, scenario, [sets or []], seed, duration, config)[0]


def variants(
    name: str, scenario: str | None, sets: Sequence[list[str]], seed: int | None, duration: str | None, config: Path | None
) -> list[Line]:
    """The lines of one run under several lists of overrides; the tree is read once. Failure with every fault."""
    from gateway.settings import SettingsError
    from gateway.settings.line import Variant, load_lines

    given = [] if seed is None else [f"run.seed={seed}"]
    given += [] if duration is None else [f"run.duration={duration}"]
    try:
        return load_lines(name, _folder(config), [Variant(scenario, (*own, *given)) for own in sets])
    except SettingsError as error:
        raise Failure(WRONG, str(error)) from None


def _check(parquet: bool, plot: bool, plot_format: str) -> None:
    """Failure for what cannot be written here, before anything runs."""
    if plot_format not in PICTURES:
        raise Failure(WRONG, f"--plot-format {plot_format}: write {' or '.join(PICTURES)}")
    if parquet and find_spec("pyarrow") is None:
        raise Failure(WRONG, "--parquet needs pyarrow, which is not installed here: `pip install edgetwin[parquet]`")
    if plot and find_spec("matplotlib") is None:
        raise Failure(WRONG, "--plot needs matplotlib, which is not installed here: `pip install matplotlib`")


def _writable(folder: Path) -> None:
    """Failure for a folder that cannot be written, before anything runs."""
    from gateway.line.atomic import Unwritable, check

    try:
        check(folder)
    except Unwritable as error:
        raise Failure(FAILED, str(error), "give a folder that can be written") from None


def _executed(line: Line) -> LineResult:
    """The results of one run, with its progress where it takes long."""
    from gateway.line import execute
    from gateway.simulation.line.faults import LineError

    try:
        with bands.Progress(line.name) as progress:
            return execute(line, progress=progress)
    except LineError as error:
        raise Failure(WRONG, str(error)) from None


def _write(found: LineResult, out: Path, *, tables: bool, parquet: bool, pictures: str) -> None:
    """The files that were asked for, all of them or none."""
    from gateway.line.atomic import Unwritable
    from gateway.line.files import write

    if not tables and not pictures:
        return
    try:
        for path in write(found, out, tables=tables, parquet=parquet, pictures=pictures):
            show.note(f"{path} is written")
    except Unwritable as error:
        raise Failure(FAILED, str(error), "nothing is changed there; give a folder that can be written") from None


def _tell(result: LineResult, as_json: bool) -> None:
    """The summary: as one document, or a table of machines and what the line came to."""
    from gateway.line import report

    found = report(result)
    if as_json:
        show.document(found)
        return
    line, money, made = found["oee"], found["economics"], found["production"]
    show.line(f"{found['run']}: scenario {found['scenario']}, {show.age(found['duration_s'])}, seed {found['seed']}")
    show.line()
    shares = sorted({state for one in found["machines"].values() for state in one["share_in_state"]}, key=list(MachineState).index)
    head = ("machine", "OEE", "availability", "performance", "quality", *(state.lower() for state in shares), "made")
    rows = []
    for name, one in found["machines"].items():
        factors = [_percent(one["oee"][factor]) for factor in ("oee", "availability", "performance", "quality")]
        rows.append((name, *factors, *(_percent(one["share_in_state"].get(state, 0.0)) for state in shares), one["made"]))
    rows.append(("line", *(_percent(line[factor]) for factor in ("oee", "availability", "performance", "quality"))))
    rows[-1] += ("",) * (len(head) - len(rows[-1]))
    show.table(head, rows, right=range(1, len(head)))
    show.line()
    show.line(f"good {made['good_pallets']} of {made['pallets_produced']} finished, {made['good_per_hour']:.4g} an hour")
    amounts = ", ".join(f"{name.replace('_', ' ')} {money[name]:,.2f}" for name in ("revenue", "material_cost", "conversion_cost"))
    show.line(f"gross margin {money['gross_margin']:,.2f}: {amounts}")
    where = found["bottleneck"]
    show.line(f"bottleneck {where['active_period'] or '-'} (active period), {where['turning_point'] or '-'} (turning point)")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
