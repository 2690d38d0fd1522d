"""The identity of a configuration: one hash over what it says, whatever its files look like."""

import hashlib
import json
from typing import Any

from gateway.settings.node import Node
from gateway.settings.secrets import MASK, is_secret, masked, reference


def digest(root: Node) -> str:
    """sha256 in hexadecimal over the merged configuration: keys in order, variables in place, secrets by name only."""
    text = json.dumps(_canonical(root, ""), sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(node: Node, name: str) -> Any:
    value = node.value
    if isinstance(value, dict):
        if (found := reference(node)) is not None:
            return f"{found[0]}:{found[1].text}"
        return {key: _canonical(child, key) for key, child in value.items() if child.value is not None}
    if isinstance(value, list):
        return [_canonical(child, name) for child in value]
    if node.secret or is_secret(name):
        return node.origin or MASK
    return masked(value) if isinstance(value, str) and "://" in value else value
