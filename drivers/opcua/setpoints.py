"""Writing setpoints: with the node's own DataType, read at connect; one element through an IndexRange; one StatusCode per row."""

import contextlib
from collections.abc import Sequence

from drivers.opcua.plan import Plan
from gateway.contracts import DriverContext, NotConnected
from gateway.model.quality import BAD_NODE_ID_UNKNOWN, BAD_NOT_CONNECTED, BAD_NOT_WRITABLE
from gateway.wire.opcua import writes
from gateway.wire.opcua.client import Link, Refused


class Setpoints:
    """The writable tags of one source, and what the server says of their nodes."""

    def __init__(self, plan: Plan, context: DriverContext) -> None:
        self._report = context.report
        self._address = {item.tag.tag_id: item.address for item in plan.items if item.tag.write_rule is not None}
        self._name = {item.tag.tag_id: item.tag.name for item in plan.items}
        self._target: dict[int, writes.Target] = {}

    async def learn(self, link: Link, namespaces: Sequence[str]) -> None:
        """Type and shape of each writable node, ahead of the first write; one that cannot be written is named. Ends with the link."""
        self._target.clear()
        with contextlib.suppress(NotConnected):
            for tag_id, address in self._address.items():
                try:
                    self._target[tag_id] = await writes.target(link, address, namespaces)
                except Refused as refusal:
                    self._report.problem(f"{self._name[tag_id]}.write", str(refusal))
                else:
                    self._report.problem(f"{self._name[tag_id]}.write", None)

    async def write(self, link: Link, namespaces: Sequence[str], rows: Sequence[tuple[int, float | str]]) -> list[int]:
        """One StatusCode per row; nothing is written for a value that the node's type cannot hold (BadOutOfRange, BadTypeMismatch)."""
        statuses = [0] * len(rows)
        sendable: list[tuple[int, writes.Target, float | str]] = []
        for place, (tag_id, value) in enumerate(rows):
            if tag_id not in self._address:
                statuses[place] = BAD_NOT_WRITABLE
                continue
            try:
                target = self._target.get(tag_id) or await writes.target(link, self._address[tag_id], namespaces)
            except Refused as refusal:
                statuses[place] = refusal.status or BAD_NODE_ID_UNKNOWN
                continue
            except NotConnected:
                statuses[place] = BAD_NOT_CONNECTED
                continue
            self._target[tag_id] = target
            statuses[place] = writes.fault(target, value)
            if not statuses[place]:
                sendable.append((place, target, value))
        for (place, _, _), status in zip(sendable, await self._send(link, sendable), strict=True):
            statuses[place] = status
        return statuses

    async def _send(self, link: Link, sendable: Sequence[tuple[int, writes.Target, float | str]]) -> list[int]:
        if not sendable:
            return []
        try:
            return await writes.write(link, [(target, value) for _, target, value in sendable])
        except Refused as refusal:
            return [refusal.status] * len(sendable)
        except NotConnected:
            return [BAD_NOT_CONNECTED] * len(sendable)
