"""What is read of a command's arguments: a value of the right kind, or a refusal that names the argument."""

import sys
from collections.abc import Set as AbstractSet
from typing import Any, Final

from gateway.model import quality
from gateway.model.process import Change
from gateway.operations.door import Args, Refused

CHANGES: Final = 200
"""Names of one map."""
PAIRS: Final = 1000
"""Steps of one course."""
BAD_INVALID_ARGUMENT: Final = 0x80AB_0000


def allow(args: Args, known: AbstractSet[str]) -> None:
    """Refuses an argument that is not known."""
    if unknown := sorted(args.keys() - known):
        raise Refused(BAD_INVALID_ARGUMENT, f"there is no argument {unknown[0][:80]!r}; known: {', '.join(sorted(known))}")


def number(args: Args, key: str, usual: float) -> float:
    """A finite number; Refused for anything else."""
    found = maybe_number(args, key)
    return usual if found is None else found


def maybe_number(args: Args, key: str) -> float | None:
    value = args.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a number, got {str(value)[:80]!r}")
    if not _finite(value):
        raise Refused(quality.BAD_OUT_OF_RANGE, f"argument {key!r} is a finite number, got {str(value)[:80]}")
    return float(value)


def _finite(value: float) -> bool:
    """Also of a whole number that is too long for a float."""
    return abs(value) <= sys.float_info.max


def whole(args: Args, key: str) -> int | None:
    """A whole number from 0, where it is given; Refused for anything else."""
    value = args.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a whole number, got {str(value)[:80]!r}")
    if not 0 <= value < 2**63:
        raise Refused(quality.BAD_OUT_OF_RANGE, f"argument {key!r} is a whole number from 0, got {str(value)[:80]}")
    return value


def flag(args: Args, key: str) -> bool:
    """True or false, which it is without it; Refused for anything else."""
    value = args.get(key, False)
    if not isinstance(value, bool):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is true or false, got {str(value)[:80]!r}")
    return value


def numbers(args: Args, key: str) -> dict[str, float]:
    """A map of names to numbers, empty without it."""
    found = changes(args, key, courses=False)
    return {name: change for name, change in found.items() if isinstance(change, float)}


def texts(args: Args, key: str) -> dict[str, str]:
    """A map of names to texts, empty without it."""
    given = _map(args, key)
    for name, value in given.items():
        if not isinstance(value, str):
            raise Refused(quality.BAD_TYPE_MISMATCH, f"{key} {name[:80]!r} is a text, got {str(value)[:80]!r}")
    return given


def changes(args: Args, key: str = "parameters", *, courses: bool = True) -> dict[str, Change]:
    """A map of names to numbers or, with courses, to lists of [seconds, value]; empty without it."""
    found = dict[str, Change]()
    for name, value in _map(args, key).items():
        if value is None:
            raise Refused(quality.BAD_TYPE_MISMATCH, f"parameter {name[:80]!r} has no value")
        if courses and isinstance(value, list | tuple):
            found[name] = _course(name, value)
        else:
            found[name] = number({name: value}, name, 0.0)
    return found


def _course(name: str, value: list[Any] | tuple[Any, ...]) -> list[list[float]]:
    if not 1 <= len(value) <= PAIRS or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"the course of {name[:80]!r} is a list of 1 to {PAIRS} pairs [seconds, value]")
    if not all(isinstance(part, int | float) and not isinstance(part, bool) and _finite(part) for pair in value for part in pair):
        raise Refused(quality.BAD_TYPE_MISMATCH, f"the course of {name[:80]!r} has what is no finite number")
    return [[float(part) for part in pair] for pair in value]


def _map(args: Args, key: str) -> dict[str, Any]:
    given = args.get(key)
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > CHANGES:
        raise Refused(quality.BAD_TYPE_MISMATCH, f"argument {key!r} is a map of at most {CHANGES} names")
    return {str(name): value for name, value in given.items()}
