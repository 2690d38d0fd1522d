"""A hall that is heated: a site with a model of it, and half an hour of its past."""

import asyncio
import time

import numpy as np

from gateway.cli.offline import import_history
from gateway.model.instant import iso
from gateway.simulation.ensemble import simulate
from gateway.simulation.process.linear import FirstOrderDeadTime

SITE = """
tags:
  - {name: line.t, unit: Cel, range: [-60, 60]}
  - {name: line.sp, unit: Cel, range: [-60, 60]}
  - {name: line.other, unit: Cel}
models:
  hall: {kind: first_order_dead_time, output: line.t, inputs: {u: line.sp}, parameters: {K: 1, tau: TAU, theta: 5s}MORE}
  free: {kind: ornstein_uhlenbeck, output: line.other}
"""
N = 900


async def plant(site, *, early=1.0):
    """Half an hour of a plant with K 2, tau 100 s and theta 20 s in the history of that site, every 2 s; early: of its gain for 20 min."""
    g = np.random.default_rng(7)
    u = np.repeat(g.choice([-1.0, 1.0], N // 60 + 1), 60)[:N]
    model = FirstOrderDeadTime({"K": 2.0, "tau": 100.0, "theta": 20.0})
    y = simulate(model, {"y": 0.0}, {"u": u}, 2.0, N, g, process_noise=False).y[0, :N, 0]
    y[: N * 2 // 3] *= early
    y += 0.05 * g.standard_normal(N)
    end_ns = time.time_ns()
    lines = ["timestamp,tag,value"]
    for k in range(N):
        at = iso(end_ns - (N - k) * 2_000_000_000)
        lines += [f"{at},line.t,{float(y[k])!r}", f"{at},line.sp,{float(u[k])!r}"]
    file = site.parent / "plant.csv"
    file.write_text("\n".join(lines) + "\n")
    assert (await asyncio.to_thread(import_history, site, file))["samples"] == 2 * N
    return file
