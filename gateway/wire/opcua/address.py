"""Addresses of nodes as people write them: `nsu=<namespace uri>;s=<identifier>[<element>]` (Part 6, 5.1.12, with the uri spelled out)."""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import Final

import numpy as np

_ADDRESS: Final = re.compile(r"(?:nsu=(?P<uri>[^;]*);)?(?P<kind>[sigb])=(?P<identifier>.*?)(?:\[(?P<element>\d{1,9})\])?", re.DOTALL)
_INDEX: Final = re.compile(r"\s*ns=\d+;")
_HINT: Final = 'write "nsu=<namespace uri>;s=<identifier>", or i=, g=, b=; "[3]" at the end means an element of an array'


@dataclass(frozen=True, slots=True)
class Address:
    """A node by its namespace's uri ("" = the standard's own) and identifier; element = index into its array, -1 for the whole value."""

    uri: str
    identifier: int | str | uuid.UUID | bytes
    element: int = -1

    def __str__(self) -> str:
        match self.identifier:
            case int():
                text = f"i={self.identifier}"
            case uuid.UUID():
                text = f"g={self.identifier}"
            case bytes():
                text = f"b={base64.b64encode(self.identifier).decode()}"
            case _:
                text = f"s={self.identifier}"
        return (f"nsu={self.uri};" if self.uri else "") + text + (f"[{self.element}]" if self.element >= 0 else "")


def parse(text: str) -> Address:
    """Raises ValueError with a hint. A bare namespace index is refused: the server may number its namespaces anew at each start."""
    if _INDEX.match(text):
        raise ValueError(f"{text!r} names the namespace by an index, which is not stable: {_HINT}; `edgetwin browse` prints it")
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or not match["identifier"]:
        raise ValueError(f"{text!r} is no node: {_HINT}")
    element = int(match["element"]) if match["element"] is not None else -1
    return Address(match["uri"] or "", _identifier(match["kind"], match["identifier"]), element)


def _identifier(kind: str, text: str) -> int | str | uuid.UUID | bytes:
    try:
        match kind:
            case "i":
                return int(np.uint32(int(text)))
            case "g":
                return uuid.UUID(text)
            case "b":
                return base64.b64decode(text, validate=True)
            case _:
                return text
    except (ValueError, OverflowError, binascii.Error) as fault:
        raise ValueError(f"{kind}={text}: {fault}; {_HINT}") from fault
