"""What a command says to be kept secret: it is done with, and never written down."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.model.command import Command

SECRETS: Final = frozenset({"password", "present", "secret", "token", "key"})
HIDDEN: Final = "***"
LONGEST: Final = 64 * 1024  # characters of arguments that are written down whole
LONGEST_REFUSED: Final = 4 * 1024  # and of a command that was not done: a stranger may send a megabyte
_BEGINS: Final = 1000
_DEEP: Final = 8


def redacted(command: Command, longest: int = LONGEST) -> Command:
    """The command as the audit and every log may see it. By the names of the arguments, so that a mistyped command tells nothing either."""
    hidden = _hidden(command.args, _DEEP)
    text = json.dumps(hidden, default=str)
    return replace(command, args=hidden if len(text) <= longest else {"begins": text[:_BEGINS], "characters": len(text)})


def _hidden(value: Any, deep: int) -> Any:
    if isinstance(value, Mapping):
        return {name: HIDDEN if str(name).casefold() in SECRETS or not deep else _hidden(of, deep - 1) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(of, deep - 1) for of in value] if deep else HIDDEN
    return value
