"""Methods as their owner declares them (Part 3, 5.7; Part 4, 5.11). Plain values: the Call service is in `call`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.model.command import Caller

if TYPE_CHECKING:
    from gateway.wire.opcua.face import Content, Key


@dataclass(frozen=True, slots=True)
class Argument:
    """Part 3, 8.6. data_type is of namespace 0: a built-in type, a simple subtype of one (Duration), or 24 for any scalar.

    usual: the callee has a value of its own for it, which a null stands for; and since it is a number, every type of numbers is taken.
    """

    name: str
    data_type: int
    array: bool
    description: str
    usual: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """One operation of a Call. inputs fit the arguments in number and type; None is a null value.

    session: the client's, for the server's own methods.
    """

    caller: Caller
    owner: "Key"
    inputs: "tuple[Content, ...]"
    session: Any = None


class MethodRefused(Exception):
    """The operation's StatusCode; inputs: one StatusCode per input argument, where one of them is to blame."""

    def __init__(self, status: int, inputs: tuple[int, ...] = ()) -> None:
        super().__init__(f"0x{status:08X}")
        self.status, self.inputs = status, inputs


@dataclass(frozen=True, slots=True)
class Method:
    """run answers with the output arguments, or raises MethodRefused. permission: who may call it, "" = everybody.

    together: run does its work before it waits for anything, so that operations may begin before those in front of them have ended.
    """

    name: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    permission: str
    run: "Callable[[Invocation], Awaitable[tuple[Content, ...]]]"
    description: str = ""
    together: bool = False
