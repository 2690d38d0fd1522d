"""Calibration, the whole of it: what may be sought, whether the data can tell, the fit, and its judgement on data that it has not seen.

The parameters are fitted on the training part and judged on the held-out part, beside those in force until now; then they are fitted once
more on all of it. The held-out part is the last 30 % of the window, or three of ten blocks of it where the inputs rest at its end.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gateway.model.process import ProcessModel
from gateway.simulation.calibration import linear
from gateway.simulation.calibration.findings import OFFSET, Z95, Calibration, Estimate, Judged, estimate
from gateway.simulation.calibration.output_error import Fit, Free, OutputError, Tick
from gateway.simulation.calibration.record import Mask, Record, Samples, Unfit, record
from gateway.simulation.calibration.statistics import (
    WHITE,
    Whiteness,
    condition,
    covariance,
    excitation_order,
    ljung_box,
    nrmse_fit,
    rmse,
)  # fmt: skip
from gateway.simulation.calibration.tuning import simc
from gateway.simulation.kinds import EQUATIONS, KINDS, build
from gateway.simulation.process.equations import FASTEST
from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, Model, ModelError

HELD_OUT: Final = 0.3
SINGULAR: Final = 1e5
MOST_FREE: Final = 8
_NEVER: Final = frozenset({"reference", "period", "delay", "step_s", "rate_s", MEASUREMENT_NOISE, FASTEST})
_OU: Final = "ornstein_uhlenbeck"
_ARX: Final = "arx"
_FIRST: Final = frozenset({"first_order", "first_order_dead_time"})
_PLOTTED: Final = 600


def calibrated(
    rule: ProcessModel,
    series: Mapping[str, Samples],
    start_s: float,
    end_s: float,
    *,
    wanted: Sequence[str] = (),
    step_s: float | None = None,
    tick: Tick = lambda _share: None,
) -> Calibration:
    """The parameters of one model from the samples of its tags. wanted: those that are sought, else all but the noises.

    Raises Unfit that says why it cannot be, and what to do.
    """
    try:
        model = build(rule.kind, rule.parameters, rule.equations)
    except ModelError as fault:
        raise Unfit(f"{rule.name}: {fault}") from None
    outputs = {name: _of(series, tag) for name, tag in rule.outputs.items()}
    inputs = {name: _input(series, rule, name) for name in model.inputs}
    if rule.kind == _OU:
        return _ou(rule, model, next(iter(outputs.values()), None), start_s, end_s)
    data = record(outputs, inputs, start_s, end_s, step_s, _tags(rule))
    moved = _excited(rule, data)
    if rule.kind == _ARX:
        return _arx(rule, model, series, start_s, end_s, moved)
    return _simulated(rule, model, data, wanted, moved, tick)


def _of(series: Mapping[str, Samples], tag: str) -> Samples:
    if tag not in series:
        raise Unfit(f"there are no samples of {tag}: it is not in the data")
    return series[tag]


def _tags(rule: ProcessModel) -> dict[str, str]:
    return {**rule.outputs, **{name: tag for name, tag in rule.inputs.items() if isinstance(tag, str)}}


def _input(series: Mapping[str, Samples], rule: ProcessModel, name: str) -> Samples | float:
    given = rule.inputs.get(name, 0.0)
    return _of(series, given) if isinstance(given, str) else float(given)


def _excited(rule: ProcessModel, data: Record) -> dict[str, int]:
    """The order of excitation of each input that is a tag. Refused where none of them moved, or no output did."""
    for k, name in enumerate(data.outputs):
        if not np.ptp(data.y[data.which == k]) > 0:
            raise Unfit(f"{rule.outputs[name]} did not move in the window: there is nothing to learn from a constant")
    known = np.isfinite(data.u).all(axis=1)
    tied = {name: data.u[known, k] for k, name in enumerate(data.inputs) if isinstance(rule.inputs.get(name), str)}
    orders = {str(rule.inputs[name]): excitation_order(u) for name, u in tied.items()}
    if orders and not any(orders.values()):
        raise Unfit(
            f"{', '.join(orders)} did not move in the window, so nothing tells gain and times: take a window with a step of it, or make one"
        )
    return orders


# --- by simulation -------------------------------------------------------------------------------------------------------------------


def free_of(rule: ProcessModel, model: Model, data: Record, wanted: Sequence[str]) -> list[Free]:
    """What is sought, with bounds. Raises Unfit for names that the model does not have, and where there are too many."""
    known = [name for name in model.parameters if name not in _never(rule)]
    for name in wanted:
        if name not in known:
            raise Unfit(f"{rule.name} has no parameter {name[:80]!r} that can be calibrated; it has {', '.join(known)}")
    names = [name for name in known if name in wanted] if wanted else known
    if len(names) > MOST_FREE:
        raise Unfit(f"{rule.name} has {len(names)} parameters, more than {MOST_FREE} at once: name those that are sought, `parameters`")
    if not names:
        raise Unfit(f"{rule.name} ({rule.kind}) has no parameter that can be calibrated")
    positive: frozenset[str] = getattr(model, "positive", frozenset())
    not_negative: frozenset[str] = getattr(model, "not_negative", frozenset())
    span = data.steps * data.step_s
    found = []
    for name in names:
        now = float(np.asarray(model.parameters[name]))
        if name == "theta":
            found.append(Free(name, 0.0, span / 4, positive=False))
        elif name == "tau":
            found.append(Free(name, data.step_s / 20, 20 * span, positive=True))
        elif name in positive or (name in not_negative and now > 0):
            found.append(Free(name, now * 1e-4, now * 1e4, positive=True))
        else:
            found.append(Free(name, 0.0 if name in not_negative else -1e12, 1e12, positive=False))
    return found


def _never(rule: ProcessModel) -> frozenset[str]:
    """What is not sought by simulation: noises, and what is no property of the plant."""
    noises = {"process_noise"} if rule.kind == EQUATIONS else set(KINDS[rule.kind].noises.values())
    return _NEVER | noises | {"humidity_noise", "temperature_noise", "wobble"}


def held_out(data: Record) -> Mask:
    """(N,): the measurements that are kept for judgement: the last ones, or blocks of all where the inputs rest in the last ones."""
    at = data.at / data.steps
    last = at >= 1 - HELD_OUT
    tail = data.u[int(data.steps * (1 - HELD_OUT)) :]
    moves = not data.inputs or bool(np.any(np.nanmax(tail, axis=0) - np.nanmin(tail, axis=0) > 1e-9 + 1e-6 * np.nanstd(data.u, axis=0)))
    return last if moves else np.isin(np.floor(at * 10).astype(np.intp), (2, 5, 8))


def _simulated(rule: ProcessModel, model: Model, data: Record, wanted: Sequence[str], moved: Mapping[str, int], tick: Tick) -> Calibration:
    free, kept = free_of(rule, model, data, wanted), held_out(data)
    rows = np.zeros(data.y.size, np.bool_)
    rows[data.rows] = True
    train, test = rows & ~kept, rows & kept
    if min(int(train.sum()), int(test.sum())) < 2 * len(free) + 4:
        raise Unfit(f"{int(rows.sum())} measurements are too few for {len(free)} parameters and a held-out part: take a longer window")
    before = OutputError(model, data, (), rows).fit({})
    first = OutputError(model, data, free, train).fit(None, lambda share: tick(0.7 * share))
    free, first = (free, first) if wanted else _without_offset(model, data, free, train, first)
    _told_apart(rule, free, first)
    fit = OutputError(model, data, free, rows).fit(first.values, lambda share: tick(0.7 + 0.3 * share))
    cov = covariance(fit.jacobian, _scaled(data, fit.e)[rows])
    sd = np.sqrt(np.maximum(np.diag(cov), 0.0)).tolist()
    found = [
        estimate(one.name, fit.values[one.name], sd[k], float(np.asarray(model.parameters[one.name])), one.low)
        for k, one in enumerate(free)
    ]
    white = ljung_box(fit.e[rows])
    warnings = _warnings(free, fit, data, white)
    found += _noises(rule, model, fit, data, warnings)
    values = {**{n: float(np.asarray(v)) for n, v in model.parameters.items()}, **{one.name: one.value for one in found}}
    return Calibration(
        rule.name, rule.kind, "output error", tuple(found), nrmse_fit(data.y[train], first.told[train]), _judged(data, first, test),
        _judged(data, before, test), white, int(rows.sum()), data.step_s, moved, simc(rule.kind, values), tuple(warnings),
        _plot(data, fit, kept),
    )  # fmt: skip


def _without_offset(model: Model, data: Record, free: list[Free], train: Mask, fit: Fit) -> tuple[list[Free], Fit]:
    """A bias that the data do not ask for stays as it is, which makes the others surer: by Schwarz's criterion."""
    rest = [one for one in free if one.name != OFFSET]
    if len(rest) == len(free) or not rest:
        return free, fit
    other = OutputError(model, data, rest, train).fit(fit.values)
    n, costs = int(train.sum()), [float(np.sum(_scaled(data, one.e)[train] ** 2)) for one in (fit, other)]
    return (rest, other) if n * math.log(costs[1] / max(costs[0], 1e-300)) < math.log(n) else (free, fit)


def _scaled(data: Record, e: Array) -> Array:
    spread = np.array([max(float(np.std(data.y[data.which == k])), 1e-12) for k in range(len(data.outputs))])
    return np.asarray(e / spread[data.which])


def _judged(data: Record, fit: Fit, rows: Mask) -> Judged:
    return Judged(nrmse_fit(data.y[rows], fit.told[rows]), rmse(_scaled(data, fit.e)[rows]))


def _told_apart(rule: ProcessModel, free: Sequence[Free], fit: Fit) -> None:
    """Refuses what the data say nothing about, by name."""
    count = len(free)
    own, starts = fit.jacobian[:, :count], fit.jacobian[:, count:]
    starts = starts[:, np.linalg.norm(starts, axis=0) > 0]
    if starts.shape[1]:
        basis, _ = np.linalg.qr(starts)
        own = own - basis @ (basis.T @ own)
    number, least = condition(own)
    if number > SINGULAR:
        names = [one.name for one, share in zip(free, least.tolist(), strict=True) if share > 0.3]
        what = " and ".join(names) + (" apart" if len(names) > 1 else "")
        raise Unfit(
            f"{rule.name}: the data do not tell {what} (condition {number:.1g}): take a window in which the inputs move more, "
            f"or leave one of them as it is with `parameters`"
        )


def _warnings(free: Sequence[Free], fit: Fit, data: Record, white: Whiteness) -> list[str]:
    said = []
    for one in free:
        value = fit.values[one.name]
        if one.name == "tau" and value < data.step_s:
            said.append(f"tau {value:.3g} s is shorter than the step of {data.step_s:.3g} s: sample faster to know it")
        if one.name != "theta" and (value <= one.low * 1.001 if one.low > 0 else False):
            said.append(f"{one.name} lies at its lower bound")
        if value >= one.high * 0.999:
            said.append(f"{one.name} lies at its upper bound: the window does not hold it")
    if not white.white:
        said.append(
            f"the residuals are not white (Ljung-Box p {white.p:.2g} < {WHITE}): something is not in the model; the intervals allow for it"
        )
    return said


def _noises(rule: ProcessModel, model: Model, fit: Fit, data: Record, warnings: list[str]) -> list[Estimate]:
    """Of a first order, what disturbs it and what blurs its measurement: a decaying disturbance and white noise, by likelihood."""
    if rule.kind not in _FIRST:
        return []
    tau = fit.values.get("tau", float(np.asarray(model.parameters["tau"])))
    keep = math.exp(-data.step_s / tau)
    grid = np.full(data.steps + 1, np.nan)
    rows = data.rows
    grid[np.clip(np.round(data.at[rows]).astype(np.intp), 0, data.steps)] = fit.e[rows]
    try:
        found = linear.level_noise(grid[-5000:], data.step_s, phi=keep)
    except Unfit as fault:
        warnings.append(f"noises are left as they are: {fault}")
        return []
    share = data.step_s / (tau / 2 * (1 - keep**2))  # q per second -> process_noise^2
    pairs = (("process_noise", found.q * share, [one * share for one in found.q_interval]), (MEASUREMENT_NOISE, found.r, found.r_interval))
    said = []
    for name, square, (low, high) in pairs:
        least, most = math.sqrt(low), math.sqrt(high)
        said.append(Estimate(name, math.sqrt(square), (most - least) / (2 * Z95), least, most, float(np.asarray(model.parameters[name]))))
    return said


def _plot(data: Record, fit: Fit, kept: Mask) -> dict[str, list[float]]:
    """The first output: measured and told, at no more instants than a picture needs."""
    rows = data.rows[data.which[data.rows] == 0]
    rows = rows[np.linspace(0, rows.size - 1, min(rows.size, _PLOTTED)).astype(np.intp)]
    time = data.start_s + data.at[rows] * data.step_s
    columns: dict[str, Array] = {"time_s": time, "measured": data.y[rows], "model": fit.told[rows], "held_out": kept[rows].astype(float)}
    return {name: [float(value) for value in column] for name, column in columns.items()}


# --- without simulation --------------------------------------------------------------------------------------------------------------


def _ou(rule: ProcessModel, model: Model, samples: Samples | None, start_s: float, end_s: float) -> Calibration:
    if samples is None:
        raise Unfit(f"{rule.name} gives no tag")
    rows = samples.good & (samples.time_s >= start_s) & (samples.time_s < end_s)
    time, y = samples.time_s[rows], samples.value[rows]
    cut = int(y.size * (1 - HELD_OUT))
    first, fit = linear.ornstein_uhlenbeck(time[:cut], y[:cut]), linear.ornstein_uhlenbeck(time, y)
    p = {name: float(np.asarray(value)) for name, value in model.parameters.items()}

    def judged(mean: float, theta: float) -> Judged:
        ahead = mean + (y[cut:-1] - mean) * np.exp(-theta * np.diff(time[cut:]))
        return Judged(nrmse_fit(y[cut + 1 :], ahead), rmse(y[cut + 1 :] - ahead) / max(float(np.std(y)), 1e-12))

    estimates = tuple(
        estimate(n, v, sd, p[n]) for n, v, sd in zip(("mean", "theta", "s"), (fit.mean, fit.theta, fit.s), fit.sd, strict=True)
    )
    white = ljung_box(fit.e)
    said = () if white.white else (f"its steps are not independent (Ljung-Box p {white.p:.2g}): it is no Ornstein-Uhlenbeck process alone",)
    return Calibration(
        rule.name, rule.kind, "exact likelihood", estimates, judged(fit.mean, fit.theta).fit, judged(first.mean, first.theta),
        judged(p["mean"], p["theta"]), white, int(y.size), float(np.median(np.diff(time))), {}, None, said,
    )  # fmt: skip


def _arx(
    rule: ProcessModel, model: Model, series: Mapping[str, Samples], start_s: float, end_s: float, moved: Mapping[str, int]
) -> Calibration:
    """On the model's own period; the orders are those of its coefficients that are not 0, else one each."""
    p = {name: float(np.asarray(value)) for name, value in model.parameters.items()}
    period, delay = p["period"], round(p["delay"])
    na, nb = (max([int(n[1:]) for n, v in p.items() if n[0] == c and n[1:].isdigit() and v], default=1) for c in "ab")
    outputs, inputs = {n: _of(series, t) for n, t in rule.outputs.items()}, {n: _input(series, rule, n) for n in model.inputs}
    data = record(outputs, inputs, start_s, end_s, period, _tags(rule))
    y = np.full(data.steps + 1, np.nan)
    on = np.abs(data.at - np.round(data.at)) < 0.25
    y[np.round(data.at[on]).astype(np.intp)] = data.y[on]
    u = np.append(data.u[:, 0], data.u[-1, 0])
    cut = int(y.size * (1 - HELD_OUT))
    first, fit = linear.arx(y[:cut], u[:cut], na, nb, delay=delay), linear.arx(y, u, na, nb, delay=delay)

    def judged(a: Array, b: Array, bias: float) -> Judged:
        at = np.arange(max(cut, a.size, b.size + delay), y.size)
        ahead = bias + sum(a[i] * y[at - 1 - i] for i in range(a.size)) + sum(b[j] * u[at - 1 - delay - j] for j in range(b.size))
        rows = np.isfinite(ahead) & np.isfinite(y[at])
        return Judged(nrmse_fit(y[at][rows], ahead[rows]), rmse((y[at] - ahead)[rows]) / max(float(np.nanstd(y)), 1e-12))

    names = [*(f"a{i + 1}" for i in range(na)), *(f"b{j + 1}" for j in range(nb)), "bias"]
    values = [*fit.a.tolist(), *fit.b.tolist(), fit.bias]
    sd = np.sqrt(np.maximum(np.diag(fit.cov), 0.0)).tolist()
    estimates = [estimate(n, v, s, p[n]) for n, v, s in zip(names, values, sd, strict=True)]
    spread = fit.sigma / math.sqrt(2 * max(int(np.isfinite(fit.e).sum()), 1))
    estimates.append(estimate("process_noise", fit.sigma, spread, p["process_noise"], 0.0))
    now = np.array([p[f"a{i + 1}"] for i in range(5)]), np.array([p[f"b{j + 1}"] for j in range(5)])
    white = ljung_box(fit.e)
    said = () if white.white else (
        f"the one-step errors are not white (Ljung-Box p {white.p:.2g}): noise on the output biases ARX, calibrate a first_order_dead_time",
    )  # fmt: skip
    return Calibration(
        rule.name, rule.kind, "least squares", tuple(estimates), judged(fit.a, fit.b, fit.bias).fit,
        judged(first.a, first.b, first.bias), judged(*now, p["bias"]), white, int(np.isfinite(y).sum()), period, moved, None, said,
    )  # fmt: skip
