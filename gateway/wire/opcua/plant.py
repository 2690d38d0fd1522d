"""A small OPC UA server for a virtual plant on 127.0.0.1: plain asyncua, no security, values with the plant's own source times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import Node, Server
from asyncua import ua as _ua
from asyncua.common.callback import CallbackType, ServerItemCallback

from gateway.contracts import NotConnected
from gateway.model.tag import TagType
from gateway.model.unit import Unit

Value = float | str
ua: Any = _ua  # asyncua's number types are NewTypes that plain numbers and texts pass through at run time
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VARIANTS: Final = {
    TagType.FLOAT: (ua.VariantType.Double, float, 0.0),
    TagType.INT: (ua.VariantType.Int64, int, 0),
    TagType.BOOL: (ua.VariantType.Boolean, bool, False),
    TagType.TEXT: (ua.VariantType.String, str, ""),
    TagType.ENUM: (ua.VariantType.UInt32, int, 0),
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable, node `s=<name>`; the dots of its name are folders; range, unit and labels are its properties."""

    name: str
    type: TagType
    unit: Unit | None = None
    eu_range: tuple[float, float] | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    writable: bool = False


class PlantServer:
    """Serves the variables under Objects/Plant; written(name, value) is called for each write of a client that was accepted."""

    def __init__(self, port: int, namespace: str, variables: Sequence[Variable], written: Callable[[str, Any], None]) -> None:
        self.port, self.url = port, f"opc.tcp://127.0.0.1:{port}/plant"
        self._namespace, self._variables, self._written = namespace, tuple(variables), written
        self._server: Server | None = None
        self._ids: dict[str, Any] = {}

    async def start(self) -> None:
        """Raises NotConnected where the port is taken; all nodes start as BadWaitingForInitialData."""
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("Edgetwin virtual plant")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(self._namespace)
        await self._build(server, index)
        server.subscribe_server_callback(CallbackType.PostWrite, self._post_write)
        try:
            await server.start()
        except OSError as error:
            await server.stop()
            raise NotConnected(f"plant: cannot listen on {self.url}: {error.strerror or error}") from error
        self._server = server

    async def stop(self) -> None:
        """Ends all connections and the listener; start() builds the server anew."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    @property
    def running(self) -> bool:
        return self._server is not None

    async def emit(self, name: str, value: Value, source_ns: int, *, status: int = 0) -> None:
        """Sets a variable; subscribers hear of it where the value changed. The source time is kept to the microsecond."""
        if self._server is None:
            return
        kind, convert, _ = _VARIANTS[self._types[name]]
        at = _EPOCH + timedelta(microseconds=source_ns // 1000)
        sample = ua.DataValue(ua.Variant(convert(value), kind), ua.StatusCode(status), SourceTimestamp=at)
        await self._server.write_attribute_value(self._ids[name], sample)

    async def allow_writes(self, allowed: bool) -> None:
        """Whether clients may write the setpoints; refused ones get BadNotWritable."""
        if self._server is None:
            return
        levels = ua.AccessLevel.CurrentRead.mask | (ua.AccessLevel.CurrentWrite.mask if allowed else 0)
        sample = ua.DataValue(ua.Variant(levels, ua.VariantType.Byte))
        for variable in self._variables:
            if variable.writable:
                for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
                    await self._server.write_attribute_value(self._ids[variable.name], sample, attribute)

    async def _build(self, server: Server, index: int) -> None:
        self._ids, self._types = {}, {variable.name: variable.type for variable in self._variables}
        folders: dict[str, Node] = {"": await server.nodes.objects.add_folder(ua.NodeId("Plant", index), ua.QualifiedName("Plant", index))}
        for variable in self._variables:
            above, _, key = variable.name.rpartition(".")
            node = await (await _folder(folders, above, index)).add_variable(
                ua.NodeId(variable.name, index), ua.QualifiedName(key, index), _VARIANTS[variable.type][2], _VARIANTS[variable.type][0]
            )
            await _describe(node, variable)
            waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
            await server.write_attribute_value(node.nodeid, ua.DataValue(ua.Variant(), waiting))
            self._ids[variable.name] = node.nodeid

    async def _post_write(self, event: Any, _dispatcher: Any = None) -> None:
        if not isinstance(event, ServerItemCallback) or not event.is_external:
            return
        names = {identifier: name for name, identifier in self._ids.items()}
        for item, result in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            name = names.get(item.NodeId)
            if name is not None and result.is_good() and item.AttributeId == ua.AttributeIds.Value:
                self._written(name, item.Value.Value.Value)


async def _folder(folders: dict[str, Node], path: str, index: int) -> Node:
    if path not in folders:
        above, _, key = path.rpartition(".")
        parent = await _folder(folders, above, index)
        folders[path] = await parent.add_folder(ua.NodeId(f"/{path}", index), ua.QualifiedName(key, index))
    return folders[path]


async def _describe(node: Node, variable: Variable) -> None:
    if variable.writable:
        await node.set_writable()
    if variable.eu_range is not None:
        low, high = variable.eu_range
        await node.add_property(0, "EURange", ua.Range(low, high))
    if variable.unit is not None:
        unit = variable.unit
        information = ua.EUInformation(
            NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
            UnitId=unit.unit_id,
            DisplayName=ua.LocalizedText(unit.symbol),
            Description=ua.LocalizedText(unit.name),
        )
        await node.add_property(0, "EngineeringUnits", information)
    if variable.labels:
        words = [ua.LocalizedText(variable.labels.get(number, "")) for number in range(max(variable.labels) + 1)]
        await node.add_property(0, "EnumStrings", words)
