"""What a large request left behind goes back to the system, once in a while."""

import ctypes
import os
import subprocess
import sys

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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="this C library has no arenas")
def test_threads_share_two_arenas():
    code = """
import ctypes, os, threading
from gateway.heap import few_arenas
few_arenas()
begun, held = threading.Barrier(8), []
def work():
    held.append(bytes(20_000))
    begun.wait()
threads = [threading.Thread(target=work) for _ in range(7)]
for thread in threads: thread.start()
begun.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
    environment = {name: text for name, text in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment)
    assert 1 <= told.stdout.count("<heap nr=") <= 2
