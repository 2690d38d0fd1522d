"""Named scenarios: in the running gateway, or with --config without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import asking, bands, show
from gateway.cli.failure import FAILED, Failure
from gateway.cli.options import AsJson, Name, Url, bundled
from gateway.cli.places import place

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Named what-ifs: what would happen if.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Without a running gateway: the models and the data of this configuration.", show_default=False),
]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="TAG=VALUE[@TIME]", help="A tag or model.parameter; repeatable.")]
Asked = Annotated[int | None, typer.Option("--seed", min=0, help="Of all chance; without it one is chosen and told.")]
State = Annotated[Path | None, typer.Option("--from", metavar="STATE.json", help="With --config: the initial state.")]


@app.command("list")
def list_(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """All scenarios, by name."""
    found = place(url, name, config).scenarios()
    if as_json:
        show.document({"scenarios": found})
    elif not found:
        show.note("there are no scenarios yet: `edgetwin scenario save NAME --set TAG=VALUE` keeps one")
    else:
        rows = ((row["name"], _changed(row), "configuration" if row["configured"] else "saved", row["description"]) for row in found)
        show.table(("scenario", "changes", "kept in", "description"), rows)


@app.command("show")
def show_(which: Which, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """One scenario."""
    row = next((row for row in place(url, name, config).scenarios() if row["name"] == which), None)
    if row is None:
        raise Failure(FAILED, f"there is no scenario {which!r}")
    if as_json:
        show.document(row)
        return
    for key, value in row.items():
        if value not in (None, "", {}):
            show.line(f"{key}: {_changed(row) if key == 'parameters' else show.value(value)}")


@app.command()
@bundled
def save(
    which: Which,
    lengths: asking.Lengths,
    changes: Changes = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Keep a scenario, or change one."""
    args = {"name": which, "description": description, "parameters": asking.parsed(changes), **lengths.args()}
    outcome = place(url, name, config).command("scenario.save", args)
    if as_json:
        show.document(outcome["result"])
    else:
        show.line(f"{which} is kept")


@app.command()
def delete(which: Which, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Remove a scenario."""
    outcome = place(url, name, config).command("scenario.delete", {"name": which})
    if as_json:
        show.document(outcome["result"])
    else:
        show.line(f"{which} is removed")


@app.command()
@bundled
def run(
    which: Which,
    single: asking.Single,
    lengths: asking.Lengths,
    chance: asking.Chance,
    seed: Asked = None,
    state: State = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario from the present state: bands per tag, and how likely each alarm limit is reached."""
    bands.check(single.out, single.plot)
    there = place(url, name, config, state)
    done = there.run("scenario.run", {"name": which, **single.args(), **lengths.args(), **chance.args(), **_seed(seed)})
    single.told(done, there.units, as_json=as_json)


@app.command()
@bundled
def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The first is the base; one alone is compared with `now`.")],
    lengths: asking.Lengths,
    chance: asking.Chance,
    seed: Asked = None,
    plot: asking.Plot = None,
    state: State = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Run scenarios under the same chance, and tell what each changes, with its interval. `now` changes nothing."""
    bands.check(None, plot)
    there = place(url, name, config, state)
    done = there.run("scenario.compare", {"names": names, **lengths.args(), **chance.args(), **_seed(seed)})
    report = asking.reported(done)
    units = there.units(list(next(iter(report["scenarios"].values()))["outputs"]))
    if plot is not None:
        bands.plot_compared(report, units, plot)
    if as_json:
        show.document(done)
    else:
        bands.differences(report, units)
    asking.whole(report)


def _changed(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_change(change)}" for name, change in row["parameters"].items()) or "nothing"


def _change(change: Any) -> str:
    if isinstance(change, int | float):
        return f"{change:g}"
    return ", ".join(f"{value:g} from {show.age(at_s)}" for at_s, value in change)


def _seed(seed: int | None) -> dict[str, int]:
    return {} if seed is None else {"seed": seed}
