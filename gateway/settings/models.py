"""The sections `models` and `scenarios`: from nodes to process models tied to tags, and to named what-ifs."""

import math
from collections.abc import Mapping
from typing import Final

from gateway.model.duration import seconds
from gateway.model.process import Change, ProcessModel, Scenario
from gateway.model.tag import Tag, TagTable, TagType
from gateway.settings.faults import Faults, quote
from gateway.settings.fields import Fields
from gateway.settings.node import BROKEN, Node
from gateway.settings.sections import NAME
from gateway.settings.upkeep import ReadUpkeep
from gateway.simulation.distributions import of_text
from gateway.simulation.kinds import EQUATIONS, KINDS, Kind, build, of_equations
from gateway.simulation.process.line import Line
from gateway.simulation.process.model import Model, ModelError
from gateway.simulation.tied import tied
from gateway.simulation.whatif import MOST_RUNS

MODEL_KEYS: Final = frozenset({"kind", "output", "outputs", "inputs", "parameters", "noise", "equations", "calibrate", "residual"})
EQUATION_KEYS: Final = frozenset({"states", "outputs"})
SCENARIO_KEYS: Final = frozenset({"description", "parameters", "horizon", "step", "runs"})
UNCERTAIN: Final = frozenset({"value", "sd"})
_NUMBERS: Final = frozenset({TagType.FLOAT, TagType.INT, TagType.BOOL, TagType.ENUM})
_NO_NAME: Final = "1 to 64 letters, digits, _ or -"
NOW: Final = "now"  # the scenario that changes nothing


class Models:
    """Reads both sections; models and scenarios are all that were good."""

    def __init__(self, tags: TagTable, declared: Mapping[str, object], faults: Faults) -> None:
        self.models: list[ProcessModel] = []
        self.scenarios: dict[str, Scenario] = {}
        self._tags, self._declared, self._faults = tags, declared, faults
        self.upkeep = ReadUpkeep(tags)
        self._given: dict[str, str] = {}  # tag -> the model that gives it
        self._sound = True

    def read(self, section: Node) -> None:
        """Takes the section `models`."""
        fields = Fields(section, "models", self._faults)
        for name, node in fields.map.items():
            if not NAME.fullmatch(name):
                self._faults.add(node.key, fields.key(name), f"{quote(name)} is not a name", _NO_NAME)
            elif name in self._declared or any(tag.startswith(f"{name}.") for tag in self._declared):
                self._faults.add(node.key, fields.key(name), f"{name} is also the beginning of a tag's name", "choose another name")
            else:
                self._model(name, Fields(node, fields.key(name), self._faults))

    def _model(self, name: str, fields: Fields) -> None:
        fields.allow(MODEL_KEYS)
        known = (*KINDS, EQUATIONS)
        fields.require("kind", f"known: {', '.join(sorted(known))}")
        word = fields.text("kind")
        if word not in known:
            if word:
                fields.fault("kind", f"there is no kind of model {quote(word)}", self._faults.nearest(word, known))
            self._sound = False
            return
        before = len(self._faults.found)
        equations = self._equations(word, fields)
        kind = self._kind(word, fields)
        if kind is None:
            self._sound = False
            return
        parameters, spread, varied = self._parameters(kind, word, fields)
        plain = self._plain(word, parameters, equations, fields)
        if plain is None:
            self._sound = False
            return
        outputs = self._outputs(name, plain, fields)
        inputs = self._inputs(word, plain, fields)
        if any(not fault.warning for fault in self._faults.found[before:]):
            self._sound = False
        else:
            self.upkeep.read(name, kind, outputs, fields)
            self.models.append(ProcessModel(name, word, outputs, inputs, parameters, spread, equations, varied))

    def _kind(self, word: str, fields: Fields) -> Kind | None:
        """None where it is somebody else's and cannot be loaded, with the fault listed."""
        try:
            return of_equations(_inner(fields, "parameters").map) if word == EQUATIONS else KINDS[word]
        except ModelError as fault:
            fields.fault("kind", str(fault))
            return None

    def _equations(self, word: str, fields: Fields) -> dict[str, dict[str, str]]:
        """`equations: {states: {name: text}, outputs: {name: text}}`."""
        if word != EQUATIONS:
            if "equations" in fields.map:
                fields.fault("equations", f"{word} has none", f"write kind: {EQUATIONS}")
            return {}
        fields.require("equations", "write equations: {states: {level: inflow - outflow}}")
        both = _inner(fields, "equations")
        both.allow(EQUATION_KEYS)
        parts = {key: _inner(both, key) for key in ("states", "outputs") if key in both.map}
        return {key: {name: part.text(name) for name in part.map} for key, part in parts.items()}

    def _plain(
        self, word: str, parameters: Mapping[str, float], equations: Mapping[str, Mapping[str, str]], fields: Fields
    ) -> Model | None:
        """The model itself; None where its equations cannot be, with the fault listed."""
        try:
            return build(word, parameters if word == EQUATIONS else {}, equations)
        except ModelError as fault:
            if "equations" in fields.map:
                fields.fault("equations", str(fault))
            return None

    # --- parameters ----------------------------------------------------------------------------------------------------------------

    def _parameters(self, kind: Kind, word: str, fields: Fields) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
        """(values, standard deviations, other distributions)."""
        values, spread, varied = dict[str, float](), dict[str, float](), dict[str, str]()
        listed = _inner(fields, "parameters")
        stated = {name: name for name in kind.parameters if name not in kind.noises.values()}
        noise = _inner(fields, "noise")
        for inner, names in ((listed, stated), (noise, kind.noises)):
            for key, node in inner.map.items():
                if key not in names:
                    what = "parameter" if inner is listed else "noise"
                    hint = self._faults.nearest(key, names) if names else "it has none"
                    self._faults.add(node.key, inner.key(key), f"{word} has no {what} {quote(key)}", hint)
                    continue
                if isinstance(node.value, str) and "(" in node.value:
                    self._drawn(kind, names[key], inner.key(key), node, values, varied)
                else:
                    self._value(kind, names[key], key, node, inner, values, spread)
        return values, spread, varied

    def _drawn(self, kind: Kind, name: str, path: str, node: Node, values: dict[str, float], varied: dict[str, str]) -> None:
        """One parameter that is drawn: `uniform(80s, 120s)`."""
        try:
            found = of_text(node.text, _figure if name in kind.seconds else float)
            for value in (found.middle, *found.bounds):
                if kind.own is None:
                    kind.make({name: value})
        except ModelError as fault:
            self._faults.add(node.place, path, str(fault).removeprefix(f"parameter {name} "))
        else:
            values[name], varied[name] = found.middle, str(found)

    def _value(
        self,
        kind: Kind,
        name: str,
        key: str,
        node: Node,
        inner: Fields,
        values: dict[str, float],
        spread: dict[str, float],
    ) -> None:
        """One parameter: a number (a duration, where it is a time), or {value, sd}."""
        path, time = inner.key(key), name in kind.seconds
        if isinstance(node.value, dict):
            pair = Fields(node, path, self._faults)
            pair.allow(UNCERTAIN)
            pair.require("value")
            value, sd = (self._number(pair.get(part), pair.key(part), time=time) for part in ("value", "sd"))
            if sd is not None and sd < 0:
                pair.fault("sd", f"{sd:g} is negative", "a standard deviation is 0 or more")
            elif sd:
                spread[name] = sd
        else:
            value = self._number(node, path, time=time)
        if value is None:
            return
        try:
            if kind.own is None:  # equations are looked at as a whole
                kind.make({name: value})
        except ModelError as fault:
            self._faults.add(node.place, path, str(fault).removeprefix(f"parameter {name} "), "")
        else:
            values[name] = value

    def _number(self, node: Node | None, path: str, *, time: bool) -> float | None:
        if node is None or node.value is BROKEN or node.value is None:
            return None
        if time and isinstance(node.value, str):
            try:
                return seconds(node.value)
            except ValueError as error:
                self._faults.add(node.place, path, str(error))
                return None
        if not time and isinstance(node.value, str) and _is_duration(node.value):
            self._faults.add(node.place, path, f"should be a number, not {quote(node.text)}", "this parameter is no time")
            return None
        return Fields(Node({}, node.place), path, self._faults).number_of(node, path)

    # --- tags ----------------------------------------------------------------------------------------------------------------------

    def _outputs(self, name: str, model: Model, fields: Fields) -> dict[str, str]:
        """`output: tag` for a model with one output, `outputs: {name: tag}` for any."""
        if "output" in fields.map and "outputs" in fields.map:
            fields.fault("outputs", "stands beside output", "keep one of them")
        listed = _inner(fields, "outputs")
        pairs = dict(listed.map)
        keys = {output: listed.key(output) for output in pairs}
        single = fields.get("output")
        if single is not None:
            if len(model.outputs) > 1:
                fields.fault("output", f"the model has {len(model.outputs)} outputs", f"write outputs: {{{model.outputs[0]}: TAG}}")
                return {}
            pairs, keys = {model.outputs[0]: single}, {model.outputs[0]: fields.key("output")}
        elif not pairs and "outputs" not in fields.map:
            fields.require("output", "the tag that the model gives")
        found = {}
        for output, node in pairs.items():
            if output not in model.outputs:
                self._faults.add(node.key, keys[output], "is not an output of the model", self._faults.nearest(output, model.outputs))
                continue
            tag = self._tag(node, keys[output])
            if tag is not None and tag.name in self._given:
                self._faults.add(node.place, keys[output], f"{tag.name} is given by {self._given[tag.name]} too", "one model for each tag")
            elif tag is not None:
                found[output] = tag.name
                self._given[tag.name] = name
        return found

    def _inputs(self, word: str, model: Model, fields: Fields) -> dict[str, str | float]:
        """`inputs: {name: tag}`; a number is an input that keeps its value."""
        listed = _inner(fields, "inputs")
        found = dict[str, str | float]()
        for name, node in listed.map.items():
            if name not in model.inputs:
                hint = self._faults.nearest(name, model.inputs) if model.inputs else "it has none"
                self._faults.add(node.key, listed.key(name), f"{word} has no input {quote(name)}", hint)
            elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
                number = listed.number(name)
                if number is not None:
                    found[name] = number
            elif (tag := self._tag(node, listed.key(name))) is not None:
                found[name] = tag.name
        if missing := [name for name in model.inputs if name not in listed.map]:
            fields.warn("inputs", f"nothing is said of {', '.join(missing)}: 0", "name a tag, or a number")
        return found

    def _tag(self, node: Node, key: str) -> Tag | None:
        if node.value is BROKEN:
            return None
        tag = self._tags.named(node.text) if node.text in self._declared else None
        if tag is None:
            why = f"there is no tag {quote(node.text)}" if node.text else f"should be a tag, not {node.shape}"
            self._faults.add(node.place, key, why, self._faults.nearest(node.text, list(self._declared)) if node.text else "")
        elif tag.type not in _NUMBERS:
            self._faults.add(node.place, key, f"{tag.name} is text, not a number", "models work on numbers")
            return None
        return tag

    # --- scenarios -----------------------------------------------------------------------------------------------------------------

    def read_scenarios(self, section: Node, models: Node) -> None:
        """Takes the section `scenarios`, once those of `models` are read."""
        fields = Fields(section, "scenarios", self._faults)
        whole = self._whole(models)
        for name, node in fields.map.items():
            if not NAME.fullmatch(name) or name == NOW:
                hint = _NO_NAME if name != NOW else f"{NOW} is the scenario that changes nothing"
                self._faults.add(node.key, fields.key(name), f"{quote(name)} is not a name for a scenario", hint)
                continue
            inner = Fields(node, fields.key(name), self._faults)
            inner.allow(SCENARIO_KEYS)
            horizon, step = inner.duration_ns("horizon", None), inner.duration_ns("step", None)
            for key, length in (("horizon", horizon), ("step", step)):
                if length == 0:
                    inner.fault(key, "is no time", "write 10min, 1s")
            runs = inner.integer("runs", 1, MOST_RUNS, 0) or None
            self.scenarios[name] = Scenario(
                name,
                inner.text("description", longest=1000),
                self._changes(_inner(inner, "parameters"), whole),
                None if horizon is None else horizon / 1e9,
                None if step is None else step / 1e9,
                runs,
            )

    def _whole(self, section: Node) -> Line | None:
        """All models as one; None where one of them has a fault: then nothing is said of names that may be its own."""
        if not self._sound:
            return None
        try:
            return tied(self.models)
        except ModelError as fault:  # each was built alone before
            self._faults.add(section.place, "models", str(fault))
            return None

    def _changes(self, fields: Fields, whole: Line | None) -> dict[str, Change]:
        found = dict[str, Change]()
        names = [] if whole is None else [*whole.inputs, *whole.outputs, *whole.parameters]
        for name, node in fields.map.items():
            if whole is not None and name not in names:
                hint = self._faults.nearest(name, names) if names else "there are no models"
                self._faults.add(node.key, fields.key(name), f"no model has a tag or parameter {quote(name)}", hint)
                continue
            if isinstance(node.value, list):
                course = self._course(name, node, fields.key(name), whole)
                if course:
                    found[name] = course
            else:
                value = self._number(node, fields.key(name), time=self._is_time(name))
                if value is not None and self._in_range(name, value, node, fields.key(name)):
                    found[name] = value
        return found

    def _in_range(self, name: str, value: float, node: Node, path: str) -> bool:
        tag = self._tags.named(name)
        low, high = (tag.eu_range if tag is not None else None) or (-math.inf, math.inf)
        if not low <= value <= high:
            self._faults.add(node.place, path, f"{value:g} is outside the range of {name}", f"{low:g} to {high:g}")
            return False
        return True

    def _course(self, name: str, node: Node, path: str, whole: Line | None) -> list[list[float]]:
        """`[[1min, 26], [5min, 24]]`: an input's values, each from its time on; nothing where one has a fault."""
        if whole is not None and name not in whole.inputs:
            self._faults.add(node.place, path, f"{name} cannot change during a run", f"only inputs can: {', '.join(whole.inputs)}")
            return []
        found = list[list[float]]()
        for place, pair in enumerate(node.list):
            key = f"{path}[{place}]"
            if len(pair.list) != 2:
                self._faults.add(pair.place, key, f"should be [time, value], not {quote(pair.text) or pair.shape}", "write [[1min, 26]]")
                return []
            at_s, value = self._number(pair.list[0], f"{key}[0]", time=True), self._number(pair.list[1], f"{key}[1]", time=False)
            if at_s is None or value is None or not self._in_range(name, value, pair, key):
                return []
            if at_s < 0 or (found and at_s <= found[-1][0]):
                self._faults.add(pair.place, key, f"{at_s:g} s is not after the time before it", "times of a course rise from 0")
                return []
            found.append([at_s, value])
        return found

    def _is_time(self, name: str) -> bool:
        model, _, parameter = name.partition(".")
        kinds = {one.name: KINDS[one.kind] for one in self.models if one.kind in KINDS}
        return model in kinds and parameter in kinds[model].seconds


def _inner(fields: Fields, key: str) -> Fields:
    node = fields.get(key)
    return Fields(Node({}, fields.node.place) if node is None else node, fields.key(key), fields.faults)


def _figure(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return seconds(text)


def _is_duration(text: str) -> bool:
    try:
        seconds(text)
    except ValueError:
        return False
    return True
