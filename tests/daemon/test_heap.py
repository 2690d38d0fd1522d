"""What a large request left behind goes back to the system, once in a while."""

import ctypes

import pytest

from gateway import heap
from gateway.heap import Heap, resident_bytes


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library gives memory back by itself, or never")
def test_memory_that_was_freed_is_given_back(monkeypatch):
    blocks = [bytes(2000) for _ in range(60_000)]
    del blocks[:-1]  # the last one holds the heap's end
    before, one = resident_bytes(), Heap()
    one.look()
    assert resident_bytes() > before - 10 * 2**20  # not so soon
    monkeypatch.setattr(heap, "_EVERY_S", 0.0)
    one.look()
    assert resident_bytes() < before - 50 * 2**20
