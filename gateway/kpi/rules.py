"""The conditions of the line's forecast: that a machine will be starved or blocked, on the tag of its state."""

from typing import Final

from gateway.model.alarm import AlarmRule, Limit
from gateway.settings import Site

WAITS: Final = ("STARVED", "BLOCKED")
_CAUSES: Final = {"STARVED": "What feeds it will not keep up.", "BLOCKED": "What it feeds will not keep up."}


def rules_of(site: Site) -> tuple[AlarmRule, ...]:
    """Two for each tied machine, `<state tag>/Forecast/STARVED` and `BLOCKED`; none without a forecast."""
    line = site.line
    if line is None or line.ahead is None:
        return ()
    return tuple(
        AlarmRule(
            machine.state, site.tags[machine.state].name, Limit.PREDICTED, line.ahead.minimum_s, severity=line.ahead.severity,
            cause=_CAUSES[word], consequence=f"{machine.name} waits.", action="Look at the machines beside it and at their buffers.",
            subject=word, symbol="s",
        )
        for machine in line.machines
        for word in WAITS
    )  # fmt: skip
