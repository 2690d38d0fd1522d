"""Methods as nodes, and those of the gateway itself: `s=Twin` and `s=Gateway` do what the one door for changes offers (`s=Simulation`
likewise, see simulation_methods).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.contracts import Commands
from gateway.model.command import Caller, Command
from gateway.model.quality import BAD
from gateway.sinks.opcua.nodes import HAS_COMPONENT, HAS_PROPERTY, PROPERTY_TYPE
from gateway.wire.opcua.face import Builtin, Content, Key, Node, NodeClass, Reading, Reference, Target, Text
from gateway.wire.opcua.methods import Argument, Invocation, Method, MethodRefused

_ARGUMENT: Final = 296
_ANY: Final = 24
_BOOLEAN, _INT64, _DOUBLE, _STRING = (int(one) for one in (Builtin.BOOLEAN, Builtin.INT64, Builtin.DOUBLE, Builtin.STRING))


# --- nodes ---


def method_target(owner: str, name: str, *, standard: bool) -> Target:
    """standard: the Method is declared by a type of namespace 0."""
    return Target(f"{owner}/{name}", NodeClass.METHOD, name, 0, standard)


def method_reference(owner: str, name: str, *, standard: bool) -> Reference:
    """How an Object leads to its Method."""
    return Reference(HAS_COMPONENT, True, method_target(owner, name, standard=standard))


def method_node(owner: Target, method: Method, *, standard: bool) -> Node:
    """The Method of an Object (Part 3, 5.7)."""
    target = method_target(str(owner.key), method.name, standard=standard)
    lists = [Reference(HAS_PROPERTY, True, _list_target(target, name)) for name, arguments in _lists(method) if arguments]
    return Node(target, [Reference(HAS_COMPONENT, False, owner), *lists], method.description, method=method)


def below_method(owner: Target, method: Method, name: str, *, standard: bool) -> Node | None:
    """InputArguments or OutputArguments of a Method; None where it has none, or for any other name."""
    arguments = dict(_lists(method)).get(name)
    if not arguments:
        return None
    target = method_target(str(owner.key), method.name, standard=standard)
    above = Reference(HAS_PROPERTY, False, target)
    return Node(_list_target(target, name), [above], "", _ARGUMENT, array=True, read=lambda: Reading(arguments, Builtin.EXTENSION_OBJECT))


def _lists(method: Method) -> tuple[tuple[str, tuple[Argument, ...]], ...]:
    return ("InputArguments", method.inputs), ("OutputArguments", method.outputs)


def _list_target(method: Target, name: str) -> Target:
    return Target(f"{method.key}/{name}", NodeClass.VARIABLE, name, PROPERTY_TYPE, standard=True)


# --- the door ---


async def execute(commands: Commands, kind: str, args: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
    """A command's result. Raises MethodRefused with the command's StatusCode."""
    outcome = await commands.execute(Command(kind, args, caller))
    if outcome.status >= BAD:
        raise MethodRefused(outcome.status)
    return outcome.result


@dataclass(frozen=True, slots=True)
class Declared:
    """One Method over one kind of command. args: from the inputs; outputs: from the command's result."""

    owner: str
    name: str
    kind: str
    description: str
    inputs: tuple[Argument, ...] = ()
    args: Callable[..., Mapping[str, Any]] = dict
    outputs: tuple[Argument, ...] = ()
    result: Callable[[Mapping[str, Any]], tuple[Content, ...]] = lambda _: ()


def _input(name: str, data_type: int, description: str, *, array: bool = False) -> Argument:
    return Argument(name, data_type, array, description)


def _override(tag: str | None, value: Any, reason: str | None) -> Mapping[str, Any]:
    return {"tag": tag or "", "value": value.text if isinstance(value, Text) else value, "reason": reason or ""}


def _recording(name: str | None, seconds: float) -> Mapping[str, Any]:
    return {"path": name or "", "seconds": seconds or None}


def _difference(difference: Any) -> str:
    """One line of what a reload would change, or did."""
    return " ".join(f"{key}={value}" for key, value in difference.items()) if isinstance(difference, dict) else str(difference)


OWN: Final = (
    Declared(
        *("Twin", "Override", "tag.override", "Put a value in by hand: it stands, and no source changes it, until it is released."),
        (
            _input("tag", _STRING, "The tag's name."),
            _input("value", _ANY, "The value, in the tag's unit; its type is that of the tag."),
            _input("reason", _STRING, "Why; it is kept in the audit."),
        ),
        _override,
    ),
    Declared(
        *("Twin", "Release", "tag.release", "End manual input: the source's values stand again."),
        (_input("tags", _STRING, "The tags' names.", array=True),),
        lambda tags: {"tag": list(tags)},
        (_input("released", _STRING, "The tags that were released.", array=True),),
        lambda result: (tuple(result["released"]),),
    ),
    Declared(
        *("Twin", "Commit", "twin.commit", "End a commit of the twin (synchronization mode manual)."),
        outputs=(_input("stateVersion", _INT64, "The version of the state that was committed."),),
        result=lambda result: (int(result["state_version"]),),
    ),
    Declared(
        *("Gateway", "Reload", "config.reload", "Read the configuration again: it is applied whole, or not at all."),
        (_input("dryRun", _BOOLEAN, "True only tells what would change."),),
        lambda dry_run: {"dry_run": dry_run},
        (_input("differences", _STRING, "What is different from the configuration in force, one line each.", array=True),),
        lambda result: (tuple(map(_difference, result["differences"])),),
    ),
    Declared(
        *("Gateway", "StartRecording", "record.start", "Record the engine's input to a file in the recordings folder."),
        (
            _input("name", _STRING, "The file's name, without a folder."),
            _input("seconds", _DOUBLE, "For how long; 0 = until it is stopped."),
        ),
        _recording,
        (_input("path", _STRING, "Where the file lies."),),
        lambda result: (str(result["path"]),),
    ),
    Declared(
        *("Gateway", "StopRecording", "record.stop", "End the recording."),
        outputs=(_input("path", _STRING, "Where the file lies."), _input("stateHash", _STRING, "Hash of the engine's state at its end.")),
        result=lambda result: (str(result["path"]), str(result["state_hash"])),
    ),
)


class OwnMethods:
    """The Annex of the gateway's own Methods."""

    def __init__(self, commands: Commands, objects: Mapping[str, Target], declared: Sequence[Declared] = OWN) -> None:
        """objects: where they stand, by key."""
        self._commands, self._objects, self._declared = commands, objects, declared

    def node(self, key: str) -> Node | None:
        owner, _, rest = key.partition("/")
        name, _, listed = rest.partition("/")
        method = self._method(owner, name)
        if method is None:
            return None
        above = self._objects[owner]
        return below_method(above, method, listed, standard=False) if listed else method_node(above, method, standard=False)

    def references(self, node: Node) -> Sequence[Reference]:
        return [
            method_reference(declared.owner, declared.name, standard=False)
            for declared in self._declared
            if declared.owner == node.target.key
        ]

    def method(self, owner: str, method: Key) -> Method | None:
        return self._method(owner, method.removeprefix(f"{owner}/")) if isinstance(method, str) else None

    def _method(self, owner: str, name: str) -> Method | None:
        return next((self._made(declared) for declared in self._declared if (declared.owner, declared.name) == (owner, name)), None)

    def _made(self, declared: Declared) -> Method:
        async def run(invocation: Invocation) -> tuple[Content, ...]:
            return declared.result(await execute(self._commands, declared.kind, declared.args(*invocation.inputs), invocation.caller))

        permission = self._commands.permission(declared.kind)
        return Method(declared.name, declared.inputs, declared.outputs, permission, run, declared.description)
