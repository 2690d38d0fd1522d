"""Options that several verbs share."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Url = Annotated[
    str | None, typer.Option("--url", envvar="EDGETWIN_URL", help="Address of the gateway; without it its local socket is used.")
]
Name = Annotated[str | None, typer.Option("--name", help="Which gateway of this machine, where several run.")]
Config = Annotated[Path, typer.Argument(envvar="CONFIG_PATH", help="Configuration file.", show_default=False)]


def bundled(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb of which each parameter that is a dataclass stands for the fields of it, which are options of the verb."""
    hints = get_type_hints(verb, include_extras=True)
    bundles: dict[str, Callable[..., Any]] = {
        name: kind for name, kind in hints.items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    }
    own = [one.replace(annotation=hints[one.name]) for one in inspect.signature(verb).parameters.values() if one.name not in bundles]
    theirs = [one for kind in bundles.values() for one in _options(kind)]

    @functools.wraps(verb)
    def called(**given: Any) -> None:
        parts = {name: kind(**{one.name: given.pop(one.name) for one in _options(kind)}) for name, kind in bundles.items()}
        verb(**parts, **given)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in [*own, *theirs]]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what inspect and typer look at first
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in dataclasses.fields(kind)
    ]
