"""Expressions of derived tags and interlocks: parsed once here, so that their faults carry a place."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.model.derived import DerivedRule
from gateway.model.expression import ExpressionError, parse
from gateway.model.tag import TagType
from gateway.settings.faults import Faults
from gateway.settings.node import Node
from gateway.settings.tags import Draft

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
"""What may be a tag's name in an expression that cannot be parsed: a fault in it hides no cycle."""


def read_expressions(draft: Draft) -> tuple[DerivedRule, ...]:
    """The rules of derived tags; lists what cannot be parsed, inputs that are texts, and cycles by their path."""
    types = {tag.name: tag.type for tag in draft.tags}
    inputs = dict[str, tuple[str, ...]]()
    rules = list[DerivedRule]()
    for tag, node, key in draft.expressions:
        names = _parse(node, key, types, draft.faults, stateful=True)
        if names is None:
            inputs[tag.name] = tuple(name for name in _WORD.findall(node.text) if name in types)
        else:
            inputs[tag.name] = names
            rules.append(DerivedRule(tag.tag_id, tag.name, node.text))
    for _, node, key in draft.interlocks:
        _parse(node, key, types, draft.faults, stateful=False)
    _cycles(inputs, {tag.name: (node, key) for tag, node, key in draft.expressions}, draft.faults)
    return tuple(rules)


def _parse(node: Node, key: str, types: dict[str, TagType], faults: Faults, *, stateful: bool) -> tuple[str, ...] | None:
    """The tags that an expression reads."""
    if isinstance(node.value, dict | list):
        faults.add(node.place, key, f"should be an expression, not {node.shape}")
        return None
    try:
        names = parse(node.text, types, stateful=stateful).names
    except ExpressionError as error:
        faults.add(node.place, key, f"{error.why}, at character {error.position + 1}", error.hint)
        return None
    for name in names:
        if types[name] is TagType.TEXT:
            faults.add(node.place, key, f"{name} is text, not a number", "expressions read float, int, bool and enum tags")
    return names


def _cycles(inputs: Mapping[str, tuple[str, ...]], places: Mapping[str, tuple[Node, str]], faults: Faults) -> None:
    """Lists each cycle once, by the path that leads round it."""
    done, path = set[str](), dict[str, None]()

    for start in inputs:
        stack = [(start, iter(inputs[start]))]
        path = {start: None}
        while stack and start not in done:
            name, rest = stack[-1]
            following = next((one for one in rest if one in inputs and one not in done), None)
            if following is None:
                done.add(name)
                path.pop(name, None)
                stack.pop()
            elif following in path:
                names = list(path)
                ring = [*names[names.index(following) :], following]
                node, key = places[following]
                faults.add(node.place, key, f"depends on itself: {' -> '.join(ring)}", "break the circle with a measured tag")
            else:
                path[following] = None
                stack.append((following, iter(inputs[following])))
