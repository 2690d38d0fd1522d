"""A table of tags: CSV whose columns are the keys of a tag and whose cells are written as in YAML."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.settings.document import expand, parse, readable
from gateway.settings.faults import Faults, Place
from gateway.settings.node import BROKEN, Node, resolve

_PLAIN_LIST: Final = re.compile(r"\[\s*[-+.\w]+(?:\s*,\s*[-+.\w]+)*\s*\]")
_VERBATIM: Final = frozenset({"name", "source", "address", "unit", "description", "was", "expr"})
"""Columns whose cells are texts whatever they look like."""


def rows(text: str, file: str, env: Mapping[str, str], faults: Faults) -> list[Node]:
    """One map per line, empty cells left out. The separator is that of the header: comma, semicolon or tab."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not readable(text, file, faults):
        return []
    if not lines[0].strip():
        faults.add(
            Place(file, 1, 1), "", "begins with an empty line", "the first line names the columns, for example name,source,address,unit"
        )
        return []
    reader = _Reader(file, env, faults)
    separator = max(",;\t", key=lines[0].count)
    header = reader.cells(lines[0], 1, separator)
    names = [name.strip() for name, _ in header]
    for number, (name, column) in enumerate(header):
        if not name.strip() or name.strip() in names[:number]:
            faults.add(Place(file, 1, column), name, "this column has no name" if not name.strip() else "this column stands twice")
    found = []
    for line, written in enumerate(lines[1:], 2):
        if written and not written.isspace() and not written.startswith("#"):
            found.append(reader.row(names, written, line, separator))
    return found


class _Reader:
    def __init__(self, file: str, env: Mapping[str, str], faults: Faults) -> None:
        self.file, self.env, self.faults = file, env, faults
        self._parsed: dict[str, Node] = {}

    def row(self, names: list[str], written: str, line: int, separator: str) -> Node:
        cells = self.cells(written, line, separator)
        if len(cells) > len(names):
            extra = Place(self.file, line, cells[len(names)][1])
            self.faults.add(
                extra, "", f"this line has {len(cells)} cells, the header {len(names)}", "put a cell that holds a separator in quotes"
            )
        entries = {}
        for name, (text, column) in zip(names, cells, strict=False):
            if stripped := text.strip():
                entries[name] = self.cell(name, stripped, Place(self.file, line, column))
        return Node(entries, Place(self.file, line, 1))

    def cells(self, written: str, line: int, separator: str) -> list[tuple[str, int]]:
        """The cells of a line and the columns where they begin."""
        if '"' not in written:
            column, found = 1, []
            for text in written.split(separator):
                found.append((text, column))
                column += len(text) + 1
            return found
        return self._quoted(written, line, separator)

    def _quoted(self, written: str, line: int, separator: str) -> list[tuple[str, int]]:
        found, at = list[tuple[str, int]](), 0
        pattern = re.compile(rf'\s*"((?:[^"]|"")*)"\s*(?={re.escape(separator)}|$)|([^{re.escape(separator)}]*)')
        while at <= len(written):
            match = pattern.match(written, at)
            assert match is not None  # the second branch matches anything
            if match[1] is None and '"' in match[2]:
                self.faults.add(
                    Place(self.file, line, at + 1), "", "a quote is not closed in this line", 'write "..." with "" for a quote inside'
                )
                return found
            found.append((match[2] if match[1] is None else match[1].replace('""', '"'), at + 1))
            at = match.end() + 1
        return found

    def cell(self, name: str, text: str, place: Place) -> Node:
        if name in _VERBATIM or text[0] not in "[{\"'":
            return self._scalar(name, text, place)
        if _PLAIN_LIST.fullmatch(text):  # a range, nearly always
            return Node([self._scalar("", part.strip(), place) for part in text[1:-1].split(",")], place)
        known = self._parsed.get(text)
        if known is not None:
            return _moved(known, place)
        parsed = parse(text, self.file, self.env, inner := Faults())
        for fault in inner.found:
            self.faults.add(place, name, fault.why, fault.hint)
        node = Node(BROKEN, place, text) if parsed is None else _moved(parsed, place)
        if parsed is not None and not inner.found:
            self._parsed[text] = parsed
        return node

    def _scalar(self, name: str, text: str, place: Place) -> Node:
        origin = ""
        if "${" in text:
            expanded = expand(text, place, name, self.env, self.faults)
            if expanded is None:
                return Node(BROKEN, place, text)
            text, origin = expanded
        return Node(text if name in _VERBATIM else resolve(text), place, text, origin)


def _moved(node: Node, place: Place) -> Node:
    """The same value with every part of it standing in the cell."""
    value: object = node.value
    if isinstance(value, dict):
        value = {key: _moved(child, place) for key, child in node.map.items()}
    elif isinstance(value, list):
        value = [_moved(child, place) for child in node.list]
    return Node(value, place, node.text, node.origin)
