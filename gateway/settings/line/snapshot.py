"""config_snapshot.yaml: a resolved line as one file that names no other one, and reads back to the same line."""

from pathlib import Path
from typing import Any, Final

import yaml

from gateway.model.line import Line
from gateway.model.line_document import document, line_of
from gateway.settings.document import parse
from gateway.settings.faults import Faults, Place
from gateway.settings.files import YAML_BYTES
from gateway.settings.line.constants import lacking
from gateway.settings.node import Node, resolve

FORMAT: Final = 1
HEAD: Final = """# The whole configuration of one run, frozen: references followed, constants, defaults and overrides in place.
# `edgetwin line simulate` runs from this file alone, and refuses it once it was changed: change the tree, and configure again.
"""


def dump(line: Line) -> str:
    """The text of a snapshot; equal lines give equal texts."""
    content = {"format": FORMAT, "line": _escaped(document(line))}
    return HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def load_snapshot(text: str, path: Path) -> Line:
    """The line of a snapshot. Raises SettingsError where it holds none."""
    faults = Faults()
    place = Place(str(path), 1, 1)
    root = parse(text or "{}", str(path), {}, faults, lacking({}))
    if root is not None:
        form, content = root.map.get("format"), root.map.get("line")
        if form is None or form.value != FORMAT or isinstance(form.value, bool):
            shown = "is missing" if form is None else f"{form.text} is not a format that this version reads"
            faults.add(place if form is None else form.place, "format", shown, f"`edgetwin line configure` writes format: {FORMAT}")
        elif content is None or not isinstance(content.value, dict):
            faults.add(place, "line", "is missing")
        elif not faults.fatal:
            try:
                return line_of(_plain(content))
            except ValueError as error:
                faults.add(content.place, "", str(error))
    faults.check()
    raise AssertionError  # a text without a line left a fault


def _plain(node: Node) -> Any:
    """Values alone."""
    if isinstance(node.value, dict):
        return {name: _plain(inner) for name, inner in node.map.items()}
    return [_plain(inner) for inner in node.list] if isinstance(node.value, list) else node.value


def _escaped(value: Any) -> Any:
    """Texts with `${` written so that they are read as they stand."""
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Quotes each text that would be read as something else (YAML 1.2 as gateway.settings.node reads it)."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if resolve(text) == text else '"')
    return node


_Dumper.add_representer(str, _text)
MOST_BYTES: Final = YAML_BYTES
