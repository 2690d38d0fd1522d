"""The draws of one run, one stream per machine and purpose, handed out as plain calls."""

from collections.abc import Callable
from itertools import repeat

import numpy as np

from gateway.model.distribution import Distribution
from gateway.simulation.line.sampling import sample
from gateway.simulation.line.streams import Purpose, gaps, generator, one_by_one

Draw = Callable[[], float]


class Chance:
    """All chance of one replication under one seed. The places of one machine share its streams."""

    def __init__(self, seed: int, replication: int = 0) -> None:
        self.seed, self.replication = seed, replication
        self._made: dict[tuple[str, Purpose], Draw] = {}

    def times(self, owner: str, purpose: Purpose, distribution: Distribution, scale: float = 1.0) -> Draw:
        """Seconds, times `scale`."""
        if distribution.kind == "deterministic":
            return repeat(distribution.a * scale).__next__
        if scale == 1.0:
            return self._shared(owner, purpose, lambda stream: lambda n: sample(distribution, stream, n))
        return self._shared(owner, purpose, lambda stream: lambda n: sample(distribution, stream, n) * scale)

    def uniforms(self, owner: str, purpose: Purpose) -> Draw:
        """Between 0 and 1."""
        return self._shared(owner, purpose, lambda stream: stream.random)

    def counts(self, owner: str, purpose: Purpose, probability: float) -> Draw:
        """How many parts until the next one that is struck, itself counted."""
        return self._shared(owner, purpose, lambda stream: lambda n: gaps(stream.standard_exponential(n), probability))

    def stream(self, owner: str, purpose: Purpose) -> np.random.Generator:
        """For draws that are no whole stream, under an owner's name of its own."""
        return generator(self.seed, self.replication, owner, purpose)

    def _shared(self, owner: str, purpose: Purpose, block: Callable[[np.random.Generator], Callable[[int], np.ndarray]]) -> Draw:
        key = (owner, purpose)
        if key not in self._made:
            self._made[key] = one_by_one(block(generator(self.seed, self.replication, owner, purpose))).__next__
        return self._made[key]
