"""How a running line stands: the instant of a layout as a run can begin with it."""

from gateway.model.line import LineState, MachineStart
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.station import BLOCKED, DOWN, EXECUTE, MAINTENANCE, STARVED, STATES, Station


def standing(layout: Layout) -> LineState:
    """All of its past that matters to what is to come. The layout may go on afterwards."""
    machines = [_machine(layout, name, station) for name, station in zip(layout.names, layout.stations, strict=True)]
    levels = tuple((a, b, len(buffer.items)) for (a, b), buffer in layout.buffers.items())
    return LineState(tuple(machines), levels, layout.env.now, layout.order.supplied)


def _machine(layout: Layout, name: str, station: Station) -> MachineStart:
    state, elapsed_s, worked_s = _doing(station)
    parts = len(station.parts) + (station.offered is not None)
    attended_s = None
    if state in {DOWN, MAINTENANCE} and station.crew is not None:
        attended_s = elapsed_s if station.resting else 0.0 if station.served is None else layout.env.now - station.served
    if state == DOWN and station.offered is not None:  # what it has made is as good as a cycle that is over
        parts, worked_s = len(station.parts) + 1, station.cycle_s
    return MachineStart(
        name,
        STATES[state],
        elapsed_s,
        station.age(),
        layout.skus[station.product],
        bool(parts) if state == DOWN else None,
        parts,
        worked_s,
        attended_s,
        _maintained(station),
        station.lot,
        0.0 if station.passive else layout.env.now - (station.turns[-1] if station.turns else layout.books.began),
    )


def _doing(station: Station) -> tuple[int, float, float]:
    """(its state, or that which its rest has halted; for how long; what is worked of the cycle that a failure has halted)."""
    state, elapsed_s, halts = station.state, station.env.now - station.began, list(station.halts)
    if station.resting:
        state, elapsed_s = halts.pop() if halts else (BLOCKED if station.offered is not None else STARVED, 0.0)
    elif state == EXECUTE:
        elapsed_s += station.before_s
    return state, elapsed_s, halts[-1][1] if halts and halts[-1][0] == EXECUTE and state == DOWN else 0.0


def _maintained(station: Station) -> float:
    policy = station.machine.maintenance
    if policy is None:
        return 0.0
    due_s = station.due - (0.0 if policy.policy == "age" else station.env.now)
    return max(policy.after_s - due_s, 0.0)
