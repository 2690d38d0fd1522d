"""Configuration models of plugins and sections: filled from nodes, their faults mapped back to file, line and column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from gateway.settings.faults import Faults, nearest, quote
from gateway.settings.node import BROKEN, Node
from gateway.settings.secrets import fetch, has_password, is_secret, masked, reference

M = TypeVar("M", bound=BaseModel)
Model = type[BaseModel]
_SECRETS: Final[frozenset[object]] = frozenset({SecretStr, SecretBytes})
_TEXTS: Final[frozenset[object]] = _SECRETS | {str, bytes, Path}
_MESSAGES: Final = {
    "missing": "is missing",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "string_type": "should be a text",
    "dict_type": "should be a map",
    "model_type": "should be a map of keys",
    "model_attributes_type": "should be a map of keys",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
}


@dataclass(slots=True)
class Filler:
    """Fills models. Paths of sources and sinks are relative to the file in which they stand, as include is; other paths are left alone."""

    env: Mapping[str, str]
    faults: Faults

    def fill(self, model: type[M], node: Node, path: str, without: frozenset[str] = frozenset()) -> M | None:
        """The model with the values of a map; None with its faults listed. Keys in `without`, of a source or sink, are the caller's own."""
        if node.value is BROKEN:
            return None
        if node.value is not None and not isinstance(node.value, dict):
            self.faults.add(node.place, path, f"should be a map of keys, not {node.shape}")
            return None
        own = Node({key: child for key, child in node.map.items() if key not in without}, node.place, key=node.key)
        resolved = self._resolved(own, frozenset({model}), path, relative=bool(without))
        try:
            return model.model_validate(_plain(resolved, frozenset({model})))
        except ValidationError as error:
            self._listed(error, resolved, model, path)
        except (ArithmeticError, RecursionError) as error:
            self.faults.add(node.place, path, f"holds a value out of all bounds: {error}")
        return None

    def _listed(self, error: ValidationError, node: Node, model: Model, path: str) -> None:
        """Its faults; with those between keys, which pydantic looks for only once each key is good: the bad ones are left out for that."""
        found = error.errors(include_url=False)
        for one in found:
            self._fault(one, node, model, path)
        bad = {str(one["loc"][0]) for one in found if one["loc"]}
        rest = Node({name: child for name, child in node.map.items() if name not in bad}, node.place, key=node.key)
        if not bad & node.map.keys():
            return
        try:
            model.model_validate(_plain(rest, frozenset({model})))
        except ValidationError as again:
            for one in again.errors(include_url=False):
                if not one["loc"] and not any(re.search(rf"\b{re.escape(name)}\b", one["msg"]) for name in bad):
                    self._fault(one, node, model, path)

    def _resolved(self, node: Node, models: frozenset[Model], path: str, *, relative: bool) -> Node:
        """The map with its secrets fetched; those in clear are warned of."""
        entries = {}
        for name, child in node.map.items():
            leaves, key = _leaves(models, name), f"{path}.{name}"
            inner = _models(leaves)
            if reference(child) is not None and not inner and dict not in leaves:
                entries[name] = fetch(child, key, self.env, self.faults)
                continue
            child.secret = is_secret(name) or bool(leaves & _SECRETS)
            if isinstance(child.value, str) and child.text and not child.origin and (child.secret or has_password(child.text)):
                self.faults.warn(child.place, key, "a secret stands here in clear", "use ${NAME}, {file: PATH} or {credential: NAME}")
            entries[name] = self._resolved(child, inner, key, relative=relative) if isinstance(child.value, dict) else child
            if relative and Path in leaves and isinstance(child.value, str) and child.text:
                text = str(Path(child.place.file).parent / child.text)
                entries[name] = Node(text, child.place, text, child.origin, child.key)
        return Node(entries, node.place, key=node.key)

    def _fault(self, error: Any, node: Node, model: Model, path: str) -> None:
        """One error of pydantic at the place of the key that it speaks of."""
        at, outer, models, steps = node, frozenset({model}), frozenset({model}), [path]
        for step in error["loc"]:
            if isinstance(step, int) and step < len(at.list):
                at, steps[-1] = at.list[step], f"{steps[-1]}[{step}]"
            elif str(step) in at.map:
                at, outer, models = at.map[str(step)], models, _models(_leaves(models, str(step)))
                steps.append(str(step))
            elif error["type"] == "missing":
                steps.append(str(step))  # any other step is a branch of a union and no key of the file
        if at.value is BROKEN or (error["type"] == "value_error" and any(child.value is BROKEN for child in at.map.values())):
            return  # it follows from a fault that is listed already
        key = ".".join(steps)
        if error["type"] == "extra_forbidden":
            self.faults.add(at.key, key, "is not a known key", self.faults.nearest(steps[-1], _keys(outer)))
        else:
            self.faults.add(at.place, key, *_words(error, at))


def _words(error: Any, node: Node) -> tuple[str, str]:
    """What is wrong, in plain words, and a hint. A secret is never repeated."""
    kind = error["type"]
    if kind == "missing":
        return "is missing", ""
    if node.secret or node.origin.startswith(("file:", "credential:")):
        return "is not valid", ""
    shown = f", not {quote(masked(node.text))}" if node.text else ""
    if kind in _MESSAGES:
        return _MESSAGES[kind] + shown, ""
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").removeprefix("Input ")
    if kind in {"literal_error", "enum"}:
        return message + shown, nearest(node.text, re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", ""))))
    return masked(message) + ("" if kind == "value_error" else shown), ""


def _plain(node: Node, leaves: frozenset[object]) -> Any:
    """The values alone, as a model takes them; a text where only a text fits, as in `user: 007`."""
    value = node.value
    if isinstance(value, dict):
        models = _models(leaves)
        return {key: _plain(child, _leaves(models, key)) for key, child in value.items() if child.value is not BROKEN}
    if isinstance(value, list):
        return [_plain(child, leaves) for child in value if child.value is not BROKEN]
    if value is not None and type(value) not in leaves and leaves & _TEXTS:
        return node.text
    return value


def _leaves(models: frozenset[Model], name: str) -> frozenset[object]:
    """The types that a key of these models may have, containers and unions taken apart."""
    found = set[object]()
    for model in models:
        for own, field in model.model_fields.items():
            if name in {own, field.alias, field.validation_alias}:
                found |= _flat(field.annotation)
    return frozenset(found)


def _flat(annotation: object) -> set[object]:
    if hasattr(annotation, "__value__"):  # a name made by `type`
        return _flat(annotation.__value__)
    origin, found = get_origin(annotation), set[object]()
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    for one in get_args(annotation)[: 1 if origin is Annotated else None]:
        found |= _flat(one)
    return found | {origin} if found else {annotation}


def _models(leaves: frozenset[object]) -> frozenset[Model]:
    return frozenset(leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel))


def _keys(models: frozenset[Model]) -> list[str]:
    return [field.alias or name for model in models for name, field in model.model_fields.items()]
