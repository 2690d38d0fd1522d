"""How old something is, although the wall clock is set now and then. Pure: times come in, ages go out.

A clock that was years behind (no battery, no network) and is set right must not make all that was noted before look years old; nor must one
that is briefly ahead. So a stretch of time before a jump forward is remembered together with the jump, and ages are taken without it.
A stretch in which the gateway was off for more than a day counts like one: what waits is not given up for it.
"""

import json
from dataclasses import astuple, dataclass, replace
from typing import Final

JUMP_NS: Final = 86_400 * 10**9  # less is an ordinary correction, or a restart
MOST: Final = 100
_ALWAYS: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class Era:
    """Times noted from start_ns to end_ns are behind the present clock by that much."""

    start_ns: int
    end_ns: int
    behind_ns: int


class Ages:
    """Tell it both clocks every few seconds; `eras` is what must survive a restart."""

    def __init__(self, text: str | None, newest_ns: int | None, now_ns: int, elapsed_ns: int) -> None:
        """text as `dump` wrote it; newest_ns: the newest time that is known from before the start."""
        self.eras: tuple[Era, ...] = tuple(Era(*row) for row in json.loads(text or "[]"))
        self._since_ns = _ALWAYS
        self._now_ns, self._elapsed_ns = now_ns if newest_ns is None else newest_ns, elapsed_ns
        self.unsaved = False
        self.observe(now_ns, elapsed_ns)

    def observe(self, now_ns: int, elapsed_ns: int) -> None:
        """now_ns of the wall clock, elapsed_ns of one that nobody sets."""
        until_ns = self._now_ns + elapsed_ns - self._elapsed_ns
        jump_ns = now_ns - until_ns
        self._now_ns, self._elapsed_ns = now_ns, elapsed_ns
        if abs(jump_ns) < JUMP_NS:
            return
        eras = [replace(era, behind_ns=era.behind_ns + jump_ns) for era in self.eras]
        eras.append(Era(self._since_ns, until_ns + jump_ns // 2, jump_ns))  # sources whose clocks were right go on in between
        self._since_ns = now_ns
        self.eras = tuple(_joined([era for era in eras if era.behind_ns >= JUMP_NS]))
        self.unsaved = True

    def forget(self, age_ns: int) -> None:
        """Eras of which all is older than that."""
        kept = tuple(era for era in self.eras if self._now_ns - era.end_ns - era.behind_ns <= age_ns)
        self.unsaved |= kept != self.eras
        self.eras = kept

    def of(self, at_ns: int) -> int:
        """Age in ns of something noted then, as the last `observe` saw the clock; the smallest where eras overlap."""
        behind = max((era.behind_ns for era in self.eras if era.start_ns <= at_ns <= era.end_ns), default=0)
        return self._now_ns - at_ns - behind

    def older(self, age_ns: int, at_ns: int) -> bool:
        return self.of(at_ns) > age_ns

    def dump(self) -> str:
        return json.dumps([astuple(era) for era in self.eras])


def _joined(eras: list[Era]) -> list[Era]:
    """Bounded: a clock that begins anew at every start makes eras of about the same times, and those become one."""
    out: list[Era] = []
    for era in sorted(eras, key=lambda era: era.start_ns):
        if out and out[-1].start_ns != _ALWAYS and era.start_ns <= out[-1].end_ns:
            out[-1] = Era(out[-1].start_ns, max(out[-1].end_ns, era.end_ns), max(out[-1].behind_ns, era.behind_ns))
        else:
            out.append(era)
    return sorted(out, key=lambda era: era.end_ns)[-MOST:]
