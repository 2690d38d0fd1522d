"""The nodes of namespace 0 (Part 5), read one by one from an indexed file instead of being built at every start.

`build_standard_nodes(path)` writes the file once, in the standard's own binary encoding (Part 6, 5.2); `StandardNodes` looks nodes up in
it. A start then costs
an mmap; only what a client asks for is decoded. Run as `python -m gateway.wire.opcua.standard PATH` it is a process of its own, so that
the memory of the full address space goes away with it.
"""

import asyncio
import importlib.util
import mmap
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.internal_server import InternalServer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.contracts import NotConnected
from gateway.wire.opcua.terms import node_id

_MAGIC: Final = b"ETNS0001"
_HEAD: Final = struct.Struct("<8sI")
_INDEX: Final = np.dtype([("id", "<u4"), ("offset", "<u4"), ("length", "<u4")])
_KEPT: Final = 512  # decoded nodes kept: enough for one client's walk through the types, a few hundred kB
_BUILD_S: Final = 60.0
_PART_OF: Final = frozenset((46, 47))  # HasProperty, HasComponent


def file_name() -> str:
    """The file's name carries the version of the library that wrote it: another version never reads it."""
    return f"opcua-standard-{version('asyncua')}.bin"


def build_standard_nodes(path: Path) -> None:
    """Write every standard node to path, whole or not at all. Takes about a second and 100 MB; OSError where path cannot be written."""
    nodes = asyncio.run(_all_nodes())
    blobs = [(nodeid, _encode(node)) for nodeid, node in sorted(nodes.items())]
    index = np.zeros(len(blobs), _INDEX)
    offset = _HEAD.size + index.nbytes
    for place, (nodeid, blob) in enumerate(blobs):
        index[place] = (nodeid, offset, len(blob))
        offset += len(blob)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(_HEAD.pack(_MAGIC, len(blobs)) + index.tobytes() + b"".join(blob for _, blob in blobs))
    part.replace(path)


async def standard_file(cache: Path) -> Path:
    """Where the file lies: in the package, where the wheel's build put it, else beside the compiled code, else in the cache folder.

    Where it is nowhere it is written now, to one of these places that may be written. Raises NotConnected when it can be neither
    found nor written: a server without its types is none.
    """
    package = Path(__file__).parent
    compiled = Path(importlib.util.cache_from_source(__file__)).parent
    places = [package / file_name(), compiled / file_name(), cache / file_name()]
    for place in places:
        if await asyncio.to_thread(place.is_file):
            return place
    beside_code = not sys.dont_write_bytecode and os.access(compiled, os.W_OK)
    path = places[1] if beside_code else places[2]
    await _build_apart(path)
    return path


async def _build_apart(path: Path) -> None:
    builder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.wire.opcua.standard", str(await asyncio.to_thread(path.absolute))),
        cwd=Path(__file__).parents[3],  # where the package is found, wherever the daemon was started
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        _, said = await asyncio.wait_for(builder.communicate(), _BUILD_S)
    except TimeoutError as late:
        builder.kill()
        raise NotConnected(f"the OPC UA standard nodes were not written to {path} within {_BUILD_S:.0f} s") from late
    if builder.returncode != 0:
        raise NotConnected(f"the OPC UA standard nodes cannot be written to {path}: {said.decode(errors='replace')[-300:]}")


class StandardNodes:
    """Namespace 0 by numeric identifier. A decoded node may be forgotten and decoded anew: who changes one must `pin` it.

    without: nodes that are not there, with all their parts and with the references that lead to them.
    """

    def __init__(self, path: Path, without: frozenset[int] = frozenset()) -> None:
        self._without = without
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, count = _HEAD.unpack_from(self._map) if len(self._map) > _HEAD.size else (b"", 0)
        if magic != _MAGIC or len(self._map) < _HEAD.size + count * _INDEX.itemsize:
            raise ValueError(f"{path} is not a file of standard nodes; delete it, it is made anew")
        self._index = np.frombuffer(self._map, _INDEX, count, _HEAD.size)
        self._ids = self._index["id"].copy()
        self._pinned: dict[int, NodeData] = {}
        self._recent: OrderedDict[int, NodeData] = OrderedDict()
        self.prepare: Callable[[], None] | None = None  # called before the first node is looked at

    def __len__(self) -> int:
        return self._ids.size

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids.tolist())

    def __contains__(self, identifier: int) -> bool:
        return self._place(identifier) is not None and (not self._without or self.get(identifier) is not None)

    def get(self, identifier: int) -> NodeData | None:
        """The node, or None. What is returned is shared: read it only."""
        if self.prepare is not None:
            prepare, self.prepare = self.prepare, None
            prepare()
        node = self._pinned.get(identifier) or self._recent.get(identifier)
        if node is not None:
            return node
        place = self._place(identifier)
        if place is None or identifier in self._without:
            return None
        _, offset, length = self._index[place].tolist()
        node = _decode(identifier, self._map[offset : offset + length])
        if self._without:
            owners = _owners(node)
            if owners and all(self.get(owner) is None for owner in owners):
                return None
            node.references = [one for one in node.references if one.NodeId.Identifier not in self._without]
        self._recent[identifier] = node
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return node

    def pin(self, identifier: int) -> NodeData:
        """The node, kept from now on, so that it may be changed. KeyError where there is none."""
        node = self.get(identifier)
        if node is None:
            raise KeyError(identifier)
        self._recent.pop(identifier, None)
        self._pinned[identifier] = node
        return node

    def _place(self, identifier: int) -> int | None:
        place = int(np.searchsorted(self._ids, identifier)) if 0 <= identifier < 2**32 else self._ids.size
        return place if place < self._ids.size and self._ids[place] == identifier else None


def _owners(node: NodeData) -> list[int]:
    """What a node is a part of: the other ends of its HasComponent and HasProperty."""
    return [
        cast("int", one.NodeId.Identifier) for one in node.references if not one.IsForward and one.ReferenceTypeId.Identifier in _PART_OF
    ]


async def _all_nodes() -> dict[int, NodeData]:
    server = InternalServer()
    await server.load_standard_address_space()
    await server._address_space_fixes()
    return {cast("int", nodeid.Identifier): node for nodeid, node in server.aspace._nodes.items()}


def _encode(node: NodeData) -> bytes:
    parts = [bytes([len(node.attributes)])]
    for attribute, held in node.attributes.items():
        parts += [bytes([int(attribute)]), struct_to_binary(held.value)]
    parts += [struct.pack("<I", len(node.references)), *(struct_to_binary(reference) for reference in node.references)]
    return b"".join(parts)


def _decode(identifier: int, blob: bytes) -> NodeData:
    data = Buffer(blob)
    node = NodeData(node_id(identifier))
    for _ in range(data.read(1)[0]):
        attribute = ua.AttributeIds(data.read(1)[0])
        node.attributes[attribute] = AttributeValue(struct_from_binary(ua.DataValue, data))
    (count,) = struct.unpack("<I", data.read(4))
    node.references = [struct_from_binary(ua.ReferenceDescription, data) for _ in range(count)]
    return node


if __name__ == "__main__":
    build_standard_nodes(Path(sys.argv[1]))
