"""What a model says of its own upkeep: `calibrate`, on schedule, and `residual`, its comparison with the plant."""

from collections.abc import Mapping
from typing import Final

from gateway.model.calibration import Upkeep, Watch
from gateway.model.tag import DERIVED, MANUAL, TagTable
from gateway.settings.faults import quote
from gateway.settings.fields import Fields
from gateway.settings.node import BROKEN, Node
from gateway.simulation.kinds import Kind

UPKEEP_KEYS: Final = frozenset({"every", "window", "apply", "parameters"})
WATCH_KEYS: Final = frozenset({"step", "false_alarm", "stand_in"})
_SHORTEST_NS: Final = 60_000_000_000
_LONGEST_NS: Final = 366 * 86_400_000_000_000
_QUICKEST_NS: Final = 100_000_000


class ReadUpkeep:
    """calibrated and watched: by name of the model."""

    def __init__(self, tags: TagTable) -> None:
        self._tags = tags
        self.calibrated: dict[str, Upkeep] = {}
        self.watched: dict[str, Watch] = {}

    def read(self, name: str, kind: Kind, outputs: Mapping[str, str], fields: Fields) -> None:
        """Of a model without faults so far."""
        if "calibrate" in fields.map:
            self._calibrate(name, kind, _inner(fields, "calibrate"))
        if "residual" in fields.map:
            self._residual(name, outputs, _inner(fields, "residual"))

    def _calibrate(self, name: str, kind: Kind, fields: Fields) -> None:
        fields.allow(UPKEEP_KEYS)
        usual = Upkeep()
        every, window = fields.duration_ns("every", None), fields.duration_ns("window", None)
        for key, length in (("every", every), ("window", window)):
            if length is not None and not _SHORTEST_NS <= length <= _LONGEST_NS:
                fields.fault(key, "is not between 1 min and 366 d", "write every: 24h, window: 24h")
        known = [one for one in kind.parameters if one not in kind.noises.values()]
        wanted = []
        node = fields.get("parameters")
        for one in [] if node is None else node.list or [node]:
            if one.value is BROKEN:
                continue
            if one.text not in known:
                fields.faults.add(
                    one.place, fields.key("parameters"), f"there is no parameter {quote(one.text)}", fields.faults.nearest(one.text, known)
                )
            else:
                wanted.append(one.text)
        self.calibrated[name] = Upkeep(
            0.0 if every is None else every / 1e9,
            usual.window_s if window is None else window / 1e9,
            fields.flag("apply", usual.apply),
            tuple(wanted),
        )

    def _residual(self, name: str, outputs: Mapping[str, str], fields: Fields) -> None:
        fields.allow(WATCH_KEYS)
        usual = Watch()
        step, alarm = fields.duration_ns("step", None), fields.duration_ns("false_alarm", None)
        if step is not None and not _QUICKEST_NS <= step <= _LONGEST_NS:
            fields.fault("step", "is shorter than 100 ms", "write step: 1s")
        step_s = usual.step_s if step is None else step / 1e9
        alarm_s = usual.false_alarm_s if alarm is None else alarm / 1e9
        if alarm_s < 100 * step_s:
            fields.fault("false_alarm", f"is shorter than 100 steps of {step_s:g} s", "write false_alarm: 7d")
        stand_in = fields.flag("stand_in", usual.stand_in)
        for tag_name in outputs.values() if stand_in else ():
            tag = self._tags.named(tag_name)
            if tag is not None and tag.source in {MANUAL, DERIVED}:
                fields.fault("stand_in", f"{tag_name} has no source: there is no sensor to stand in for", "remove stand_in")
        self.watched[name] = Watch(step_s, alarm_s, stand_in)


def _inner(fields: Fields, key: str) -> Fields:
    node = fields.get(key)
    return Fields(Node({}, fields.node.place) if node is None else node, fields.key(key), fields.faults)
