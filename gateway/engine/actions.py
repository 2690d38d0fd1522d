"""What persons do to conditions: which action a state allows, and what it makes of it (OPC UA Part 9, 5.5 to 5.8; IEC 62682, 11)."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from gateway.engine.alarms import Alarms, Live
from gateway.engine.related import SILENT
from gateway.engine.where import NEVER
from gateway.model import quality
from gateway.model.alarm import Action, AlarmRule, Change, Condition, ConditionRefused, Shelving, Transition
from gateway.model.batch import Rows
from gateway.model.forecast import Alert

Refusal = tuple[int, str] | None
Said = tuple[str, str | None]
_CHANGES: Final = {
    Action.ACKNOWLEDGE: Change.ACKNOWLEDGED,
    Action.CONFIRM: Change.CONFIRMED,
    Action.COMMENT: Change.COMMENTED,
    Action.RESET: Change.RESET,
    Action.SHELVE: Change.SHELVED,
    Action.SHELVE_ONCE: Change.SHELVED,
    Action.UNSHELVE: Change.UNSHELVED,
    Action.SUPPRESS: Change.SUPPRESSED,
    Action.UNSUPPRESS: Change.UNSUPPRESSED,
    Action.OUT_OF_SERVICE: Change.OUT_OF_SERVICE,
    Action.IN_SERVICE: Change.IN_SERVICE,
    Action.ENABLE: Change.ENABLED,
    Action.DISABLE: Change.DISABLED,
}


def check(condition: Condition, action: Action, duration_ns: int = 0) -> None:
    """Raises ConditionRefused where the condition's state does not allow the action."""
    found = _refusal(condition, action, duration_ns)
    if found is not None:
        raise ConditionRefused(*found)


def _refusal(state: Condition, action: Action, duration_ns: int) -> Refusal:
    """Why not. A disabled condition takes nothing but Enable (5.5.2)."""
    if action is Action.ENABLE:
        return (quality.BAD_CONDITION_ALREADY_ENABLED, "is enabled already") if state.enabled else None
    if not state.enabled:
        again = action is Action.DISABLE
        return (quality.BAD_CONDITION_ALREADY_DISABLED if again else quality.BAD_CONDITION_DISABLED), "is disabled"
    judge = _TABLE.get(action)
    return None if judge is None else judge(state, duration_ns)


def _acknowledge(state: Condition, _: int) -> Refusal:  # 5.7.3
    return (quality.BAD_CONDITION_ALREADY_ACKED, "is acknowledged already") if state.acknowledged else None


def _confirm(state: Condition, _: int) -> Refusal:  # 5.7.4
    if state.confirmed:
        return quality.BAD_CONDITION_ALREADY_CONFIRMED, "is confirmed already" if state.rule.confirm else "asks for no confirmation"
    return None if state.acknowledged else (quality.BAD_INVALID_STATE, "is to be acknowledged before it is confirmed")


def _reset(state: Condition, _: int) -> Refusal:  # 5.8.5
    if not state.latched:
        return quality.BAD_INVALID_STATE, "is in alarm still" if state.active else "is not latched"
    if not (state.acknowledged and state.confirmed):
        return quality.BAD_INVALID_STATE, "is to be acknowledged, and confirmed where it asks for it, before it is reset"
    return None


def _shelve(state: Condition, duration_ns: int) -> Refusal:  # 5.8.17.3; from one-shot it may go to timed
    if state.shelving is Shelving.TIMED:
        return quality.BAD_CONDITION_ALREADY_SHELVED, "is shelved already"
    if not 0 < duration_ns <= state.rule.shelve_max_ns:
        return quality.BAD_SHELVING_TIME_OUT_OF_RANGE, f"may be shelved for at most {state.rule.shelve_max_ns / 1e9:g} s"
    return None


def _shelve_once(state: Condition, _: int) -> Refusal:  # 5.8.17.4; from timed it may go to one-shot
    if state.shelving is Shelving.ONE_SHOT:
        return quality.BAD_CONDITION_ALREADY_SHELVED, "is shelved already"
    return None if state.rule.shelve_max_ns > 0 else (quality.BAD_SHELVING_TIME_OUT_OF_RANGE, "may not be shelved")


def _unshelve(state: Condition, _: int) -> Refusal:  # 5.8.17.2
    return (quality.BAD_CONDITION_NOT_SHELVED, "is not shelved") if state.shelving is Shelving.UNSHELVED else None


def _stands(flag: str, wanted: bool, word: str) -> Callable[[Condition, int], Refusal]:  # 5.8.8 to 5.8.13
    def judge(state: Condition, _: int) -> Refusal:
        return (quality.BAD_INVALID_STATE, word) if getattr(state, flag) is wanted else None

    return judge


_TABLE: Final[dict[Action, Callable[[Condition, int], Refusal]]] = {
    Action.ACKNOWLEDGE: _acknowledge,
    Action.CONFIRM: _confirm,
    Action.RESET: _reset,
    Action.SHELVE: _shelve,
    Action.SHELVE_ONCE: _shelve_once,
    Action.UNSHELVE: _unshelve,
    Action.SUPPRESS: _stands("suppressed", True, "is suppressed already"),
    Action.UNSUPPRESS: _stands("suppressed", False, "is not suppressed"),
    Action.OUT_OF_SERVICE: _stands("out_of_service", True, "is out of service already"),
    Action.IN_SERVICE: _stands("out_of_service", False, "is in service"),
}


# --- what it does -----------------------------------------------------------------------------------------------------------------------


def act(alarms: Alarms, name: str, action: Action, now_ns: int, said: Said, duration_ns: int, live: Live) -> list[Transition]:
    """Do it to a condition whose state allows it: the action's transition, and what follows from it at once. said: by whom, and with which
    words.
    """
    rows = np.array([alarms.place[name]], np.intp)
    rule = alarms.rules[int(rows[0])]
    change = _CHANGES[action]
    _set(alarms, rows, rule, action, now_ns, duration_ns)
    alarms.note(int(rows[0]), *said, now_ns)
    found = alarms.tell(rows, [change], now_ns)
    if action is Action.RESET and alarms.shelving[rows[0]] == Shelving.ONE_SHOT:
        found += alarms.unshelve(rows, now_ns)
    tags = alarms.tag[rows]
    if tags[0] < 0:
        if action is Action.ENABLE and not np.isnan(alarms.last[rows[0]]):
            found += alarms.move(rows, alarms.last[rows].astype(np.int32), None, now_ns, live)
    elif action is Action.ENABLE and live.status[tags[0]] not in SILENT:
        found += alarms.weigh(tags, now_ns, live)
    elif action in _BANDS:
        alarms.settle(tags, live)
    return found


_BANDS: Final = frozenset({Action.ENABLE, Action.DISABLE})


def _set(alarms: Alarms, rows: Rows, rule: AlarmRule, action: Action, now_ns: int, duration_ns: int) -> None:
    if action is Action.ACKNOWLEDGE:
        alarms.acknowledged[rows] = True
    elif action is Action.CONFIRM:
        alarms.confirmed[rows] = True
    elif action is Action.RESET:
        alarms.active[rows] = alarms.latched[rows] = False
    elif action is Action.SHELVE:
        _shelved(alarms, rows, Shelving.TIMED, now_ns + duration_ns)
    elif action is Action.SHELVE_ONCE:
        _shelved(alarms, rows, Shelving.ONE_SHOT, now_ns + rule.shelve_max_ns)  # 5.8.2 (MaxTimeShelved) bounds it too
    elif action is Action.UNSHELVE:
        _shelved(alarms, rows, Shelving.UNSHELVED, NEVER)
    elif action in {Action.SUPPRESS, Action.UNSUPPRESS}:
        alarms.suppressed[rows] = action is Action.SUPPRESS
    elif action in {Action.OUT_OF_SERVICE, Action.IN_SERVICE}:
        alarms.out_of_service[rows] = action is Action.OUT_OF_SERVICE
    elif action in {Action.ENABLE, Action.DISABLE}:
        _switched(alarms, rows, action is Action.ENABLE)


def _shelved(alarms: Alarms, rows: Rows, state: Shelving, until_ns: int) -> None:
    alarms.shelving[rows], alarms.unshelve_ns[rows] = state, until_ns
    alarms.due_min = min(alarms.due_min, until_ns)


def _switched(alarms: Alarms, rows: Rows, enabled: bool) -> None:
    """5.5.2: a disabled condition is of no interest, and nothing runs in it; shelving is over. Suppression is not of its own making."""
    alarms.enabled[rows] = enabled
    alarms.level[rows] = alarms.want[rows] = 0
    alarms.active[rows] = alarms.latched[rows] = False
    alarms.acknowledged[rows] = alarms.confirmed[rows] = True
    alarms.due_ns[rows] = alarms.fade_ns[rows] = alarms.again_ns[rows] = NEVER
    if alarms.tag[rows[0]] >= 0:
        alarms.last[rows], alarms.last_ns[rows] = np.nan, 0
    _shelved(alarms, rows, Shelving.UNSHELVED, NEVER)


def foretell(alarms: Alarms, alerts: Iterable[Alert], now_ns: int, live: Live) -> list[Transition]:
    """What is predicted now, each condition once; one that is not known, or whose limit is passed already, does not begin to stand."""
    rows: list[int] = []
    for alert in alerts:
        row = alarms.place.get(alert.condition, -1)
        if row < alarms.foreseen:
            continue
        stands = alert.stands and not alarms.heralds.there(row, alarms.level)
        alarms.last[row] = float(stands)
        if stands or alarms.level[row]:
            alarms.foretold[row] = alert.prediction
        if stands != bool(alarms.level[row]) and alarms.enabled[row]:
            rows.append(row)
    moved = np.array(rows, np.intp)
    return alarms.move(moved, alarms.last[moved].astype(np.int32), None, now_ns, live) if rows else []


def system(alarms: Alarms, name: str, active: bool, now_ns: int, message: str, live: Live) -> list[Transition]:
    """The gateway says how it stands with itself. Raises KeyError where no such rule is known."""
    rows = np.array([alarms.place[name]], np.intp)
    row = int(rows[0])
    if alarms.shows[row] >= 0:
        raise KeyError(name)
    alarms.last[row] = float(active)
    if active and message and alarms.level[row] == 0:
        alarms.said[row] = message
    return alarms.move(rows, alarms.last[rows].astype(np.int32), None, now_ns, live) if alarms.enabled[row] else []
