"""The gateway's own figures as Variables below `Twin`, `Gateway`, `Simulation` and `Kpi`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gateway.contracts import Dated, Figure
from gateway.model import quality
from gateway.wire.opcua.face import Builtin, Columns, Content, Reading

SIMULATION: Final = "Simulation"
KPI: Final = "Kpi"
_KINDS: Final[Mapping[type, Builtin]] = {bool: Builtin.BOOLEAN, int: Builtin.INT64, float: Builtin.DOUBLE, str: Builtin.STRING}

Property = tuple[str, int, bool, Callable[[], Reading]]
"""Name, DataType, array, value."""
Own = Callable[[], Mapping[str, Mapping[str, Figure | Dated]]]


def is_kpi(key: str) -> bool:
    """Whether it is `Kpi`, or an Object below it."""
    return key.partition("/")[0] == KPI


def own_figures(view: Columns, own: Own, now_ns: Callable[[], int]) -> dict[str, list[Property]]:
    """By Object. own: as SinkContext.figures."""

    def figure(content: Callable[[], Content], kind: Builtin) -> Callable[[], Reading]:
        return lambda: Reading(content(), kind, quality.GOOD, now_ns(), now_ns())

    found: dict[str, list[Property]] = {
        SIMULATION: [],
        "Twin": [("StateVersion", Builtin.INT64, False, figure(lambda: view.version, Builtin.INT64))],
        "Gateway": [
            ("Tags", Builtin.UINT32, False, figure(lambda: len(view.tags), Builtin.UINT32)),
            ("TagsBad", Builtin.UINT32, False, figure(lambda: int(quality.is_bad(view.status).sum()), Builtin.UINT32)),
        ],
    }
    for key, figures in own().items():
        for name, now in figures.items():
            kind = _KINDS[type(now.value if isinstance(now, Dated) else now)]
            found.setdefault(key, []).append((name, kind, False, partial(_reading, own, key, name, kind, now_ns)))
    return found


def _reading(own: Own, key: str, name: str, kind: Builtin, now_ns: Callable[[], int]) -> Reading:
    """As it is now: Good and of now, or with its own status and instant; without data where a reload took it."""
    now = own().get(key, {}).get(name)
    if now is None:
        return Reading(None, kind, quality.BAD_NO_DATA, now_ns(), now_ns())
    if isinstance(now, Dated):
        return Reading(now.value, kind, now.status, now.at_ns, now_ns())
    return Reading(now, kind, quality.GOOD, now_ns(), now_ns())
