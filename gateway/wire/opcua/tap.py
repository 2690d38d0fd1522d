"""The other end of a benchmark: clients in a process of their own that subscribe, read, browse, and count what they get.

    python -m gateway.wire.opcua.tap WORK.json

It says `ready` once every item of every client has reported. Then each line of its input is a command, and answered by a line of JSON:
`count`, `read ROUNDS`, `browse ROUNDS KEY...`, `history ROUNDS KEY BEGIN_S END_S`, `churn ROUNDS`.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from asyncua import ua as _ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from gateway.wire.opcua.client import Access, Link, Security
from gateway.wire.opcua.decode import decode_publish

ua: Any = _ua  # plain numbers pass through the library's number types at run time
_SLICE: Final = 1000
_IN_FLIGHT: Final = 4
_PATIENCE_S: Final = 30.0
_READ_MOST: Final = 10_000
_SCALARS: Final = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Wish:
    """What one client subscribes to: names[first : first + count] of the work's names."""

    publishing_ms: float
    first: int
    count: int
    sampling_ms: float = 0.0
    deadband: float = 0.0
    queue: int = 1


@dataclass(slots=True)
class Heard:
    """One client's session and what came over it."""

    link: Link
    wish: Wish
    values: int = 0
    messages: int = 0
    ages_ms: list[Any] = field(default_factory=list)
    full: asyncio.Event = field(default_factory=asyncio.Event)
    fault: str = ""

    def ask(self, acknowledged: Sequence[tuple[int, int]] = ()) -> None:
        self.link.publish(acknowledged, self._answered)

    def _answered(self, body: bytes | None, fault: str) -> None:
        if body is None:
            self.fault = fault
            self.full.set()
            return
        published = decode_publish(body, _SCALARS)
        now_ns = time.time_ns()
        for change in published.message.changes:
            self.values += change.handle.size
            self.ages_ms.append(now_ns - change.source_ns)
        self.messages += 1
        if self.values >= self.wish.count:
            self.full.set()
        self.ask([(published.subscription, published.message.sequence)] if published.message.changes else ())

    def told(self) -> dict[str, Any]:
        """What came since the last time, and how old it was, in ms."""
        ages = np.concatenate(self.ages_ms) / 1e6 if self.ages_ms else np.zeros(0)
        p50, p99 = (float(share) for share in np.percentile(ages, (50, 99))) if ages.size else (0.0, 0.0)
        told = {"values": self.values, "messages": self.messages, "p50_ms": p50, "p99_ms": p99, "fault": self.fault}
        self.values = self.messages = 0
        self.ages_ms = []
        return told


class Tap:
    """All clients of one process."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._names = Path(work["names"]).read_text(encoding="utf-8").split()
        self._namespace, self._wishes = work["namespace"], [Wish(**wish) for wish in work["clients"]]
        secured = work.get("security")
        security = None if secured is None else Security(**{key: _path(key, value) for key, value in secured.items()})
        uri = {} if secured is None else {"application_uri": work["application_uri"]}
        self._access = Access(work["url"], security=security, request_timeout=_PATIENCE_S, **uri)
        self._nodes: list[Any] = []
        self.heard: list[Heard] = []

    async def start(self) -> None:
        for wish in self._wishes:
            self.heard.append(await self._client(wish))
        for one in self.heard:
            await one.full.wait()
            one.told()

    async def _client(self, wish: Wish) -> Heard:
        link = await Link.open(self._access, lambda _why: None, time.time())
        index = (await link.namespaces()).index(self._namespace)
        self._nodes = self._nodes or [ua.NodeId(name, index) for name in self._names]
        heard = Heard(link, wish)
        if wish.count:
            await self._subscribe(link, wish)
            for _ in range(_IN_FLIGHT):
                heard.ask()
        else:
            heard.full.set()
        return heard

    async def _subscribe(self, link: Link, wish: Wish) -> None:
        create = ua.CreateSubscriptionRequest()
        create.Parameters = ua.CreateSubscriptionParameters(wish.publishing_ms, 10_000, 1000, 0, True, 0)
        made = await link.request("CreateSubscription", create, ua.CreateSubscriptionResponse)
        band = None if not wish.deadband else ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, 1, wish.deadband)
        for start in range(wish.first, wish.first + wish.count, _SLICE):
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = made.Parameters.SubscriptionId
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            request.Parameters.ItemsToCreate = [
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(node, ua.AttributeIds.Value),
                    ua.MonitoringMode.Reporting,
                    ua.MonitoringParameters(start + place, wish.sampling_ms, band, wish.queue, True),
                )
                for place, node in enumerate(self._nodes[start : min(start + _SLICE, wish.first + wish.count)])
            ]
            await link.request("CreateMonitoredItems", request, ua.CreateMonitoredItemsResponse)

    async def obey(self, line: str) -> Any:
        """The answer to one command."""
        verb, *arguments = line.split()
        if verb == "count":
            return [one.told() for one in self.heard]
        if verb == "churn":
            return await self._churn(int(arguments[0]))
        return await self._asked(verb, int(arguments[0]), arguments[1:])

    async def _asked(self, verb: str, rounds: int, arguments: list[str]) -> dict[str, int]:
        """`rounds` times the same request: how many values or references came in all."""
        verbs: dict[str, Callable[..., Asked]] = {"read": self._read, "browse": self._browse, "history": self._history}
        request, kind, count = verbs[verb](*arguments)
        answer = b""
        for _ in range(rounds):
            answer = await self.heard[0].link.raw(verb, request, _PATIENCE_S)
        return {"count": rounds * sum(map(count, struct_from_binary(kind, Buffer(answer)).Results))}

    def _read(self) -> "Asked":
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds.Value) for node in self._nodes[:_READ_MOST]]
        return request, ua.ReadResponse, lambda _: 1

    def _browse(self, *keys: str) -> "Asked":
        """Forward, everything that hangs below these folders."""
        index = self._nodes[0].NamespaceIndex
        request = ua.BrowseRequest()
        request.Parameters.NodesToBrowse = [
            ua.BrowseDescription(
                ua.NodeId(key, index), ua.BrowseDirection.Forward, ua.NodeId(ua.ObjectIds.HierarchicalReferences), True, 0, 63
            )
            for key in keys
        ]
        return request, ua.BrowseResponse, lambda result: len(result.References or ())

    def _history(self, key: str, begin_s: str, end_s: str) -> "Asked":
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = details.ReturnBounds = False
        details.StartTime, details.EndTime = (datetime.fromtimestamp(float(at_s), UTC) for at_s in (begin_s, end_s))
        details.NumValuesPerNode = _READ_MOST
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = details
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        request.Parameters.NodesToRead = [ua.HistoryReadValueId(NodeId=ua.NodeId(key, self._nodes[0].NamespaceIndex))]
        return request, ua.HistoryReadResponse, lambda result: len(getattr(result.HistoryData, "DataValues", None) or ())

    async def _churn(self, rounds: int) -> dict[str, int]:
        """So often: connect, subscribe, hear the first values, and drop the connection without a word."""
        for number in range(rounds):
            heard = await self._client(self._wishes[number % len(self._wishes)])
            await heard.full.wait()
            heard.link.drop()
        return {"count": rounds}


Asked = tuple[Any, Any, Callable[[Any], int]]
"""Request, type of its response, and how much one of the results counts for."""


def _path(key: str, value: str | None) -> Any:
    return Path(value) if value is not None and key in {"certificate", "key", "pki", "pinned"} else value


async def _main(work: dict[str, Any]) -> None:
    tap = Tap(work)
    await tap.start()
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        _say(json.dumps(await tap.obey(line)))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 the protocol of this process


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
