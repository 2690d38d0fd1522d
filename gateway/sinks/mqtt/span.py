"""Which rows were made while the present connection stood, by their time alone, though the clock may be set back meanwhile. Pure."""

from typing import Final

_MOST: Final = 100  # the clock was set back so often within one connection: the oldest stretches are forgotten


class Span:
    """Stretches of creation times: one as long as the clock runs on, one more for each time that it was set back before the last one."""

    def __init__(self) -> None:
        self._stretches: list[tuple[int, int]] = []

    def note(self, created_ns: int) -> None:
        """A row was made."""
        if self._stretches and created_ns >= self._stretches[-1][0]:
            first_ns, last_ns = self._stretches[-1]
            self._stretches[-1] = (first_ns, max(last_ns, created_ns))
            return
        self._stretches.append((created_ns, created_ns))
        del self._stretches[:-_MOST]

    def __contains__(self, created_ns: int) -> bool:
        return any(first_ns <= created_ns <= last_ns for first_ns, last_ns in self._stretches)
