"""Manual input: it wins over the source until it is released; meanwhile the newest sample of the source is kept aside."""

from dataclasses import dataclass, replace

import numpy as np

from gateway.engine.where import ALWAYS, NEVER
from gateway.model.quality import BAD


@dataclass(frozen=True, slots=True)
class Held:
    """What the source of an overridden tag says. gate_ns and made as the twin's columns."""

    value: float
    status: int
    source_ns: int
    gate_ns: int
    made: bool
    text: str | None = None

    def newer(self, value: float, status: int, source_ns: int, text: str | None) -> "Held":
        """With one more sample: the newest counts; a Bad one keeps the value."""
        if source_ns <= self.gate_ns:
            return self
        kept = self.value if status >= BAD else value
        return Held(kept, status, source_ns, source_ns, False, self.text if text is None else text)

    def marked(self, status: int) -> "Held":
        """With the gateway's word on its link."""
        return replace(self, status=status, made=True, gate_ns=ALWAYS)

    def unordered(self) -> "Held":
        """With the order of samples to be learned anew; that of a derived tag has none."""
        return self if self.gate_ns == NEVER else replace(self, gate_ns=ALWAYS)

    def computed(self, value: float, status: int, source_ns: int) -> "Held":
        """With one more result of a derived tag."""
        return replace(self, value=self.value if np.isnan(value) else value, status=status, source_ns=source_ns)
