"""From which state a what-if begins."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import show
from gateway.cli.failure import WRONG, Failure

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.operations.simulations import Foresight
    from gateway.settings import Site
    from gateway.simulation.whatif import Ask

_METER: Final = "energy_register"


def initial(site: Site, state: Path | None) -> dict[str, float]:
    """The initial state by tag: of the file, else of the gateway that runs on this configuration, else the middle of what is usual."""
    from gateway import bounded
    from gateway.foresight import names_of
    from gateway.model import statefile

    if state is None:
        found = _live(site) or _usual(site)
    else:
        try:
            content = statefile.parsed(bounded.read(state, statefile.MOST_BYTES))
            if isinstance(content, dict) and statefile.FILE in content:  # a tree of another program is taken as it is
                content = statefile.checked(content)
        except OSError as error:
            raise Failure(WRONG, f"{state}: {error.strerror}") from None
        except ValueError as error:
            raise Failure(WRONG, f"{state}: {error}") from None
        if not isinstance(content, dict):
            raise Failure(WRONG, f"{state}: is no tree of values, as `edgetwin export state` writes it")
        found = statefile.flat(content)
    named = names_of(site)
    values = {name: value for name, value in found.items() if name in named and isinstance(value, int | float)}
    for name, value in values.items():
        if not abs(value) <= sys.float_info.max:  # a whole number may be too long for a float
            raise Failure(WRONG, f"{state}: {name} is {str(value)[:80]}: no finite number")
    return {name: float(value) for name, value in values.items()}


def _usual(site: Site) -> dict[str, float]:
    """The middle between the innermost alarm limits of a tag, else of its range; nothing for a meter, which begins at 0."""
    from gateway.foresight import foresight, names_of

    present = foresight(site, {})
    counts = {tag for model in site.models if model.kind == _METER for tag in model.outputs.values()}
    found = {}
    for tag in sorted(names_of(site) - counts):
        low, high = present.ranges.get(tag, (-math.inf, math.inf))
        limits = [limit for limit in present.limits if limit.tag == tag]
        low = max([low, *(limit.threshold for limit in limits if limit.limit in {"LO", "LOLO"})])
        high = min([high, *(limit.threshold for limit in limits if limit.limit in {"HI", "HIHI"})])
        if math.isfinite(low) and math.isfinite(high):
            found[tag] = (low + high) / 2
    if found:
        shown = ", ".join(f"{tag} = {value:g}" for tag, value in found.items())
        show.note(f"{site.gateway.name} does not run: it begins in the middle of limits and ranges, {shown}")
    return found


def _live(site: Site) -> dict[str, Any]:
    """The twin of a gateway that runs; nothing where none does."""
    from gateway import local
    from gateway.cli import daemon
    from gateway.model import statefile

    if not any(path.stem == site.gateway.name for path in local.sockets()):
        return {}
    try:
        found = statefile.flat(daemon.find(None, site.gateway.name).get("/twin"))
    except Failure:
        return {}
    show.note(f"from the present state of {site.gateway.name}")
    return found


def nothing_open(site: Site, present: Foresight, ask: Ask) -> None:
    """Failure names the tags of which nothing is known: a plant does not begin at 0. A meter may."""
    counts = {tag for model in site.models if model.kind == _METER for tag in model.outputs.values()}
    needed = {tag for model in site.models for tag in (*model.outputs.values(), *model.inputs.values()) if isinstance(tag, str)}
    if unknown := sorted(needed - counts - {*present.start, *ask.parameters}):
        hint = f"give --from STATE.json or --set {unknown[0]}=VALUE, or the tag a range; a running gateway is asked by itself"
        raise Failure(WRONG, f"nothing is known of {', '.join(unknown)}", hint)
