"""Where the bottleneck is, from the states of the machines alone.

Active period method: a machine is active while it is neither starved nor blocked nor resting; the bottleneck of an instant is the machine
whose active period then is the longest, and where two such periods overlap the bottleneck shifts (Roser, Nakano and Tanaka: Shifting
bottleneck detection, WSC 2002; average active period: A practical bottleneck detection method, WSC 2001).
Turning point: the machines before it are blocked more than starved, those after it starved more than blocked (Li, Chang and Ni: Data driven
bottleneck detection of manufacturing systems, IJPR 2009).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Period = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """active_period: the machine with the longest average active period, "" for none; turning_point: that of Li, Chang and Ni.

    sole_s, shifting_s: seconds for which each machine was the only, or one of two shifting, momentary bottlenecks.
    """

    active_period: str
    turning_point: str
    average_s: Mapping[str, float]
    sole_s: Mapping[str, float] = field(default_factory=dict)
    shifting_s: Mapping[str, float] = field(default_factory=dict)


def periods(turns: Sequence[float], begin_s: float, end_s: float, active: bool) -> list[Period]:
    """The active periods of a machine from the instants at which it turned; active: whether it was so at the end."""
    edges = [*turns, end_s] if active else list(turns)
    if len(edges) % 2:
        edges = [begin_s, *edges]
    return list(zip(edges[::2], edges[1::2], strict=True))


def common(parts: Sequence[Sequence[Period]]) -> list[Period]:
    """When all of several places were active: a machine with places in parallel is at its limit only then."""
    found = list(parts[0])
    for other in parts[1:]:
        found = _overlap(found, other)
    return found


def _overlap(left: Sequence[Period], right: Sequence[Period]) -> list[Period]:
    met, i, k = list[Period](), 0, 0
    while i < len(left) and k < len(right):
        start, end = max(left[i][0], right[k][0]), min(left[i][1], right[k][1])
        if start < end:
            met.append((start, end))
        if left[i][1] < right[k][1]:
            i += 1
        else:
            k += 1
    return met


def momentary(active: Mapping[str, Sequence[Period]]) -> list[tuple[str, float, float]]:
    """The momentary bottlenecks (machine, from, to) in order; two in a row overlap while the bottleneck shifts."""
    every = sorted(((start, -end, name) for name, own in active.items() for start, end in own))
    chain: list[tuple[str, float, float]] = []
    place = 0
    while place < len(every):
        # the longest of those that run on beyond the last one's end; where none does, the longest of those that start next
        reach = chain[-1][2] if chain else every[place][0]
        best: tuple[str, float, float] | None = None
        while place < len(every) and every[place][0] <= reach:
            start, minus_end, name = every[place]
            if -minus_end > reach and (best is None or -minus_end - start > best[2] - best[1]):
                best = (name, start, -minus_end)
            place += 1
        if best is None and place < len(every):
            start, minus_end, name = every[place]  # of one start, the longest is sorted first
            best = (name, start, -minus_end)
        if best is not None:
            chain.append(best)
    return chain


def turning_point(order: Sequence[str], starved_s: Mapping[str, float], blocked_s: Mapping[str, float]) -> str:
    """The machine at which blocked minus starved turns from positive to negative; with several, the one least often idle."""
    lean = [blocked_s[name] - starved_s[name] for name in order]
    idle = [blocked_s[name] + starved_s[name] for name in order]
    last = len(order) - 1
    turns = [
        place
        for place in range(len(order))
        if (place == 0 or lean[place - 1] > 0 or lean[place] == 0)
        and (place == last or lean[place + 1] < 0)
        and (place == 0 or idle[place] <= idle[place - 1])
        and (place == last or idle[place] <= idle[place + 1])
    ]
    return order[min(turns or range(len(order)), key=lambda place: idle[place])] if order else ""


def found(
    order: Sequence[str], active: Mapping[str, Sequence[Period]], starved_s: Mapping[str, float], blocked_s: Mapping[str, float]
) -> Bottleneck:
    """Both methods over one run; order: the machines along the line."""
    average = {name: sum(end - start for start, end in own) / len(own) if own else 0.0 for name, own in active.items()}
    chain = momentary(active)
    sole, shifting = dict.fromkeys(active, 0.0), dict.fromkeys(active, 0.0)
    for place, (name, start, end) in enumerate(chain):
        before = chain[place - 1][2] if place else start
        after = chain[place + 1][1] if place + 1 < len(chain) else end
        shared = max(0.0, min(before, end) - start) + max(0.0, end - max(after, start))
        shifting[name] += min(shared, end - start)
        sole[name] += max(0.0, end - start - shared)
    longest = max(average, key=lambda name: average[name], default="")
    return Bottleneck(longest if average.get(longest) else "", turning_point(order, starved_s, blocked_s), average, sole, shifting)
