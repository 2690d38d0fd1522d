"""One YAML text as a tree of Nodes. The only place that knows the YAML library.

The tree is built from the parser's events, so that nothing is constructed by tag, nesting costs no stack, and every value keeps its place.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from gateway.settings.faults import Faults, Place
from gateway.settings.node import BROKEN, Node, resolve

DEPTH: Final = 32
ALIASED: Final = 100_000
"""How many values the aliases of one file may stand for."""
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_VARIABLE: Final = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$(\$?)\{")
_CORE: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "seq", "map"))
_TEXT: Final = frozenset({"!", "tag:yaml.org,2002:str"})
Lack = Callable[[str], tuple[str, str]]
"""Of the name of a variable that is not there: what to say, and a hint."""


def unset(name: str) -> tuple[str, str]:
    """Of a variable of the environment."""
    return f"the environment variable {name} is not set", f"set it, or write ${{{name}:-default}}"


class _Stop(Exception):
    """The document cannot be read any further; its fault is listed."""


def parse(text: str, file: str, env: Mapping[str, str], faults: Faults, lack: Lack = unset, *, typed: bool = False) -> Node | None:
    """The tree of a text; None where it cannot be read, with the fault listed. `${NAME}` is replaced in every scalar from env.

    typed: a quoted scalar that is one variable alone is what the variable's value is, a number as well; else it is text.
    """
    if not readable(text, file, faults):
        return None
    builder = _Builder(file, env, faults, lack, typed)
    try:
        for event in yaml.parse(text, _LOADER):
            builder.take(event)
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        _syntax(error, text, file, faults)
        return None
    except yaml.YAMLError as error:
        faults.add(Place(file, 1, 1), "", f"is not YAML: {str(error).splitlines()[0]}")
        return None
    if builder.root is None:
        faults.add(Place(file, 1, 1), "", "is empty", "a configuration begins with version: 1")
    return builder.root


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str, faults: Faults) -> None:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if line[place.column - 1 : place.column] == "\t":
        faults.add(place, "", "a tab cannot stand here", "indent with spaces")
    elif line[place.column - 1 : place.column] in {"%", "@", "`"}:
        faults.add(place, "", f"a plain value cannot begin with {line[place.column - 1]}", "write it in quotes")
    elif "${" in line:
        faults.add(place, "", f"is not YAML: {error.problem}", 'inside braces write a variable in quotes: "${NAME}"')
    else:
        context = f" {error.context}" if error.context else ""
        faults.add(place, "", f"is not YAML: {error.problem}{context}", "check indentation, quotes and brackets")


class _Open:
    """A list or map that is not closed yet."""

    __slots__ = ("anchor", "before", "key", "node")

    def __init__(self, node: Node, anchor: str | None, before: int) -> None:
        self.node, self.anchor, self.before = node, anchor, before
        self.key: Node | None = None  # of a map: the key whose value comes next


class _Builder:
    """Takes events one by one; root is the tree once all are taken."""

    def __init__(self, file: str, env: Mapping[str, str], faults: Faults, lack: Lack, typed: bool) -> None:
        self.root: Node | None = None
        self._file, self._env, self._faults, self._lack, self._typed = file, env, faults, lack, typed
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = self._aliased = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            node = self._scalar(event)
            self._anchor(event.anchor, node, 1)
            self._put(node)
        elif kind is yaml.SequenceStartEvent:
            self._start(event, [])
        elif kind is yaml.MappingStartEvent:
            self._start(event, {})
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            self._end()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise self._stop(event, "a second document begins here", "one file holds one document; use include")

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, event: Any, why: str, hint: str) -> _Stop:
        self._faults.add(self._place(event), "", why, hint)
        return _Stop()

    def _key(self) -> str:
        """The path of the key whose value comes next."""
        path = ""
        for level in self._open:
            if isinstance(level.node.value, list):
                path += f"[{len(level.node.value)}]"
            elif level.key is not None:
                path += f".{level.key.text}" if path else level.key.text
        return path

    def _start(self, event: Any, value: object) -> None:
        if len(self._open) >= DEPTH:
            raise self._stop(event, f"is nested deeper than {DEPTH} levels", "")
        self._tag(event)
        self._open.append(_Open(Node(value, self._place(event)), event.anchor, self._count))

    def _end(self) -> None:
        done = self._open.pop()
        if "<<" in done.node.map:
            self._merge(done.node)
        self._anchor(done.anchor, done.node, self._count - done.before + 1)
        self._put(done.node)

    def _put(self, node: Node) -> None:
        self._count += 1
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if isinstance(top.node.value, list):
            top.node.value.append(node)
        elif top.key is None:
            top.key = node
        else:
            self._enter(top.node.map, top.key, node)
            top.key = None

    def _enter(self, entries: dict[str, Node], key: Node, node: Node) -> None:
        if isinstance(key.value, dict | list) or key.value is BROKEN:
            self._faults.add(key.place, "", f"a key is a word, not {key.shape}", "a value that begins with { or [ needs quotes")
        elif key.text in entries:
            self._faults.add(
                key.place, self._key(), f"this key stands twice (first in line {entries[key.text].key.line})", "keep one of them"
            )
        else:
            node.key = key.place
            entries[key.text] = node

    def _anchor(self, name: str | None, node: Node, size: int) -> None:
        if name is not None:
            self._anchors[name] = node, size

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._stop(event, f"*{event.anchor} is not known here", f"&{event.anchor} must stand, whole, before it")
        node, size = self._anchors[event.anchor]
        self._aliased += size
        self._count += size - 1
        if self._aliased > ALIASED:
            raise self._stop(event, f"the aliases of this file stand for more than {ALIASED} values", "write tags_from, or fewer aliases")
        self._put(node.at(self._place(event)))

    def _merge(self, node: Node) -> None:
        """`<<: *defaults` (YAML 1.1 merge key): entries of its own win."""
        source = node.map.pop("<<")
        for given in source.list or [source]:
            if not isinstance(given.value, dict):
                self._faults.add(source.key, "<<", "needs a map, or a list of maps")
            for name, entry in given.map.items():
                node.map.setdefault(name, entry)

    def _tag(self, event: Any) -> bool:
        """True where the tag makes the value a text."""
        tag: str | None = event.tag
        if tag is None or tag in _CORE:
            return False
        if tag not in _TEXT:
            self._faults.add(self._place(event), self._key(), f"the tag {tag[:60]} is refused", "a configuration holds plain values only")
        return tag != "!" or isinstance(event, yaml.ScalarEvent)

    def _scalar(self, event: Any) -> Node:
        place, text, origin = self._place(event), event.value, ""
        plain = event.style is None or event.style == ""
        forced = event.tag is not None and self._tag(event)
        if "${" in text:
            expanded = expand(text, place, self._key(), self._env, self._faults, self._lack)
            if expanded is None:
                return Node(BROKEN, place, text)
            plain = plain or (self._typed and _VARIABLE.fullmatch(text) is not None)
            text, origin = expanded
        if event.style == '"' and (control := _CONTROL.search(text)):
            self._faults.add(place, self._key(), f"holds the control character U+{ord(control[0]):04X}", "remove it")
        return Node(resolve(text) if plain and not forced else text, place, text, origin)


def names(text: str) -> list[str]:
    """The variables that a text names."""
    return [match[2] for match in _VARIABLE.finditer(text) if match[2] and not match[1]]


def expand(text: str, place: Place, key: str, env: Mapping[str, str], faults: Faults, lack: Lack = unset) -> tuple[str, str] | None:
    """A text with its variables in place, and their names as an origin; None where one is missing, with the fault listed."""
    parts, names, end = list[str](), list[str](), 0
    for match in _VARIABLE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[1] or match[4]:
            parts.append(match[0][1:])  # $${ is the text ${
            continue
        value = _variable(match, place, key, env, faults, lack)
        if value is None:
            return None
        parts.append(value)
        if env.get(match[2]):  # a default stands in the file, in clear
            names.append(match[2])
    parts.append(text[end:])
    return "".join(parts), "env:" + ",".join(names) if names else ""


def _variable(match: re.Match[str], place: Place, key: str, env: Mapping[str, str], faults: Faults, lack: Lack) -> str | None:
    name, default = match[2], match[3]
    if name is None:
        faults.add(place, key, "this is not a variable", "write ${NAME} or ${NAME:-default}; $${ for a literal ${")
        return None
    value = env.get(name)
    if value is None or (not value and default is not None):
        value = default
    if value is None:
        faults.add(place, key, *lack(name))
    elif _CONTROL.search(value):
        faults.add(place, key, f"the environment variable {name} holds a control character or is not UTF-8")
        return None
    return value


def readable(text: str, file: str, faults: Faults) -> bool:
    """False for a text with control characters, with the first one listed."""
    control = _CONTROL.search(text)
    if control is None:
        return True
    start = control.start()
    place = Place(file, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
    faults.add(place, "", f"holds the control character U+{ord(control[0]):04X}", "write it as an escape, or remove it")
    return False
