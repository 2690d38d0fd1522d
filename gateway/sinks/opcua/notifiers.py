"""Who reports whose events (Part 3, 4.7.2, 7.16 and 7.17): Server -> asset tree -> folders -> tags that have conditions."""

from collections.abc import Sequence
from typing import Final

from gateway.contracts import TwinView
from gateway.model.alarm import SYSTEM_TAG
from gateway.model.tag import TagTable
from gateway.sinks.opcua.condition_fields import GATEWAY
from gateway.sinks.opcua.nodes import FOLDER_TYPE, HAS_NOTIFIER, ROOT, tag_target
from gateway.wire.opcua.face import Key, Node, NodeClass, Reference, Target
from gateway.wire.opcua.methods import Method

HAS_EVENT_SOURCE: Final = 36
_SERVER_TYPE: Final = 2004
_SERVER: Final = Target(2253, NodeClass.OBJECT, "Server", _SERVER_TYPE, standard=True)


class Notifiers:
    """An Annex without nodes of its own: the references by which clients find where they may listen. root: of the asset tree."""

    def __init__(self, view: TwinView, root: Target) -> None:
        self._view, self._root = view, root
        self._table: TagTable | None = None
        self._folders: dict[str, set[str]] = {}  # folder -> folders in it below which there are conditions
        self._tags: dict[str, list[int]] = {}  # folder -> tags in it that have conditions

    def node(self, key: str) -> Node | None:  # noqa: ARG002 an Annex
        return None

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:
        """Of a folder, a tag, or the gateway's own object."""
        key = str(node.target.key)
        tag = self._view.tags.named(key)
        if tag is not None:
            above = self._target(key.rpartition(".")[0] or ROOT)
            return [Reference(HAS_EVENT_SOURCE, False, above)] if self._view.rules_of(tag.tag_id) else ()
        if key == GATEWAY:
            return [Reference(HAS_NOTIFIER, False, _SERVER)]
        return self._of_folder(key) if node.target.type_definition == FOLDER_TYPE else ()

    def _of_folder(self, path: str) -> Sequence[Reference]:
        self._grow()
        tags = self._view.tags
        if path != ROOT and path not in self._folders:
            return ()
        above = _SERVER if path == ROOT else self._target(path.rpartition(".")[0] or ROOT)
        return [
            Reference(HAS_NOTIFIER, False, above),
            *(Reference(HAS_NOTIFIER, True, self._target(folder)) for folder in sorted(self._folders.get(path, ()))),
            *(Reference(HAS_EVENT_SOURCE, True, tag_target(tags[tag_id])) for tag_id in self._tags.get(path, ())),
        ]

    def _target(self, path: str) -> Target:
        return self._root if path == ROOT else Target(path, NodeClass.OBJECT, path.rpartition(".")[2], FOLDER_TYPE)

    def _grow(self) -> None:
        """Anew whenever the table is another one."""
        tags = self._view.tags
        if tags is self._table:
            return
        self._folders, self._tags, self._table = {}, {}, tags
        for tag_id in self._view.ruled():
            if tag_id == SYSTEM_TAG:
                continue
            folder = tags[tag_id].name.rpartition(".")[0] or ROOT
            self._tags.setdefault(folder, []).append(tag_id)
            while folder not in self._folders:
                self._folders[folder] = set()
                folder = folder.rpartition(".")[0] or ROOT
        for folder in self._folders:
            if folder != ROOT:
                self._folders[folder.rpartition(".")[0] or ROOT].add(folder)
