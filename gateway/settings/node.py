"""A value of the configuration together with the place where it stands."""

import re
from typing import Final

from gateway.settings.faults import Place

BROKEN: Final = object()
"""The value of a node whose own fault is already listed: nothing more is said of it."""

_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, object]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


class Node:
    """One value: None, bool, int, float, str, list[Node] or dict[str, Node].

    place   where the value stands
    key     where its key stands, the same as place for an element of a list
    text    a scalar as it was written
    origin  `env`, `file` or `credential` where the value came from outside, with its name; else empty
    secret  True once a model said that nobody should see it
    """

    __slots__ = ("key", "origin", "place", "secret", "text", "value")

    def __init__(self, value: object, place: Place, text: str = "", origin: str = "", key: Place | None = None) -> None:
        self.value, self.place, self.text, self.origin, self.key, self.secret = value, place, text, origin, key or place, False

    @property
    def map(self) -> dict[str, "Node"]:
        """The entries of a map, nothing for any other value."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def list(self) -> list["Node"]:
        """The elements of a list, nothing for any other value."""
        return self.value if isinstance(self.value, list) else []

    @property
    def shape(self) -> str:
        """What kind of value this is, in plain words."""
        if isinstance(self.value, dict):
            return "a map"
        if isinstance(self.value, list):
            return "a list"
        return "nothing" if self.value is None else "a plain value"

    def at(self, key: Place) -> "Node":
        """The same value under a key that stands elsewhere."""
        return Node(self.value, self.place, self.text, self.origin, key)


def resolve(text: str) -> object:
    """What a plain scalar means (YAML 1.2, 10.3.2: no octal by a leading zero, no yes/no/on/off, no base 60)."""
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in "+-.0123456789" and len(text) <= 100 else text


def _number(text: str) -> object:
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    word = text.lower()
    return float(word.replace(".", "")) if word in {".inf", "+.inf", "-.inf", ".nan"} else text
