"""The section `forecast`: which tags are forecast, how far ahead and how often; and what of it fits the tags."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from gateway.contracts import Duration
from gateway.model.tag import Tag, TagTable, TagType
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import Fields
from gateway.settings.node import BROKEN, Node
from gateway.settings.plugin import Filler
from gateway.settings.sections import Model
from gateway.store.config import Size

STEPS: Final = 86_400
"""Of one horizon at most."""
POINTS: Final = 1_000_000
"""Tags times steps at most: what is worked out, handed over and shown with every forecast."""
_NUMBERS: Final = frozenset({TagType.FLOAT, TagType.INT})
_SHORTEST_S: Final = 0.1
_LONGEST_EVERY_S: Final = 3600.0


class ForecastRetention(Model):
    """How many of the forecasts that were issued are kept; whichever bound comes first."""

    age: Annotated[Duration, Field(gt=0, validate_default=True)] = "30d"  # type: ignore[assignment]  # parsed by Duration
    bytes: Annotated[Size, Field(ge=1_000_000, validate_default=True)] = "500MB"  # type: ignore[assignment]  # parsed by Size


class ForecastAlert(Model):
    """When a limit that is expected to be passed is told, and when a class of such alerts that came true too seldom is muted."""

    enabled: bool = True
    probability: Annotated[float, Field(gt=0, le=1)] = 0.7  # from which on it is told,
    clear: Annotated[float, Field(ge=0, lt=1)] = 0.3  # and down to which it stands
    lead: Annotated[Duration, Field(ge=0, validate_default=True)] = "10s"  # type: ignore[assignment]  # parsed by Duration
    issues: Annotated[int, Field(ge=1, le=1000)] = 2  # so many forecasts in a row
    severity: Annotated[int, Field(ge=1, le=300)] = 200
    precision: Annotated[float, Field(ge=0, le=1)] = 0.5  # the floor, 0 mutes nothing
    count: Annotated[int, Field(ge=2, le=1000)] = 10  # alerts that it is a share of, the last ones of a limit


class Forecast(Model):
    """horizon, step, every and lead in seconds: so far ahead, in such steps, issued so often; scalars are the values at `lead`."""

    tags: Annotated[tuple[str, ...], Field(min_length=1)]
    horizon: Annotated[Duration, Field(gt=0)] = 600.0
    step: Annotated[Duration, Field(ge=_SHORTEST_S)] = 1.0
    every: Annotated[Duration, Field(gt=0, le=_LONGEST_EVERY_S)] = 10.0
    lead: Annotated[Duration, Field(gt=0)] | None = None  # None: the horizon
    retention: ForecastRetention = ForecastRetention()
    alert: ForecastAlert = ForecastAlert()

    @property
    def lead_s(self) -> float:
        """The horizon where nothing is said of it."""
        return self.horizon if self.lead is None else self.lead


def read_forecast(section: Node, filler: Filler, tags: TagTable, declared: Mapping[str, object]) -> Forecast | None:
    """The section `forecast`; None where there is none, or with its faults listed, each at its key."""
    if section.value is None:
        return None
    rule = filler.fill(Forecast, section, "forecast")
    fields = Fields(section, "forecast", filler.faults)
    _tags(section.map.get("tags"), None if rule is None else rule.every, tags, declared, filler.faults)
    if rule is not None:
        _times(rule, fields)
    return rule


def _times(rule: Forecast, fields: Fields) -> None:
    if rule.alert.clear >= rule.alert.probability:
        fields.fault("alert", f"clear {rule.alert.clear:g} is not below probability {rule.alert.probability:g}", "change one of them")
    told_s = rule.alert.lead + (rule.alert.issues - 1) * rule.every
    if rule.alert.enabled and rule.every <= rule.horizon <= told_s:
        why = f"a limit is told no later than {told_s:g}s before it, and the horizon is {rule.horizon:g}s: none ever is"
        fields.warn("alert", why, "take a longer horizon, or a shorter lead, fewer issues or a shorter `every`")
    steps = rule.horizon / rule.step
    if steps > STEPS:
        fields.fault("horizon", f"{rule.horizon:g}s has more than {STEPS} steps of {rule.step:g}s", "take a longer step")
    elif (points := len(rule.tags) * round(steps)) > POINTS:
        fields.fault("tags", f"{len(rule.tags)} tags have {points} steps in all, {POINTS} is the most", "fewer tags, or a longer step")
    for key, length in (("horizon", rule.horizon), ("every", rule.every), ("lead", rule.lead_s)):
        count = length / rule.step
        if length > rule.horizon:
            fields.fault(key, f"{length:g}s is longer than the horizon {rule.horizon:g}s", "change one of them")
        elif (abs(count - round(count)) > 1e-6 or count < 0.5) and (key != "lead" or rule.lead is not None):
            fields.fault(key, f"{length:g}s is no whole number of steps of {rule.step:g}s", "change one of them")


def _tags(node: Node | None, every_s: float | None, tags: TagTable, declared: Mapping[str, object], faults: Faults) -> None:
    """Lists each tag that is not there, is no number or stands twice."""
    seen = dict[str, Node]()
    for number, entry in enumerate([] if node is None else node.list):
        key, name = f"forecast.tags[{number}]", entry.text
        if isinstance(entry.value, dict | list) or entry.value in (None, BROKEN):
            continue  # a fault of its own
        if name in seen:
            faults.add(entry.place, key, f"{name} stands twice", f"first at {seen[name].place}")
            continue
        seen[name] = entry
        tag = tags.named(name) if name in declared else None
        if tag is None:
            faults.add(entry.place, key, f"there is no tag {quote(name)}", faults.nearest(name, list(declared)))
        elif tag.type not in _NUMBERS:
            faults.add(
                entry.place, key, f"{name} is {tag.type.name.lower()}, and only numbers are forecast", "name a tag of type float or int"
            )
        elif not tag.enabled:
            faults.add(entry.place, key, f"{name} is disabled", "enable the tag, or remove it here")
        elif every_s is not None and tag.sampling_interval_ns > every_s * 1e9:
            why = f"{name} is sampled less often than it is forecast (every {every_s:g}s)"
            faults.warn(entry.place, key, why, "take a longer `every` and `step`")


def forecast_tags(rule: Forecast | None, tags: TagTable) -> tuple[Tag, ...]:
    """The tags of a good section, in its order."""
    return () if rule is None else tuple(tags[tags.index[name]] for name in rule.tags)
