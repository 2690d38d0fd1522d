"""A store with a past, and the OPC UA server over it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from gateway.model.batch import Origin
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns
from gateway.store import maintenance
from gateway.store.commit import Step
from gateway.store.config import StoreConfig
from gateway.store.store import Commit, Store
from support.opcua_face import Face, opcua_face

SECOND = 1_000_000_000
NOON = 1_700_000_000 // 86_400 * 86_400 * SECOND + 12 * 3600 * SECOND
NONE = Columns(np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint32), np.empty(0, np.int64))


class Past:
    """store: the real one; face: the running server over it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.face: Face

    async def keep(self, tag_id, source_ns, value, status=0, text=None, *, every=10_000):
        """Samples of one tag, committed in pieces, in the order given."""
        source_ns = np.asarray(source_ns, np.int64)
        value = np.broadcast_to(np.asarray(value, np.float64), source_ns.shape)
        status = np.broadcast_to(np.asarray(status, np.uint32), source_ns.shape)
        for begin in range(0, source_ns.size, every):
            part = slice(begin, begin + every)
            words = {row - begin: word for row, word in (text or {}).items() if begin <= row < begin + every}
            ids = np.full(source_ns[part].size, tag_id, np.int32)
            rows = Columns(ids, value[part].copy(), status[part].copy(), source_ns[part], words)
            await self.store.commit(Commit([Step(int(source_ns[part][-1]), Origin.SOURCE, rows, NONE)], snapshot=b"s"))

    async def cut(self):
        """All that is in the tail goes into blocks."""
        await maintenance.cut(self.store._plant, 2)
        while await self.store._plant.run(maintenance._drop_tail):
            pass


@asynccontextmanager
async def past(tags: Sequence[Tag], folder: Path, **config) -> AsyncIterator[Past]:
    """A running server over a store of its own; `past.face.sink.url`."""
    store = await Store.open(folder, StoreConfig(), TagTable.of(tags), NOON)
    try:
        kept = Past(store)
        async with opcua_face(tags, history=store.history, events=store.journal, **config) as face:
            kept.face = face
            yield kept
    finally:
        await store.close()
