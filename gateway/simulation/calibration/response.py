"""What a model gives for the inputs of a record: all candidates of its parameters at once, as runs of one ensemble."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from gateway.simulation.calibration.record import Part, Record
from gateway.simulation.process.linear import FirstOrder, FirstOrderDeadTime, SecondOrder, SecondOrderDeadTime, step_response
from gateway.simulation.process.model import Array, Model

WILD: Final = 1e12  # what a candidate that diverges is said to give


def starts_of(model: Model, outputs: int) -> int:
    """How many numbers begin a part: the outputs, and of a model with dead time what the inputs before it added (see told)."""
    return outputs + ("theta" in model.parameters and _linear(model))


def _linear(model: Model) -> bool:
    return type(model) in {FirstOrder, FirstOrderDeadTime, SecondOrder, SecondOrderDeadTime}


def told(model: Model, record: Record, table: Mapping[str, Array], starts: Array) -> Array:
    """(candidates, N) at the measurements; WILD outside of the parts and where a candidate diverges. table: parameter -> (candidates,).

    starts (candidates, parts * starts_of): the outputs at the beginning of each part, which nobody knows; and for the time of its dead
    time, by how much K u differs from that of the first known input.
    """
    out = np.full((starts.shape[0], record.y.size), np.nan)
    changed = model.with_parameters(table) if table else model
    width = starts_of(model, len(record.outputs))
    for number, part in enumerate(record.parts):
        y = _part(changed, record, part, starts[:, number * width : (number + 1) * width])
        place = np.clip(record.at[part.rows] - part.first, 0, part.last - part.first)
        cell = np.minimum(place.astype(np.intp), part.last - part.first - 1)
        share, which = place - cell, record.which[part.rows]
        out[:, part.rows] = y[cell, :, which].T * (1 - share) + y[cell + 1, :, which].T * share
    return np.asarray(np.clip(np.nan_to_num(out, nan=WILD, posinf=WILD, neginf=-WILD), -WILD, WILD))


def _part(model: Model, record: Record, part: Part, starts: Array) -> Array:
    """(steps + 1, candidates, outputs) of one part."""
    u = record.u[part.first : part.last]
    if _linear(model):
        return np.asarray(_delayed(model.parameters, u[:, 0], record.step_s, starts)[:, :, None])
    ready = model.at(record.step_s)
    runs = starts.shape[0]
    given = dict(zip(model.inputs, u[0].tolist(), strict=True))
    x = ready.initial({**given, **dict(zip(record.outputs, starts[0].tolist(), strict=True))}, runs)
    for k, name in enumerate(record.outputs):
        if name in ready.states:
            x[:, ready.states.index(name)] = starts[:, k]
    columns = [model.outputs.index(name) for name in record.outputs]
    y = np.empty((u.shape[0] + 1, runs, len(columns)))
    with np.errstate(all="ignore"):
        for k in range(u.shape[0]):
            now = np.broadcast_to(u[k], (runs, u.shape[1]))
            y[k] = ready.observe(x, now, None)[:, columns]
            x = ready.step(x, now, record.step_s, None)
        y[-1] = ready.observe(x, np.broadcast_to(u[-1], (runs, u.shape[1])), None)[:, columns]
    return y


def _delayed(p: Mapping[str, float | Array], u: Array, dt_s: float, starts: Array) -> Array:
    """(steps + 1, candidates) of a first or second order with dead time: as its own exact step, all steps' drives at once."""
    from scipy.signal import lfilter

    runs = starts.shape[0]
    tau, theta, gain, bias = (np.broadcast_to(np.asarray(p.get(name, 0.0), np.float64), runs) for name in ("tau", "theta", "K", "bias"))
    before = starts[:, 1] if starts.shape[1] > 1 else np.zeros(runs)
    whole = np.floor(theta / dt_s).astype(np.intp)
    at, rest = np.arange(u.size)[:, None], theta - whole * dt_s
    older, younger = (gain * u[np.maximum(at - whole - k, 0)] + before * (at - whole - k < 0) for k in (1, 0))  # (steps, runs)
    y = np.empty((u.size + 1, runs))
    y[0] = starts[:, 0]
    if "zeta" not in p:
        keep, late = np.exp(-dt_s / tau), np.exp(-(dt_s - rest) / tau)
        drive = (1 - keep) * bias + (late - keep) * older + (1 - late) * younger
        for run in range(runs):
            y[1:, run] = lfilter([1.0], [1.0, -keep[run]], drive[:, run], zi=[keep[run] * starts[run, 0]])[0]
        return y
    zeta = np.broadcast_to(np.asarray(p["zeta"], np.float64), runs)
    full, late = step_response(np.full(runs, dt_s), tau, zeta), step_response(dt_s - rest, tau, zeta)
    # exp(A dt) of a second order: its first row is (1 - y_step, d), its second the slopes of it
    odd = full[:, 1] * tau**2
    a00, a01, a10 = 1 - full[:, 0], odd, -full[:, 1]
    a11 = a00 - 2 * zeta / tau * odd
    push = (bias + older)[:, :, None] * full + (younger - older)[:, :, None] * late
    # two coupled states as one recursion of second order in y (Cayley and Hamilton): y'' = trace y' - det y + drive
    trace, det = a00 + a11, a00 * a11 - a01 * a10
    y[1] = a00 * y[0] + push[0, :, 0]
    drive = push[1:, :, 0] - a11 * push[:-1, :, 0] + a01 * push[:-1, :, 1]
    for run in range(runs):
        first = [trace[run] * y[1, run] - det[run] * y[0, run], -det[run] * y[1, run]]
        y[2:, run] = lfilter([1.0], [1.0, -trace[run], det[run]], drive[:, run], zi=first)[0]
    return y
