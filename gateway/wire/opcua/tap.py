"""The other end of a benchmark: a client in a process of its own that subscribes or reads, counts values, and decodes nothing.

    python -m gateway.wire.opcua.tap URL NAMESPACE PUBLISHING_MS NAME...FILE

The names to watch stand in a file, one in a line. It says `ready` once every item has reported, and when its input ends one line of JSON.
"""

import asyncio
import json
import logging
import struct
import sys
from pathlib import Path
from typing import Any, Final

from asyncua import Client
from asyncua import ua as _ua

ua: Any = _ua  # plain numbers pass through the library's number types at run time
_SLICE: Final = 1000
_IN_FLIGHT: Final = 4
_READS: Final = 30
_RESPONSE_HEAD: Final = 4 + 24  # NodeId of the type, ResponseHeader without diagnostics and strings
_DATA_CHANGE: Final = 811


async def tap(url: str, namespace: str, publishing_ms: float, names: list[str]) -> dict[str, Any]:
    """Counts until stdin ends; then reads all names in batches, walks one folder, and returns the counts."""
    async with Client(url, timeout=30) as client:
        index = (await client.get_namespace_array()).index(namespace)
        nodes = [ua.NodeId(name, index) for name in names]
        counted = _Count()
        session = client.uaclient.session
        await _subscribe(session, nodes, publishing_ms)
        loops = [asyncio.create_task(counted.listen(session)) for _ in range(_IN_FLIGHT)]
        await counted.reached(len(names))
        first = counted.values
        print("ready", flush=True)  # noqa: T201 the protocol of this process
        await asyncio.to_thread(sys.stdin.readline)
        result = {"values": counted.values - first, "messages": counted.messages}
        for task in loops:
            task.cancel()
        print(json.dumps(result), flush=True)  # noqa: T201 likewise
        await asyncio.to_thread(sys.stdin.readline)
        wanted = ua.ReadRequest()
        wanted.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        wanted.Parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds.Value) for node in nodes]
        for _ in range(_READS):
            await session._send_request(wanted)
        return {"reads": _READS * len(nodes)}


class _Count:
    """Values and messages of Publish responses."""

    def __init__(self) -> None:
        self.values = self.messages = 0
        self._wanted, self._enough = 0, asyncio.Event()

    async def reached(self, values: int) -> None:
        self._wanted = values
        if self.values >= values:
            self._enough.set()
        await self._enough.wait()

    async def listen(self, session: Any) -> None:
        acknowledge: list[Any] = []
        while True:
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements = acknowledge
            answer = await session._send_request(request, timeout=0)
            body = answer._data[answer._cur_pos : answer._cur_pos + answer._size]
            subscription, sequence, values = _values(body)
            acknowledge = [ua.SubscriptionAcknowledgement(subscription, sequence)] if values else []
            self.values += values
            self.messages += 1
            if self._wanted and self.values >= self._wanted:
                self._enough.set()


def _values(body: bytes) -> tuple[int, int, int]:
    """Subscription, sequence number, and how many values a PublishResponse holds."""
    at = _RESPONSE_HEAD
    subscription, available = struct.unpack_from("<Ii", body, at)
    at += 8 + 4 * max(available, 0) + 1
    (sequence,) = struct.unpack_from("<I", body, at)
    (notifications,) = struct.unpack_from("<i", body, at + 12)
    at += 16
    values = 0
    for _ in range(notifications):
        (kind,) = struct.unpack_from("<H", body, at + 2)
        length, count = struct.unpack_from("<ii", body, at + 5)
        values += count if kind == _DATA_CHANGE else 0
        at += 9 + length
    return subscription, sequence, values


async def _subscribe(session: Any, nodes: list[Any], publishing_ms: float) -> None:
    create = ua.CreateSubscriptionRequest()
    create.Parameters = ua.CreateSubscriptionParameters(publishing_ms, 10_000, 1000, 0, True, 0)
    made = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, await session._send_request(create)).Parameters
    for start in range(0, len(nodes), _SLICE):
        items = [
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node, ua.AttributeIds.Value),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(start + place, 0.0, None, 1, True),
            )
            for place, node in enumerate(nodes[start : start + _SLICE])
        ]
        await session.create_monitored_items(ua.CreateMonitoredItemsParameters(made.SubscriptionId, ua.TimestampsToReturn.Both, items))


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    _url, _namespace, _publishing_ms, _names = sys.argv[1:5]
    _told = asyncio.run(tap(_url, _namespace, float(_publishing_ms), Path(_names).read_text().split()))
    print(json.dumps(_told), flush=True)  # noqa: T201 the protocol of this process
