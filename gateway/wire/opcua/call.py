"""The Call service (Part 4, 5.11): which Method is meant, whether this client may call it, whether the arguments fit."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from gateway.model.command import Caller
from gateway.wire.opcua import limits
from gateway.wire.opcua.contents import content, fits, key_of
from gateway.wire.opcua.contents import variant as _variant
from gateway.wire.opcua.face import Builtin, Content, Face, Key, NodeClass, Reading, Text
from gateway.wire.opcua.methods import Argument, Invocation, Method, MethodRefused
from gateway.wire.opcua.terms import status_code

if TYPE_CHECKING:
    from gateway.wire.opcua.nodes import Nodes

_Codes: Final = ua.StatusCodes
_HAS_COMPONENT: Final = 47
_TYPE_CLASSES: Final = (ua.NodeClass.ObjectType, ua.NodeClass.VariableType)
Own = Mapping[tuple[int, int], Method]
"""(Object, Method) of namespace 0 -> what the server itself can do."""


class Calls:
    """The Method service set of one server."""

    def __init__(self, nodes: "Nodes", face: Face, own: Own) -> None:
        self._nodes, self._face, self._own = nodes, face, own
        self._bound = frozenset(method for _, method in own)

    async def call_all(self, wanted: Sequence[ua.CallMethodRequest], caller: Caller, session: Any) -> list[ua.CallMethodResult]:
        """The operations of one Call, in order. Those in a row whose Method allows it go side by side: one wait for the disk, not many."""
        results: list[ua.CallMethodResult] = []
        for together, group in groupby(wanted, self._together):
            if together:
                results += await asyncio.gather(*(self.call(one, caller, session) for one in group))
            else:
                results += [await self.call(one, caller, session) for one in group]
        return results

    def _together(self, wanted: ua.CallMethodRequest) -> bool:
        try:
            return self._method(wanted.ObjectId, wanted.MethodId).together
        except MethodRefused:
            return True

    async def call(self, wanted: ua.CallMethodRequest, caller: Caller, session: Any) -> ua.CallMethodResult:
        """One operation of a Call; never raises for what the client or the operation does wrong."""
        try:
            method = self._method(wanted.ObjectId, wanted.MethodId)
            outputs = await self._run(method, wanted, caller, session)
        except MethodRefused as refused:
            return ua.CallMethodResult(status_code(refused.status), [status_code(code) for code in refused.inputs], [], [])
        shown = [variant_of(argument, value) for argument, value in zip(method.outputs, outputs, strict=True)]
        return ua.CallMethodResult(ua.StatusCode(), [ua.StatusCode() for _ in method.inputs], [], shown)

    async def _run(self, method: Method, wanted: ua.CallMethodRequest, caller: Caller, session: Any) -> tuple[Content, ...]:
        """Raises MethodRefused."""
        if not self._allowed(method, caller):
            raise MethodRefused(_Codes.BadUserAccessDenied)
        owner = key_of(wanted.ObjectId)
        assert owner is not None
        return await method.run(Invocation(caller, owner, checked_inputs(method.inputs, wanted.InputArguments or []), session))

    def executable(self, nodeid: ua.NodeId) -> bool | None:
        """The attribute Executable (Part 3, 5.7); None for what is no Method. A Method in a type says what its instances can."""
        own = self._nodes.own(nodeid)
        if own is not None:
            return True if own.method is not None else None
        if not self._is_method(nodeid):
            return None
        return nodeid.Identifier in self._bound or self._in_type(nodeid)

    def user_executable(self, nodeid: ua.NodeId, caller: Caller) -> bool | None:
        """The attribute UserExecutable, likewise."""
        own = self._nodes.own(nodeid)
        if own is not None and own.method is not None:
            return self._allowed(own.method, caller)
        executable = self.executable(nodeid)
        methods = [method for (_, number), method in self._own.items() if number == nodeid.Identifier]
        return executable and all(self._allowed(method, caller) for method in methods)

    def _allowed(self, method: Method, caller: Caller) -> bool:
        return not method.permission or self._face.allowed(caller, method.permission)

    def _method(self, owner: ua.NodeId, method: ua.NodeId) -> Method:
        """Raises MethodRefused."""
        if owner not in self._nodes:
            raise MethodRefused(_Codes.BadNodeIdUnknown)
        of, what = key_of(owner), key_of(method)
        found = None if of is None or what is None else self._find(of, what)
        if found is None:
            here = self._is_method(method) and any(
                reference.IsForward and reference.NodeId == method for reference in self._nodes.references(owner) or ()
            )
            raise MethodRefused(_Codes.BadNotExecutable if here else _Codes.BadMethodInvalid)
        return found

    def _find(self, owner: Key, method: Key) -> Method | None:
        if isinstance(owner, int) and isinstance(method, int) and (owner, method) in self._own:
            return self._own[owner, method]
        return self._face.space.method(owner, method)

    def _is_method(self, nodeid: ua.NodeId) -> bool:
        found = self._nodes.get(nodeid)
        held = None if found is None else found.attributes[ua.AttributeIds.NodeClass].value
        return held is not None and held.Value is not None and held.Value.Value == NodeClass.METHOD

    def _in_type(self, nodeid: ua.NodeId) -> bool:
        """Whether a node of namespace 0 is part of a type's declaration."""
        for reference in self._nodes.references(nodeid) or ():
            if not reference.IsForward and reference.ReferenceTypeId.Identifier == _HAS_COMPONENT:
                return reference.NodeClass in _TYPE_CLASSES or self._in_type(reference.NodeId)
        return False


def variant_of(argument: Argument, value: Content) -> ua.Variant:
    """An output argument."""
    return _variant(Reading(value, Builtin(argument.data_type)))


def checked_inputs(arguments: tuple[Argument, ...], values: list[ua.Variant]) -> tuple[Content, ...]:
    """Part 4, 5.11.2.4: number, then type, then what no argument may be. Raises MethodRefused."""
    if len(values) != len(arguments):
        raise MethodRefused(_Codes.BadArgumentsMissing if len(values) < len(arguments) else _Codes.BadTooManyArguments)
    checked = [_input(argument, value) for argument, value in zip(arguments, values, strict=True)]
    statuses = tuple(status for status, _ in checked)
    if any(statuses):
        raise MethodRefused(_Codes.BadInvalidArgument, statuses)
    return tuple(held for _, held in checked)


def _input(argument: Argument, value: ua.Variant) -> tuple[int, Content]:
    if not fits(value, argument):
        return _Codes.BadTypeMismatch, None
    try:
        held = content(value)
    except ValueError:
        return _Codes.BadOutOfRange, None
    if held is None and argument.array:
        held = ()
    return (_Codes.BadOutOfRange if _longest(held) > limits.ARGUMENT_LENGTH else 0), held


def _longest(held: Content) -> int:
    if isinstance(held, Text):
        return max(len(held.text or ""), len(held.locale or ""))
    if isinstance(held, tuple):
        return max((len(held), *(_longest(one) for one in held if isinstance(one, str | bytes | Text))))
    return len(held) if isinstance(held, str | bytes) else 0
