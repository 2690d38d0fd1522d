"""The rest of the shift, foretold in a worker from the state that the line is in; what it will wait for becomes predicted conditions."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from gateway.contracts import Memory
from gateway.forecasting.alerts import Foretold
from gateway.kpi.inputs import Tied
from gateway.kpi.live import LiveLine
from gateway.kpi.periods import line_seconds
from gateway.kpi.rules import WAITS, rules_of
from gateway.model import quality
from gateway.model.forecast import Alert, Prediction
from gateway.model.instant import iso
from gateway.model.kpi import Ahead, LineSite
from gateway.model.line import LineState, MachineStart, MachineState
from gateway.model.line_document import document
from gateway.operations.door import Commanded
from gateway.settings import Site
from gateway.simulation.forecast.alerting import Alerting, Manner
from gateway.simulation.forecast.verification import Verification
from gateway.simulation.line.measured import STATE_CHANGE, STATES, UNKNOWN, Entry
from gateway.work import Job, JobFailed, JobResult, Jobs

DEADLINE_S: Final = 240.0
LEAST_S: Final = 60.0  # of a shift that is left: less is not worth a forecast
MEMORY: Final = "waits"
_RESTING: Final = frozenset({MachineState.BREAK, MachineState.IDLE})
_EXECUTE, _DOWN = STATES.index(MachineState.EXECUTE), STATES.index(MachineState.DOWN)


class LineAhead:
    """newest: the document of the last forecast, with `issued` and `until`; None before the first. fault: why there is none."""

    def __init__(
        self,
        live: LiveLine,
        jobs: Jobs,
        engine: Foretold,
        site: Callable[[], Site],
        memory: Memory,
        commanded: Commanded,
        now_ns: Callable[[], int],
    ) -> None:
        self._live, self._jobs, self._engine, self._site, self._memory = live, jobs, engine, site, memory
        self._commanded, self._now_ns = commanded, now_ns
        self.newest: dict[str, Any] | None = None
        self.fault: str | None = None
        self.issued = self.failed = 0
        self._due_s = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._of: LineSite | None = None
        self._begin(None)

    def _begin(self, rule: LineSite | None) -> None:
        """Rows for the machines of that line."""
        self._of, self.newest, self.fault, self._due_s = rule, None, None, 0.0
        self.rules = () if rule is None else rules_of(self._site())
        self.names = tuple(one.condition for one in self.rules)
        count, asked = len(self.rules), rule.ahead if rule is not None and rule.ahead is not None else Ahead()
        self.alerting = Alerting.of(count, Manner(asked.probability, asked.clear, 0.0, asked.issues))
        self.verification = Verification(np.full(count, 8 * 3_600_000_000_000, np.int64), self._now_ns(), floor=0.0)
        self._there, self._shown = np.zeros(count, bool), np.zeros(count, bool)
        kept = json.loads(self._memory.get(MEMORY) or "{}")
        if kept and rule is not None:
            self.verification.restore(kept, self.names)
            stands = frozenset(kept["stands"])
            self.alerting.stands[:] = self._shown[:] = [name in stands for name in self.names]

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Each second: what waits is looked at, and a forecast is asked for when it is due and none is on its way."""
        rule = self._live.rule
        if rule is not self._of:
            self._begin(rule)
        if rule is None or rule.ahead is None or self._live.periods is None or not self._live.at_ns:
            return
        self._look(rule.ahead)
        if self._asking is None and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + rule.ahead.every_s
            self._asking = asyncio.create_task(self._ask(rule, rule.ahead), name="line forecast")
            self._asking.add_done_callback(self._asked)

    def _asked(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if not task.cancelled():
            task.result()

    def close(self) -> None:
        """Ends what is asked."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, rule: LineSite, ahead: Ahead) -> None:
        live, now_ns = self._live, self._live.at_ns
        assert live.periods is not None
        shift, begin_s = live.periods.shift, line_seconds(rule.line, ZoneInfo(self._site().gateway.timezone), now_ns)
        left_s = (shift.end_ns - now_ns) / 1e9
        if not shift.name or left_s < LEAST_S:
            self.newest = None  # no shift is on: nothing is to come of it
            return
        args = {
            "line": document(rule.line),
            "state": document(self._state(rule, begin_s)),
            "until_s": begin_s + left_s,
            "replications": ahead.replications,
            "at_least_s": ahead.minimum_s,
        }
        try:
            result = await self._jobs.run(Job("line.forecast", args, seed=now_ns % 2**63, deadline_s=DEADLINE_S))
        except JobFailed as fault:
            self.failed += 1
            self.fault = None if fault.reason == "cancelled" else f"no forecast of the line: {fault}"
            return
        if self._live.rule is rule:
            self._issued(result, now_ns, shift.end_ns)

    def _issued(self, result: JobResult, issued_ns: int, until_ns: int) -> None:
        self.fault, self.issued = None, self.issued + 1
        done = self._live.figures["shift"]["line"]["good"]
        self.newest = {
            "issued": iso(issued_ns),
            "until": iso(until_ns),
            "issued_ns": issued_ns,
            "good_so_far": done,
            "worker_s": result.seconds,
            **result.values,
        }
        self._tell(issued_ns, until_ns)

    # --- the state it begins with ----------------------------------------------------------------------------------------------------

    def _state(self, rule: LineSite, at_s: float) -> LineState:
        """As the tags have it: of a machine of which nothing is known, and of a rest, that it waits."""
        machines = tuple(_start(name, tied) for name, tied in self._live.inputs.machines.items())
        view = self._live.view
        known = {edge: tag_id for edge, tag_id in rule.buffers.items() if quality.is_good(view.status[tag_id])}
        room = {(edge.origin, edge.target): edge.capacity for edge in rule.line.edges}
        levels = tuple((*edge, _within(float(view.value[tag_id]), room.get(edge))) for edge, tag_id in known.items())
        return LineState(machines, levels, at_s)

    # --- what is told ----------------------------------------------------------------------------------------------------------------

    def _look(self, ahead: Ahead) -> None:
        """Whether machines have waited long enough by now to be called starved or blocked."""
        for row, (name, word) in enumerate(self._rows()):
            state, for_s = self._live.state(name)
            there = state == word and for_s >= ahead.minimum_s
            if there and not self._there[row]:
                self.verification.passed(row, self._now_ns(), self.alerting.stands)
            self._there[row] = there

    def _rows(self) -> list[tuple[str, str]]:
        return [(name, word) for name in self._live.inputs.machines for word in WAITS]

    def _tell(self, issued_ns: int, until_ns: int) -> None:
        assert self.newest is not None
        now_ns = self._now_ns()
        found = [self.newest["machines"][name][word.lower()] for name, word in self._rows()]
        probability = np.array([one["probability"] for one in found], float)
        probability[self._there] = np.nan
        median_s = np.array([math.nan if one["median_min"] is None else one["median_min"] * 60 for one in found])
        begins, _ = self.alerting.issue(probability, median_s, self._there)
        self.verification.within_ns[:] = max(until_ns - issued_ns, 1)
        self.verification.issue(now_ns, probability, self.alerting.stands, begins)
        show = self.alerting.stands & ~self._there
        rows = np.flatnonzero(show | self._shown).tolist()
        self._shown = show.copy()
        alerts = [Alert(self.names[row], bool(show[row]), self._prediction(row, found[row], issued_ns)) for row in rows]
        if alerts:
            update = self._engine.foretell(alerts, now_ns)
            self._commanded("foretell", update, alerts=[[one.condition, one.stands, one.prediction.row()] for one in alerts])
        stands = [name for name, there in zip(self.names, self.alerting.stands.tolist(), strict=True) if there]
        self._memory.put(MEMORY, json.dumps(self.verification.state(self.names) | {"stands": stands}))

    def _prediction(self, row: int, found: Mapping[str, Any], issued_ns: int) -> Prediction:
        early_s, median_s, late_s = (
            math.nan if found[word] is None else found[word] * 60 for word in ("early_min", "median_min", "late_min")
        )
        rule = self.rules[row]
        return Prediction(rule.subject, rule.threshold, found["probability"], early_s, median_s, late_s, issued_ns, "line")

    def report(self) -> dict[str, Any] | None:
        """JSON values; None where nothing is foretold yet."""
        if self.newest is None:
            return None
        verdicts = self.verification.total(self._now_ns())
        return {
            **self.newest,
            "standing": [name for name, there in zip(self.names, self._shown.tolist(), strict=True) if there],
            **verdicts,
        }


def _start(name: str, tied: Tied) -> MachineStart:
    book = tied.book
    state = book.raw
    if state == UNKNOWN or STATES[state] in _RESTING:
        return MachineStart(name)
    return MachineStart(name, STATES[state], max(book.at_ns - book.raw_since_ns, 0) / 1e9, _age(book.entries, book.at_ns))


def _age(entries: list[Entry], at_ns: int) -> float:
    """Seconds at work since the last repair, as far as the log goes back."""
    worked_ns, until_ns = 0, at_ns
    for begin_ns, what, state, _ in reversed(entries):
        if what != STATE_CHANGE:
            continue
        if state == _DOWN:
            break
        worked_ns += until_ns - begin_ns if state == _EXECUTE else 0
        until_ns = begin_ns
    return max(worked_ns, 0) / 1e9


def _within(level: float, room: int | None) -> int:
    count = max(round(level), 0) if math.isfinite(level) else 0
    return count if room is None else min(count, room)
