"""A small plant, and stores on a fresh directory."""

import numpy as np
import pytest

from gateway.model.batch import Origin
from gateway.model.tag import DERIVED, Tag, TagTable, TagType
from gateway.model.update import Columns
from gateway.store.config import StoreConfig
from gateway.store.store import Step, Store

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000

TAGS = TagTable.of(
    [
        Tag(0, "line.temp", "plc"),
        Tag(1, "line.speed", "plc"),
        Tag(2, "line.recipe", "plc", type=TagType.TEXT),
        Tag(3, "line.double", DERIVED),
    ]
)


def columns(tag_id, value, source_ns, status=0, text=None):
    ids = np.asarray(tag_id, np.int32)
    return Columns(
        ids,
        np.asarray(value, np.float64),
        np.broadcast_to(np.asarray(status, np.uint32), ids.shape).copy(),
        np.asarray(source_ns, np.int64),
        text or {},
    )


NONE = columns([], [], [])


def step(tag_id, value, source_ns, *, status=0, text=None, now_ns=NOW, origin=Origin.SOURCE, late=NONE):
    return Step(now_ns, origin, columns(tag_id, value, source_ns, status, text), late)


class Elapsed:
    """A monotonic clock in a test's hands."""

    def __init__(self):
        self.ns = 5 * SECOND

    def __call__(self):
        return self.ns


@pytest.fixture
def elapsed():
    return Elapsed()


@pytest.fixture
async def open_store(tmp_path, elapsed):
    """Opens stores on one directory; those that a test leaves open are closed."""
    opened = []

    async def open_(tags=TAGS, config=None, path=tmp_path, now_ns=NOW):
        store = await Store.open(path, config or StoreConfig(), tags, now_ns, elapsed)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store):
    return await open_store()
