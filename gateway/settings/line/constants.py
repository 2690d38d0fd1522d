"""Named constants: constants.yaml says each once, and `${NAME}` puts it into any value of the tree, a number as a number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.settings.document import Lack, expand, names, parse
from gateway.settings.faults import Faults, Place, nearest
from gateway.settings.files import YAML_BYTES, read_text
from gateway.settings.node import BROKEN, Node

FILE: Final = "constants.yaml"


def lacking(known: Mapping[str, object]) -> Lack:
    """What to say of a name that is none of these."""
    return lambda name: (f"there is no constant {name}", nearest(name, known) if known else f"{FILE} gives each as NAME: value")


def read_constants(folder: Path, faults: Faults) -> dict[str, str]:
    """The text of each constant, those that name other ones in place. Lists what is no plain value, unknown, or names itself."""
    path = folder / FILE
    if not path.is_file():
        return {}
    text = read_text(path, YAML_BYTES, Place(str(path), 1, 1), "", faults)
    if text is None:
        return {}
    given = parse(text or "{}", str(path), _Untouched(), faults)
    if given is None:
        return {}
    if not isinstance(given.value, dict):
        faults.add(given.place, "", f"should be a map of names, not {given.shape}", "write NAME: value")
        return {}
    resolution = _Resolution(given.map, faults)
    for name in given.map:
        resolution.work_out(name, ())
    return resolution.found


class _Untouched(dict[str, str]):
    """Leaves `${NAME}` as it stands, until all constants are known."""

    def get(self, name: str, _default: object = None) -> str:
        return f"${{{name}}}"


class _Resolution:
    """Constants by name, each worked out once."""

    def __init__(self, given: Mapping[str, Node], faults: Faults) -> None:
        self.found: dict[str, str] = {}
        self._given, self._faults = given, faults
        self._seen: set[str] = set()

    def work_out(self, name: str, way: tuple[str, ...]) -> None:
        """Those that it names first; way is how it was reached."""
        if name in way:
            path = " -> ".join((*way[way.index(name) :], name))
            self._faults.add(self._given[name].place, name, f"the constants name each other: {path}", "give one of them a value")
        if name in self._seen:
            return
        self._seen.add(name)
        node = self._given[name]
        if node.value is None or isinstance(node.value, dict | list):
            self._faults.add(node.place, name, f"a constant is a plain value, not {node.shape}")
        if node.value is None or node.value is BROKEN or isinstance(node.value, dict | list):
            return
        needed = [other for other in names(node.text) if other in self._given]
        for other in needed:
            self.work_out(other, (*way, name))
        if all(other in self.found for other in needed):
            expanded = expand(node.text, node.place, name, self.found, self._faults, lacking(self._given))
            if expanded is not None:
                self.found[name] = expanded[0]
