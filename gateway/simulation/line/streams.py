"""The chance of a line: one stream of random numbers per replication, owner (a machine, a source, an edge) and purpose.

An event that strikes a part with a fixed probability is drawn as the number of parts until it strikes next (geometric), not as a coin for
each part: both the discrete events and the recursion over parts count down, so that they meet the same events on the same numbers, and
scenarios under one seed meet the same chance machine by machine (common random numbers), whatever else they change: streams are keyed by
name, never by place.

Streams: NumPy's SeedSequence (O'Neill's seed_seq_fe), keyed by seed, owner, purpose and the block of replications; generator SFC64.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK: Final = 256  # replications that share one SeedSequence, which is the costly part of a stream
_WORDS: Final = 3  # 64-bit words that seed one SFC64


class Purpose(IntEnum):
    """What a stream is drawn for. The numbers are part of what a seed means: never change one."""

    CYCLE = 1  # one per execution: its time
    FAILURE = 2  # one per failure: operating (or calendar) time until it
    REPAIR = 3  # one per failure: how long
    JAM = 4  # one per microstop: parts until it
    JAM_TIME = 5  # one per microstop: how long
    DEFECT = 6  # one per defect: parts until it
    DETECT = 7  # one per defective part inspected: found or missed
    ROUTE = 8  # one per part that has a choice of ways by share
    ARRIVAL = 9  # one per part of a source: time since the one before
    REWORK = 10  # one per part reworked: mended or not
    CHANGEOVER = 11  # one per change of product: how long
    MAINTENANCE = 12  # one per planned stop: how long


class _Words(ISeedSequence):
    """Seed words that are ready."""

    def __init__(self, words: NDArray[Any]) -> None:
        self._words = words

    def generate_state(self, _n_words: int, _dtype: Any = np.uint32) -> NDArray[Any]:
        return self._words


@lru_cache(maxsize=512)
def _seeds(seed: int, key: int, purpose: int, block: int) -> NDArray[Any]:
    """(BLOCK, _WORDS) of one block of replications: kept, since single runs ask for the same block again and again."""
    sequence = np.random.SeedSequence(seed, spawn_key=(key, purpose, block))
    return sequence.generate_state(BLOCK * _WORDS, np.uint64).reshape(BLOCK, _WORDS)


def generator(seed: int, replication: int, owner: str, purpose: Purpose) -> np.random.Generator:
    """The stream of that purpose; its draws come in the order in which the owner needs them."""
    return next(iter(generators(seed, (replication,), owner, purpose)))


def generators(seed: int, replications: Iterable[int], owner: str, purpose: Purpose) -> Iterator[np.random.Generator]:
    """One stream for each replication (numbers from 0 on, best in order)."""
    key, block = crc32(owner.encode()), -1
    words: NDArray[Any] = np.zeros((0, _WORDS), np.uint64)
    for replication in replications:
        if replication // BLOCK != block:
            block = replication // BLOCK
            words = _seeds(seed, key, int(purpose), block)
        ready: Any = _Words(words[replication % BLOCK])  # NumPy's stubs know SeedSequence alone, its code any ISeedSequence
        yield np.random.Generator(np.random.SFC64(ready))


def gaps(exponentials: Array, probability: float) -> Array:
    """Parts until the next event (1 = the very next part), where each part is struck with that probability in (0, 1].

    exponentials: standard exponential draws; the inverse of the geometric distribution on them, so that a higher probability never
    makes an event come later.
    """
    return np.ones_like(exponentials) if probability >= 1.0 else 1.0 + np.floor(exponentials / -np.log1p(-probability))


def one_by_one(draw: Callable[[int], Array], block: int = 64) -> Iterator[float]:
    """Endless draws, made in blocks; the block's size changes no number."""
    while True:
        yield from draw(block).tolist()
