"""What a command says to be kept secret: it is done with, and never written down."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.model.command import Command

SECRETS: Final = frozenset({"password", "present", "secret", "token", "key"})
HIDDEN: Final = "***"
_DEEP: Final = 8


def redacted(command: Command) -> Command:
    """The command as the audit and every log may see it. By the names of the arguments, so that a mistyped command tells nothing either."""
    return replace(command, args=_hidden(command.args, _DEEP))


def _hidden(value: Any, deep: int) -> Any:
    if isinstance(value, Mapping):
        return {name: HIDDEN if str(name).casefold() in SECRETS or not deep else _hidden(of, deep - 1) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(of, deep - 1) for of in value] if deep else HIDDEN
    return value
