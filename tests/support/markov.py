"""The exact solution of small serial lines with exponential times: the generator matrix of their Markov chain, solved.

Blocking after service, a saturated first machine, a last one that is never blocked. Machines fail at `fail` (while they work, or all the
time with `always`) and are repaired at `repair`; work is resumed where it was left.
"""

from dataclasses import dataclass

import numpy as np

WORKS, STARVED, BLOCKED = range(3)


@dataclass(frozen=True)
class Solution:
    throughput: float
    starved: list[float]  # up and starved
    blocked: list[float]
    down: list[float]
    wip: float


def solve(rates, buffers, fail=None, repair=None, *, always=False):
    """In the long run."""
    count = len(rates)
    places, moves, matrix = _chain(rates, buffers, fail, repair, always)
    balance = np.vstack([matrix.T, np.ones(len(places))])
    share = np.linalg.lstsq(balance, np.r_[np.zeros(len(places)), 1.0], rcond=None)[0]

    def mean(what):
        return float(sum(share[place] * what(state) for state, place in places.items()))

    return Solution(
        sum(share[a] * rate for a, _, rate, done in moves if done),
        [mean(lambda s, i=i: s[0][i] == (STARVED, True)) for i in range(count)],
        [mean(lambda s, i=i: s[0][i] == (BLOCKED, True)) for i in range(count)],
        [mean(lambda s, i=i: not s[0][i][1]) for i in range(count)],
        mean(lambda s: sum(s[1]) + sum(phase != STARVED for phase, _ in s[0])),
    )


def made_within(seconds, machines, levels, rates, buffers, fail=None, repair=None):
    """Parts that leave the line in that time from a state: (phase, up) of each machine and the level of each buffer."""
    from scipy.linalg import expm

    places, moves, matrix = _chain(rates, buffers, fail, repair, False)
    leaving = np.zeros(len(places))
    for a, _, rate, done in moves:
        leaving[a] += rate * done
    whole = np.block([[matrix, leaving[:, None]], [np.zeros((1, len(places) + 1))]])  # the integral of the leaving rate rides along
    return float(expm(whole * seconds)[places[tuple(machines), tuple(levels)], -1])


def _chain(rates, buffers, fail, repair, always):
    count = len(rates)
    fail, repair = fail or [0.0] * count, repair or [1.0] * count
    start = (((WORKS, True),) + ((STARVED, True),) * (count - 1), (0,) * (count - 1))
    places, moves, ahead = {start: 0}, [], [start]
    while ahead:
        state = ahead.pop()
        for rate, after, done in _moves(state, rates, buffers, fail, repair, always):
            if after not in places:
                places[after] = len(places)
                ahead.append(after)
            moves.append((places[state], places[after], rate, done))
    matrix = np.zeros((len(places), len(places)))
    for a, b, rate, _ in moves:
        matrix[a, b] += rate
        matrix[a, a] -= rate
    return places, moves, matrix


def _moves(state, rates, buffers, fail, repair, always):
    machines, _ = state
    for i, (phase, up) in enumerate(machines):
        if not up:
            yield repair[i], _change(state, buffers, i, phase, True), False
            continue
        if phase == WORKS:
            last = i == len(machines) - 1
            yield rates[i], _change(state, buffers, i, BLOCKED, True), last
        if fail[i] and (always or phase == WORKS):
            yield fail[i], ((*machines[:i], (phase, False), *machines[i + 1 :]), state[1]), False


def _change(state, buffers, i, phase, up):
    """Machine i gets that phase and goes on from it, and so does whoever waited for it."""
    machines, levels = [list(machine) for machine in state[0]], list(state[1])
    machines[i] = [phase, up]
    while _settle(machines, levels, buffers):
        pass
    return tuple(map(tuple, machines)), tuple(levels)


def _settle(machines, levels, buffers):
    for i, (phase, up) in enumerate(machines):
        if not up:
            continue
        if phase == BLOCKED and _gives(machines, levels, buffers, i):
            machines[i][0] = STARVED
            return True
        if phase == STARVED and (i == 0 or levels[i - 1]):
            if i:
                levels[i - 1] -= 1
            machines[i][0] = WORKS
            return True
    return False


def _gives(machines, levels, buffers, i):
    if i == len(machines) - 1:
        return True
    if machines[i + 1] == [STARVED, True] and not levels[i]:
        machines[i + 1][0] = WORKS
        return True
    if levels[i] < buffers[i]:
        levels[i] += 1
        return True
    return False
