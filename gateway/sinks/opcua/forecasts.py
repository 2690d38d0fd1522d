"""`s=<tag>/Forecast`: what is foreseen of a tag, apart from what was measured of it. An Annex of the address space.

It is a DataVariable, a component of the tag's, since a Variable's components are Variables alone and only Objects organize (Part 3, 7.7
and 7.11): so a client that walks down from the tag finds it. Its own value is the median at the lead; below it are

    P05, P50, P95   Double: the value at the lead. SourceTimestamp is the instant that it is valid for. They have history, which reaches
                    ahead of now
    Times           DateTime[n]: the instants of the newest trajectory
    Band            Double[3n]: the n values of P05, then those of P50, then those of P95
    Limit           String: which limit is likeliest to be passed, the sooner of equals; empty where the tag has none
    Probability     Double: that it is passed before the horizon's end; NaN where there is none
    TimeToLimit     Double, seconds: when, by the median; NaN = not within the horizon
    Skill           Double: 1 - CRPS / CRPS of persistence at the lead
    Crps, Mase, Coverage  Double: continuous ranked probability score, absolute error over persistence's, share within P05 to P95; of
                    `Scored` forecasts that came due at the lead
    Model           String: the model that speaks at the lead
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.batch import Floats
from gateway.model.forecast import Outlook, Prediction
from gateway.model.forecast_record import instants
from gateway.model.tag import Tag, TagType
from gateway.outlook import ForecastView
from gateway.sinks.opcua.figures import Property
from gateway.sinks.opcua.foreseen import read_foreseen
from gateway.sinks.opcua.nodes import (
    BASE_DATA_VARIABLE_TYPE,
    HAS_COMPONENT,
    HAS_PROPERTY,
    PROPERTY_TYPE,
    tag_target,
    type_definition,
)
from gateway.wire.opcua.face import Builtin, Content, Key, ModelChange, Node, NodeClass, Range, Reading, Reference, Target
from gateway.wire.opcua.methods import Method
from gateway.wire.opcua.past import HistoryRefused, Page, Rest, ValueQuery

FORECAST: Final = "Forecast"
QUANTILES: Final = {"P05": "p05", "P50": "p50", "P95": "p95"}
_ADDED, _DELETED = 1, 2
_NUMBERS: Final = frozenset({TagType.FLOAT, TagType.INT})
_Read = Callable[[Outlook, int], Reading]


def likeliest(predictions: Sequence[Prediction]) -> Prediction | None:
    """The limit that is most probably passed within the horizon, the sooner of equals; None where there is none."""
    return min(predictions, key=lambda one: (-one.probability, np.inf if np.isnan(one.median_s) else one.median_s), default=None)


def _scalar(values: Floats, outlook: Outlook, row: int) -> Reading:
    at_lead = float(values[row, outlook.lead - 1])
    if np.isnan(at_lead):
        return _nothing(Builtin.DOUBLE)
    valid_ns = outlook.at_ns + outlook.lead * outlook.step_ns
    return Reading(at_lead, Builtin.DOUBLE, quality.UNCERTAIN_SIMULATED, valid_ns, outlook.at_ns)


def _nothing(kind: Builtin) -> Reading:
    return Reading(None, kind, quality.BAD_WAITING_FOR_INITIAL_DATA)


def _told(content: Content, kind: Builtin, outlook: Outlook, status: int = quality.GOOD) -> Reading:
    return Reading(content, kind, status, outlook.at_ns, outlook.at_ns)


def _band(outlook: Outlook, row: int) -> Reading:
    whole = np.concatenate((outlook.p05[row], outlook.p50[row], outlook.p95[row]))
    if np.isnan(whole).all():
        return _nothing(Builtin.DOUBLE)
    return _told(tuple(whole.tolist()), Builtin.DOUBLE, outlook, quality.UNCERTAIN_SIMULATED)


def _of_limit(content: Callable[[Prediction], float]) -> _Read:
    def read(outlook: Outlook, row: int) -> Reading:
        found = likeliest(outlook.predictions[row])
        return _told(float("nan") if found is None else content(found), Builtin.DOUBLE, outlook, quality.UNCERTAIN_SIMULATED)

    return read


def _limit(outlook: Outlook, row: int) -> Reading:
    found = likeliest(outlook.predictions[row])
    return _told("" if found is None else found.limit, Builtin.STRING, outlook)


def _skill(outlook: Outlook, row: int) -> Reading:
    skill = float(outlook.skill[row])
    return _nothing(Builtin.DOUBLE) if np.isnan(skill) else _told(skill, Builtin.DOUBLE, outlook)


def _score(name: str) -> _Read:
    """Of the forecasts that came due at the lead."""

    def read(outlook: Outlook, row: int) -> Reading:
        found = float(outlook.scored[name][row]) if name in outlook.scored else float("nan")
        return _nothing(Builtin.DOUBLE) if np.isnan(found) else _told(found, Builtin.DOUBLE, outlook)

    return read


_PARTS: Final[dict[str, tuple[Builtin, bool, _Read]]] = {
    "P05": (Builtin.DOUBLE, False, lambda outlook, row: _scalar(outlook.p05, outlook, row)),
    "P50": (Builtin.DOUBLE, False, lambda outlook, row: _scalar(outlook.p50, outlook, row)),
    "P95": (Builtin.DOUBLE, False, lambda outlook, row: _scalar(outlook.p95, outlook, row)),
    "Times": (Builtin.DATE_TIME, True, lambda outlook, _: _told(tuple(instants(outlook).tolist()), Builtin.DATE_TIME, outlook)),
    "Band": (Builtin.DOUBLE, True, _band),
    "TimeToLimit": (Builtin.DOUBLE, False, _of_limit(lambda found: found.median_s)),
    "Probability": (Builtin.DOUBLE, False, _of_limit(lambda found: found.probability)),
    "Limit": (Builtin.STRING, False, _limit),
    "Skill": (Builtin.DOUBLE, False, _skill),
    "Crps": (Builtin.DOUBLE, False, _score("crps")),
    "Mase": (Builtin.DOUBLE, False, _score("mase")),
    "Coverage": (Builtin.DOUBLE, False, _score("coverage")),
    "Scored": (Builtin.DOUBLE, False, _score("n")),
    "Model": (Builtin.STRING, False, lambda outlook, row: _told(outlook.model[row], Builtin.STRING, outlook)),
}


class Forecasts:
    """The Annex. properties: those of a tag, by which its forecasts say unit and range too."""

    def __init__(
        self, forecasts: ForecastView, view: TwinView, properties: Callable[[Tag], list[Property]], now_ns: Callable[[], int]
    ) -> None:
        self._forecasts, self._view, self._properties, self._now_ns = forecasts, view, properties, now_ns
        self._rows: tuple[Outlook | None, dict[int, int]] = (None, {})
        self._tags: tuple[Sequence[int], frozenset[int]] = ((), frozenset())
        self._seen = forecasts.tags
        self._names = self._named()

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:
        """A tag that is forecast leads to its forecast."""
        tag = self.tag(str(node.target.key))
        return () if tag is None else [Reference(HAS_COMPONENT, True, forecast_target(tag))]

    def tag(self, name: str) -> Tag | None:
        """The tag of that name, where it is forecast."""
        found, tags = self._view.tags.named(name), self._forecasts.tags
        if self._tags[0] != tags:
            self._tags = (tags, frozenset(tags))
        return found if found is not None and found.tag_id in self._tags[1] else None

    async def page(self, key: str, query: ValueQuery, rest: Rest | None, most: int) -> Page:
        """Of a Variable's history. Raises HistoryRefused, or what the history raises while the disk is away."""
        name, _, part = key.partition(f"/{FORECAST}/")
        tag = self.tag(name) if part in QUANTILES else None
        if tag is None:
            raise HistoryRefused(quality.BAD_NODE_ID_UNKNOWN)
        return await read_foreseen(self._forecasts, tag.tag_id, QUANTILES[part], query, rest, most, self._now_ns())

    def changes(self) -> tuple[ModelChange, ...]:
        """Which forecasts came and went since the last call: NodeAdded and NodeDeleted (Part 3, 9.32.7)."""
        tags = self._forecasts.tags
        if tags == self._seen:
            return ()
        self._seen = tags
        before, self._names = self._names, self._named()
        turns = ((self._names - before, _ADDED), (before - self._names, _DELETED))
        return tuple(ModelChange(f"{name}/{FORECAST}", BASE_DATA_VARIABLE_TYPE, verb) for names, verb in turns for name in sorted(names))

    def _named(self) -> frozenset[str]:
        tags = self._view.tags
        return frozenset(tags[tag_id].name for tag_id in self._seen)

    def node(self, key: str) -> Node | None:
        name, forecast, rest = key.partition(f"/{FORECAST}")
        if not forecast or (rest and rest[0] != "/"):
            return None
        tag = self.tag(name)
        if tag is None:
            return None
        part, _, below = rest[1:].partition("/")
        if not part:
            return self._whole(tag) if not rest else None
        if part not in _PARTS:
            return None
        if below:
            return self._property(tag, part, below) if part in QUANTILES else None
        return self._part(tag, part)

    def _whole(self, tag: Tag) -> Node:
        above = Reference(HAS_COMPONENT, False, tag_target(tag))
        parts = [Reference(HAS_COMPONENT, True, _target(tag, part)) for part in _PARTS]
        told = f"What is foreseen of {tag.name}: the median at the lead"
        read = self._reader(tag, _PARTS["P50"])
        return Node(
            forecast_target(tag),
            [above, *parts],
            told,
            int(Builtin.DOUBLE),
            read=read,
            edition=self._forecasts.newest,
            eu_range=_range(tag),
        )

    def _part(self, tag: Tag, part: str) -> Node:
        kind, array, _ = declared = _PARTS[part]
        target, own = _target(tag, part), part in QUANTILES
        references = [Reference(HAS_COMPONENT, False, forecast_target(tag))]
        if own:
            references += [Reference(HAS_PROPERTY, True, _below(target, name)) for name, *_ in self._own(tag)]
        read = self._reader(tag, declared)
        eu_range = _range(tag) if own or part == "Band" else None
        return Node(target, references, "", int(kind), array, read, historizing=own, edition=self._forecasts.newest, eu_range=eu_range)

    def _property(self, tag: Tag, part: str, name: str) -> Node | None:
        for found, data_type, array, read in self._own(tag):
            if found == name:
                target = _target(tag, part)
                return Node(_below(target, name), [Reference(HAS_PROPERTY, False, target)], "", data_type, array, read)
        return None

    def _own(self, tag: Tag) -> list[Property]:
        return self._properties(tag) if tag.type in _NUMBERS else []

    def _reader(self, tag: Tag, declared: tuple[Builtin, bool, _Read]) -> Callable[[], Reading]:
        kind, _, read = declared

        def now() -> Reading:
            outlook = self._forecasts.newest()
            row = None if outlook is None else self._row(outlook, tag.tag_id)
            return _nothing(kind) if outlook is None or row is None else read(outlook, row)

        return now

    def _row(self, outlook: Outlook, tag_id: int) -> int | None:
        if self._rows[0] is not outlook:
            self._rows = (outlook, {one: row for row, one in enumerate(outlook.tag_id.tolist())})
        return self._rows[1].get(tag_id)


def forecast_target(tag: Tag) -> Target:
    """`s=<tag>/Forecast`."""
    return Target(f"{tag.name}/{FORECAST}", NodeClass.VARIABLE, FORECAST, BASE_DATA_VARIABLE_TYPE)


def quantile_targets(tag: Tag) -> tuple[Target, ...]:
    """Those that have history."""
    return tuple(_target(tag, part) for part in QUANTILES)


def _target(tag: Tag, part: str) -> Target:
    kind = type_definition(tag) if part in QUANTILES and tag.type in _NUMBERS else BASE_DATA_VARIABLE_TYPE
    return Target(f"{tag.name}/{FORECAST}/{part}", NodeClass.VARIABLE, part, kind)


def _below(owner: Target, name: str) -> Target:
    return Target(f"{owner.key}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True)


def _range(tag: Tag) -> Range | None:
    return None if tag.eu_range is None or tag.type not in _NUMBERS else Range(*tag.eu_range)
