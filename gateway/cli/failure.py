"""How a verb ends: 0 done, 1 failed at run time, 2 wrong usage or configuration, 3 the other side could not be reached."""

from typing import Final

FAILED: Final = 1
WRONG: Final = 2
UNREACHABLE: Final = 3


class Failure(Exception):
    """A verb cannot go on: said on stderr, with a hint on what to do, and the process ends with code.

    status: the StatusCode's name where the gateway refused a command.
    """

    def __init__(self, code: int, why: str, hint: str = "", status: str = "") -> None:
        super().__init__(why)
        self.code, self.why, self.hint, self.status = code, why, hint, status
