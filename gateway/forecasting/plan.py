"""What is forecast of a site: tags, times and limits, as the worker is told."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from gateway.forecasting.sampler import Samples
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import Floats, Mask
from gateway.model.forecast import Foretold
from gateway.model.process import ProcessModel
from gateway.model.tag import Tag
from gateway.settings import Site
from gateway.settings.forecasting import Forecast, forecast_tags
from gateway.work import Column

_UPPER: Final = {Limit.HIHI: True, Limit.HI: True, Limit.LO: False, Limit.LOLO: False}


@dataclass(frozen=True, slots=True)
class Passable:
    """The limits of the forecast tags: (tags, most limits of one tag), NaN and "" where a tag has fewer."""

    words: tuple[tuple[str, ...], ...]
    threshold: Floats
    upper: Mask
    delay_s: Floats

    @classmethod
    def of(cls, tags: tuple[Tag, ...], rules: tuple[AlarmRule, ...]) -> Self:
        """HIHI, HI, LO and LOLO of the rules, and the levels of those that have several."""
        own: dict[int, list[tuple[Limit, float, float]]] = {tag.tag_id: [] for tag in tags}
        for rule in rules:
            levels = [(level.limit, level.threshold) for level in rule.levels] or [(rule.limit, rule.threshold)]
            own.get(rule.tag_id, []).extend((*pair, rule.on_delay_ns / 1e9) for pair in levels if pair[0] in _UPPER)
        width = max((len(pairs) for pairs in own.values()), default=0)
        threshold, delay_s = np.full((len(tags), width), np.nan), np.zeros((len(tags), width))
        upper = np.zeros((len(tags), width), bool)
        for row, found in enumerate(own.values()):
            threshold[row, : len(found)] = [at for _, at, _ in found]
            upper[row, : len(found)] = [_UPPER[limit] for limit, _, _ in found]
            delay_s[row, : len(found)] = [waits for *_, waits in found]
        words = tuple(tuple(limit.value for limit, *_ in found) for found in own.values())
        return cls(words, threshold, upper, delay_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """One site's forecasts. models: those whose output is forecast; inputs: the tags that they name.

    roll: a word that changes with all that a roll is made of; low, high (tags,): their ranges.
    """

    rule: Forecast
    tags: tuple[Tag, ...]
    tag_id: npt.NDArray[np.int64]
    passable: Passable
    low: Floats
    high: Floats
    models: tuple[ProcessModel, ...]
    inputs: tuple[Tag, ...]
    roll: str

    @classmethod
    def of(cls, site: Site) -> Self | None:
        """None where nothing is forecast."""
        rule = site.forecast
        if rule is None:
            return None
        tags = forecast_tags(rule, site.tags)
        names = {tag.name for tag in tags}
        models = tuple(model for model in site.models if names & set(model.outputs.values()))
        inputs = dict.fromkeys(name for model in models for name in model.inputs.values() if isinstance(name, str))
        words = (rule.horizon, rule.step, rule.every, rule.lead_s, *(tag.name for tag in tags))
        return cls(
            rule,
            tags,
            np.array([tag.tag_id for tag in tags], np.int64),
            Passable.of(tags, site.rules),
            np.array([-np.inf if tag.eu_range is None else tag.eu_range[0] for tag in tags]),
            np.array([np.inf if tag.eu_range is None else tag.eu_range[1] for tag in tags]),
            models,
            tuple(site.tags[site.tags.index[name]] for name in inputs),
            hashlib.sha256(repr((words, models)).encode()).hexdigest()[:16],
        )

    def within(self, p05: Floats, p50: Floats, p95: Floats, rows: npt.NDArray[np.intp] | slice = slice(None)) -> tuple[Floats, Floats]:
        """p05 and p95 (rows, k), no further out than a tag's range, which is what it can show, or than the median where that is outside."""
        low, high = self.low[rows, None], self.high[rows, None]
        return np.maximum(p05, np.minimum(low, p50)), np.minimum(p95, np.maximum(high, p50))

    def bounded(self, tag_id: int, told: Foretold) -> Foretold:
        """What was stored of a tag, as it was shown."""
        rows = np.flatnonzero(self.tag_id == tag_id)
        if not rows.size:
            return told
        p05, p95 = self.within(told.p05[None], told.p50[None], told.p95[None], rows)
        return Foretold(told.valid_ns, p05[0], told.p50, p95[0])

    @property
    def sampled(self) -> tuple[Tag, ...]:
        """The columns of the samples: the forecast tags, then the inputs."""
        return (*self.tags, *self.inputs)

    @property
    def step_ns(self) -> int:
        return round(self.rule.step * 1e9)

    @property
    def steps(self) -> int:
        """Of the horizon."""
        return round(self.rule.horizon / self.rule.step)

    @property
    def lead(self) -> int:
        """The step whose values are the scalars."""
        return round(self.rule.lead_s / self.rule.step)

    @property
    def each(self) -> int:
        """Steps from one forecast to the next."""
        return round(self.rule.every / self.rule.step)

    def asked(self, at_ns: int, samples: Samples, file: str, *, save: bool) -> tuple[dict[str, Any], dict[str, Column]]:
        """Arguments and arrays of the job `forecast`: samples, the last of them at the wall time at_ns; save: the roll goes to `file`."""
        rule, limits, (steady_ns, y, good) = self.rule, self.passable, samples
        args = {
            "roll": self.roll,
            "tags": [tag.name for tag in self.tags],
            "horizon_s": rule.horizon,
            "step_s": rule.step,
            "every_s": rule.every,
            "lead": self.lead,
            "at_ns": at_ns,
            "was": [tag.was or "" for tag in self.tags],
            "inputs": [tag.name for tag in self.inputs],
            "models": list(self.models),
            "file": file,
            "save": save,
        }
        arrays = {
            "steady_ns": steady_ns,
            "y": y,
            "good": good,
            "limits": limits.threshold,
            "upper": limits.upper,
            "delay_s": limits.delay_s,
        }
        return args, arrays
