"""A plant with an OPC UA server (asyncua) in this process: nodes by name, restarted on the same port."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from asyncua import Server, ua

from gateway.model.tag import Tag

URI = "urn:test:plant"
Kind = ua.VariantType


@dataclass
class OpcUaSource:
    """values: name -> (value, variant type); a list is an array. Node `s=<name>` below Objects in the namespace URI."""

    port: int
    values: Mapping[str, tuple[Any, Kind]]
    history: tuple[str, ...] = ()
    server: Server | None = None
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/plant"

    async def start(self) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        namespace = await server.register_namespace(URI)
        self.nodes = {}
        for name, (value, kind) in self.values.items():
            node = await server.nodes.objects.add_variable(ua.NodeId(name, namespace), name, value, kind)
            await node.set_writable()
            self.nodes[name] = node
        await server.start()
        for name in self.history:
            await server.historize_node_data_change(self.nodes[name], period=None, count=1000)
        self.server = server

    async def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            await asyncio.wait_for(server.stop(), 10)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def add(self, name: str, value: float) -> None:
        """One more node, while the server runs."""
        assert self.server is not None
        namespace = await self.server.get_namespace_index(URI)
        self.nodes[name] = await self.server.nodes.objects.add_variable(ua.NodeId(name, namespace), name, value)

    async def write(self, name: str, value: Any, *, status: int = 0, at: datetime | None = None) -> None:
        """A new value with its own source time (now where none is given)."""
        kind = self.values[name][1]
        stamp = at or datetime.now(UTC)
        await self.nodes[name].write_value(ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), stamp, stamp))


def tag(tag_id: int, name: str, **more: Any) -> Tag:
    """A tag `plant.<name>` on the node of that name, sampled each 10 ms."""
    keys = {"address": f"nsu={URI};s={name}", "sampling_interval_ns": 10_000_000, **more}
    return Tag(tag_id, f"plant.{name.replace('[', '_').rstrip(']')}", "plant", **keys)
