"""Which rows were made while the present connection stood, by their time alone, though the clock may be set back meanwhile. Pure."""

from typing import Final

_MOST: Final = 100  # stretches; the oldest are forgotten
_PAUSE_NS: Final = 10 * 10**9  # nothing for so long, or a clock set forward: a new stretch


class Span:
    """Stretches of creation times: one as long as the clock runs on, one more for each time that it was set or nothing was made."""

    def __init__(self) -> None:
        self._stretches: list[tuple[int, int]] = []

    def note(self, created_ns: int) -> None:
        """A row was made."""
        first_ns, last_ns = self._stretches[-1] if self._stretches else (0, -1)
        if first_ns <= created_ns <= last_ns + _PAUSE_NS and self._stretches:
            self._stretches[-1] = (first_ns, max(last_ns, created_ns))
            return
        self._stretches.append((created_ns, created_ns))
        del self._stretches[:-_MOST]

    def __contains__(self, created_ns: int) -> bool:
        return any(first_ns <= created_ns <= last_ns for first_ns, last_ns in reversed(self._stretches))
