"""The JSON Schema of a configuration file, for editors and for generators (draft 2020-12)."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.model.duration import seconds
from gateway.settings.alarms import DISCREPANCY, LIMITS
from gateway.settings.forecasting import Forecast
from gateway.settings.lining import LineSection
from gateway.settings.names import LONGEST, RESERVED, TIME
from gateway.settings.sections import Events, Gateway, Kpi
from gateway.settings.site import Plugins
from gateway.settings.tags import DERIVED_KEYS, ROLES, TYPES
from gateway.settings.units import read_units
from gateway.simulation.kinds import EQUATIONS, Kind, build, loadable
from gateway.simulation.whatif import MOST_RUNS

Schema = dict[str, Any]
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_FLAG: Final[Schema] = {"type": "boolean"}
_RATE: Final[Schema] = {"anyOf": [_NUMBER, {"type": "string", "description": "1/min, 0.5/s"}]}
_DURATION: Final[Schema] = {"$ref": "#/$defs/duration"}
_FIRST: Final = "|".join(sorted(RESERVED | {TIME}))
_NAME: Final[Schema] = {
    "type": "string",
    "pattern": rf"^(?!_|({_FIRST})(\.|$))[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
    "maxLength": LONGEST,
}
_UNIT_NAME: Final[Schema] = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
_DEFS: Final[Schema] = {
    "duration": {
        "description": "500ms, 10s, 5min, 24h, 365d; a bare number is seconds",
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|min|h|d)?\s*$|\$\{"}],
    },
    "secret": {
        "description": "a secret from a file, or a systemd credential",
        "type": "object",
        "properties": {"file": _TEXT, "credential": _TEXT},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
}


def schema(plugins: Plugins) -> Schema:
    """The schema of the whole file with the given drivers, sinks and sections."""
    definitions = dict(_DEFS)
    sections: dict[str, type[BaseModel]] = {"gateway": Gateway, "events": Events, "kpi": Kpi, "forecast": Forecast}
    sections |= {"line": LineSection, **plugins.sections}
    properties: Schema = {
        "version": {"const": 1},
        "include": {"description": "more files, relative to this one", "type": "array", "items": _TEXT},
        "tags_from": {"description": "CSV files whose columns are the keys of a tag", "type": "array", "items": _TEXT},
        "sources": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "additionalProperties": _one_of(plugins.drivers, {"driver": ""}, definitions),
        },
        "upstream": {
            "type": "array",
            "items": _one_of(plugins.upstream, {"name": _TEXT, "kind": ""}, definitions),
        },
        "tags": {"type": "array", "items": _tag()},
        "derived": {"type": "array", "items": _derived()},
        "alarms": {"type": "array", "items": _alarm()},
        "thresholds": {
            "description": "short form of alarms: tag name to [low, high]",
            "type": "object",
            "additionalProperties": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        },
        "models": {
            "description": "process models by name",
            "type": "object",
            "propertyNames": _UNIT_NAME,
            "additionalProperties": _model(),
        },
        "scenarios": {
            "description": "what-ifs by name",
            "type": "object",
            "propertyNames": _UNIT_NAME,
            "additionalProperties": _scenario(),
        },
        "sync": _sync(),
        "digital_twin": {"description": "older names of keys of gateway, sync and log", "type": "object"},
    }
    properties |= {name: _unit(model, {}, definitions) for name, model in sections.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Edgetwin configuration",
        "type": "object",
        "properties": properties,
        "required": ["version"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _one_of(models: Mapping[str, type[BaseModel]], keys: Schema, definitions: Schema) -> Schema:
    """One branch for each kind, told apart by the key that is empty in `keys`; nothing at all without a kind."""
    branches = []
    for kind, model in models.items():
        own = {key: value or {"const": kind} for key, value in keys.items()}
        branches.append(_unit(model, own, definitions))
    return {"oneOf": branches} if branches else {"not": {}}


class _Generator(GenerateJsonSchema):
    """Fields that are written as text and parsed: durations, sizes and the like."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        if schema["function"]["function"] is seconds:
            return dict(_DEFS["duration"])
        return {"anyOf": [super().function_before_schema(schema), {"type": "string"}]}


def _unit(model: type[BaseModel], keys: Schema, definitions: Schema) -> Schema:
    """A plugin's own schema with the keys that the gateway reads beside it; its parts go to the definitions."""
    own = model.model_json_schema(ref_template=f"#/$defs/{model.__module__}.{{model}}", schema_generator=_Generator, by_alias=True)
    for name, part in own.pop("$defs", {}).items():
        definitions[f"{model.__module__}.{name}"] = _with_secrets(part)
    own = _with_secrets(own)
    own["properties"] = {**keys, **own.get("properties", {})}
    own["required"] = [*keys, *own.get("required", [])]
    own["additionalProperties"] = False
    return own


def _with_secrets(part: Schema) -> Schema:
    """A text may come from a file or a credential."""
    part = dict(part)
    for name, field in part.get("properties", {}).items():
        if field.get("type") == "string" or {"type": "string"} in field.get("anyOf", []) or "writeOnly" in str(field):
            kept = {key: value for key, value in field.items() if key in {"title", "description", "default"}}
            rest = {key: value for key, value in field.items() if key not in kept and key != "anyOf"}
            branches = [*field.get("anyOf", []), *([rest] if rest else []), {"$ref": "#/$defs/secret"}]
            part["properties"] = {**part["properties"], name: {**kept, "anyOf": branches}}
    return part


def _tag() -> Schema:
    bounds = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    return _object(
        {
            "name": _NAME,
            "source": _TEXT,
            "address": _TEXT,
            "type": {"enum": list(TYPES)},
            "unit": {"description": "UCUM code", "enum": list(read_units())},
            "range": bounds,
            "deadband": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%$"}]},
            "sampling_interval": _DURATION,
            "stale_after": _DURATION,
            "labels": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
            "description": _TEXT,
            "writable": {"anyOf": [_FLAG, _write_rule()]},
            "enabled": _FLAG,
            "was": _NAME,
        },
        "name",
    )


def _write_rule() -> Schema:
    return _object({"min": _NUMBER, "max": _NUMBER, "max_rate": _RATE, "role": {"enum": list(ROLES)}, "reason": _FLAG, "interlock": _TEXT})


def _derived() -> Schema:
    known = _tag()["properties"] | {"expr": _TEXT, "type": {"const": "float"}}
    return _object({key: known[key] for key in sorted(DERIVED_KEYS)}, "name", "expr")


def _alarm() -> Schema:
    shared = {
        "hysteresis": {"type": "number", "minimum": 0},
        "on_delay": _DURATION,
        "off_delay": _DURATION,
        "severity": {"type": "integer", "minimum": 1, "maximum": 1000},
        **dict.fromkeys(("message", "cause", "consequence", "action"), _TEXT),
        "latch": _FLAG,
        "confirm": _FLAG,
        "re_alarm": _DURATION,
        "shelve_max": _DURATION,
    }
    state = {"type": ["string", "integer", "boolean"]}
    limits: Schema = {key: {"anyOf": [_NUMBER, _object({"limit": _NUMBER, **shared}, "limit")]} for key in LIMITS}
    limits["state"] = {"anyOf": [state, _object({"limit": state, **shared}, "limit")]}
    limits["bad_quality"] = {"anyOf": [_FLAG, _object(shared)]}
    limits["deviation"] = _object({"limit": {"type": "number", "exclusiveMinimum": 0}, "of": _NAME, **shared}, "limit", "of")
    limits["rate"] = {"anyOf": [*_RATE["anyOf"], _object({"limit": _RATE, **shared, "hysteresis": _RATE}, "limit")]}
    late = {key: known for key, known in shared.items() if key in DISCREPANCY}
    tolerance = {"type": "number", "minimum": 0}
    limits["discrepancy"] = _object({"of": _NAME, "tolerance": tolerance, "within": _DURATION, **late}, "of", "within")
    keys = {"tag": _NAME, **limits, "exclusive": {**_FLAG, "description": "one condition of hihi, hi, lo and lolo"}, **shared}
    return {**_object(keys, "tag"), "anyOf": [{"required": [key]} for key in limits]}


def _model() -> Schema:
    """One branch for each kind, with its own parameters."""
    return {"oneOf": [*(_model_of(word, kind) for word, kind in loadable().items()), _equations()]}


def _equations() -> Schema:
    """The kind whose states and outputs are texts."""
    texts, tags = {"type": "object", "additionalProperties": _TEXT}, {"type": "object", "additionalProperties": _NAME}
    either = {"anyOf": [_NUMBER, _DURATION]}
    keys = {
        "kind": {"const": EQUATIONS},
        "equations": _object({"states": texts, "outputs": texts}, "states"),
        "output": _NAME,
        "outputs": tags,
        "inputs": {"type": "object", "additionalProperties": {"anyOf": [_NAME, _NUMBER]}},
        "parameters": {"type": "object", "additionalProperties": _uncertain(either)},
        "noise": _object({word: _uncertain(_NUMBER) for word in ("process", "measurement")}),
        **_upkeep(),
    }
    return {**_object(keys, "kind", "equations"), "anyOf": [{"required": ["output"]}, {"required": ["outputs"]}]}


def _model_of(word: str, kind: Kind) -> Schema:
    model = build(word, {}, {})
    parameters = {
        name: _uncertain(_DURATION if name in kind.seconds else _NUMBER) for name in kind.parameters if name not in kind.noises.values()
    }
    keys: Schema = {
        "kind": {"const": word},
        "outputs": _object(dict.fromkeys(model.outputs, _NAME)),
        "inputs": _object({name: {"anyOf": [_NAME, _NUMBER]} for name in model.inputs}),
        "parameters": _object(parameters),
        "noise": _object(dict.fromkeys(kind.noises, _uncertain(_NUMBER))),
        **_upkeep(),
    }
    single = {"output": _NAME} if len(model.outputs) == 1 else {}
    return {**_object(keys | single, "kind"), "anyOf": [{"required": [key]} for key in (*single, "outputs")]}


def _upkeep() -> Schema:
    names = {"type": "array", "items": _TEXT}
    return {
        "calibrate": _object({"every": _DURATION, "window": _DURATION, "apply": _FLAG, "parameters": names}),
        "residual": _object({"step": _DURATION, "false_alarm": _DURATION, "stand_in": _FLAG}),
    }


def _uncertain(value: Schema) -> Schema:
    """A value, or a value with its standard deviation."""
    drawn = {"type": "string", "pattern": "^\\s*[a-z]+\\s*\\(.*\\)\\s*$", "description": "a distribution: uniform(1, 2)"}
    return {"anyOf": [value, drawn, _object({"value": value, "sd": value}, "value")]}


def _scenario() -> Schema:
    pair = {"type": "array", "prefixItems": [_DURATION, _NUMBER], "minItems": 2, "maxItems": 2}
    course = {"description": "[time, value] pairs of an input", "type": "array", "items": pair, "minItems": 1}
    changes = {"type": "object", "additionalProperties": {"anyOf": [_NUMBER, _DURATION, course]}}
    runs = {"type": "integer", "minimum": 1, "maximum": MOST_RUNS}
    return _object({"description": _TEXT, "parameters": changes, "horizon": _DURATION, "step": _DURATION, "runs": runs})


def _sync() -> Schema:
    length = {"type": "integer", "minimum": 1, "maximum": 10_000_000}
    return _object({
        "mode": {"enum": ["real_time", "scheduled", "manual"]},
        "update_frequency": {"type": "number", "minimum": 0.001, "maximum": 1000},
        "history_length": length,
        "default_history_length": {**length, "description": "the older name of history_length"},
        "history_bytes": {"type": "integer", "minimum": 1},
    })  # fmt: skip


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
