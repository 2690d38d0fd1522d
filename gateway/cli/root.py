"""`edgetwin`: the table of its verbs."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import (
    audit,
    calibrate,
    cert,
    change,
    exchange,
    forecast,
    inspect,
    line_forecast,
    login,
    report,
    run,
    scenario,
    simulate,
    token,
    user,
)
from gateway.cli.failure import Failure


class Verbs(TyperGroup):
    """Turns a Failure of any verb into a line on stderr and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            print(f"edgetwin: {failure.why}", file=sys.stderr)  # noqa: T201 - this is the command line's own voice
            if failure.hint:
                print(f"  {failure.hint}", file=sys.stderr)  # noqa: T201 - likewise
            raise typer.Exit(failure.code) from None


app = typer.Typer(
    name="edgetwin",
    help="Industrial edge gateway with a live digital twin.",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    _version: Annotated[bool, typer.Option("--version", callback=run.told_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Industrial edge gateway with a live digital twin."""


app.command()(run.run)
app.command()(run.check)
app.command()(run.schema)
app.command()(inspect.status)
app.command()(inspect.doctor)
app.command()(change.reload)
app.command()(inspect.browse)
app.command()(inspect.read)
app.command()(change.write)
app.command()(inspect.watch)
app.command()(change.record)
app.command()(run.replay)
app.command()(simulate.simulate)
app.command()(calibrate.calibrate)
app.add_typer(scenario.app, name="scenario")
app.add_typer(line_forecast.app, name="line")
app.command()(exchange.export)
app.command("import")(exchange.import_)
app.add_typer(forecast.app, name="forecast")
app.add_typer(report.app, name="report")
app.add_typer(user.app, name="user")
app.add_typer(token.app, name="token")
app.command()(login.login)
app.add_typer(audit.app, name="audit")
app.add_typer(cert.app, name="cert")
app.command()(run.version)
