"""The OPC UA source as the runner sees it: connect, read, accept, close, and setpoints."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from drivers.opcua.config import Config
from drivers.opcua.keeper import Keeper
from drivers.opcua.plan import plan
from drivers.opcua.pump import Outlets, Pump
from drivers.opcua.setpoints import Setpoints
from gateway.contracts import DriverContext, NotConnected
from gateway.model.batch import SampleBatch, every, some
from gateway.model.quality import BAD, BAD_NOT_CONNECTED, BAD_TYPE_MISMATCH
from gateway.wire.opcua import certificates
from gateway.wire.opcua.client import Access, Link, Security
from gateway.wire.opcua.decode import DataChange

SETTLED_MOST: Final = 10_000
JOINED_MOST: Final = 1_000  # rows


class OpcUaDriver:
    """One OPC UA server. Raises ConfigError for an address that cannot be one."""

    def __init__(self, config: Config, context: DriverContext) -> None:
        self.window = config.window
        self._config = config
        self._context = context
        self._plan = plan(context.tags, config)
        self._inbox: deque[SampleBatch] = deque()
        self._wake = asyncio.Event()
        self._link: Link | None = None
        self._pump: Pump | None = None
        self._keeper: Keeper | None = None
        self._setpoints = Setpoints(self._plan, context)
        self._drained = asyncio.Event()
        self._relaxed = False
        self._gone: str | None = None
        self._fault: BaseException | None = None
        self._named: set[int] = set()
        self._settled: OrderedDict[tuple[int, int], None] = OrderedDict()  # committed (subscription, sequence), the newest

    # --- contract ------------------------------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Session, subscriptions, items. A node that the server refuses is a Bad row and a problem by name, not a failed connect."""
        await self.close()
        self._gone = self._fault = None
        for subject in ("publish", "probe", "subscription"):
            self._context.report.problem(subject, None)
        link = await Link.open(await self._access(), self._lost, self._context.now_ns() / 1e9)
        self._link = link
        try:
            await self._subscribe(link)
        except BaseException:
            await self.close()
            raise

    async def _subscribe(self, link: Link) -> None:
        config = self._config
        keeper = Keeper(self._plan, config, self._context, link, self._put, self._room, self._named)
        pump = Pump(
            link,
            self._plan.element,
            Outlets(self._notified, keeper.ended, keeper.gap, keeper.stray),
            self._context.report,
            requests=config.publish_requests,
            window=config.window,
            patience_s=config.request_timeout,
        )
        pump.relax(self._relaxed)
        self._pump, self._keeper = pump, keeper
        await keeper.start(pump, self._settled, self._failed)
        keeper.run(self._setpoints.learn(link, keeper.namespaces), self._failed)

    async def read(self) -> SampleBatch:
        """The next notification as a batch. A cancelled read has taken nothing."""
        while not self._inbox:
            if self._fault is not None:
                raise self._fault
            if self._gone is not None:
                raise NotConnected(self._gone)
            if self._keeper is None:
                raise NotConnected("not connected")
            self._wake.clear()
            await self._wake.wait()
        batch = self._inbox.popleft()
        if self._inbox:
            batch = self._joined(batch)
        if not self._inbox:
            self._drained.set()
        return batch

    def _joined(self, first: SampleBatch) -> SampleBatch:
        """Small notifications that came meanwhile are one batch with it: a step of the engine costs more by its call than by its rows."""
        parts, rows = [first], len(first)
        while self._inbox and _joins(parts[-1], self._inbox[0]) and rows + len(self._inbox[0]) <= JOINED_MOST:
            parts.append(self._inbox.popleft())
            rows += len(parts[-1])
        if len(parts) == 1:
            return first
        return SampleBatch(
            tag_id=np.concatenate([part.tag_id for part in parts]),
            value=np.concatenate([part.value for part in parts]),
            status=np.concatenate([part.status for part in parts]),
            source_ns=np.concatenate([part.source_ns for part in parts]),
            received_ns=parts[-1].received_ns,
            receipt=parts[-1].receipt,
            messages=len(parts),
        )

    def accept(self, receipt: object) -> None:
        """Committed: the server may forget the notifications up to this one, whichever connection they came over."""
        if not isinstance(receipt, Receipt):
            return
        for pair in receipt.pump.settle(receipt.ticket):
            self._settled[pair] = None
            if self._pump is not None:
                self._pump.acknowledge((pair,))
        while len(self._settled) > SETTLED_MOST:
            self._settled.popitem(last=False)
        if self._keeper is not None:
            self._keeper.committed()

    def relax(self, on: bool) -> None:
        """While the disk is away: go on asking beyond the window, so that the twin stays live; also over connections made meanwhile."""
        self._relaxed = on
        if self._pump is not None:
            self._pump.relax(on)

    async def close(self) -> None:
        """Ends session and subscriptions; what was read and not taken is read again after the next connect."""
        pump, keeper, link = self._pump, self._keeper, self._link
        self._pump = self._keeper = self._link = None
        if pump is not None:
            pump.close()
        if keeper is not None:
            await keeper.stop()
        if link is not None:
            await link.close(keep_subscriptions=keeper is not None and self._config.known)
        self._inbox.clear()
        self._drained.set()
        self._wake.set()

    async def write_setpoints(self, rows: Sequence[tuple[int, float | str]]) -> list[int]:
        """One StatusCode for each (tag_id, value)."""
        if self._link is None or self._keeper is None or self._gone is not None:
            return [BAD_NOT_CONNECTED] * len(rows)
        return await self._setpoints.write(self._link, self._keeper.namespaces, rows)

    # --- inside ---------------------------------------------------------------------------------------------------------------------------

    async def _access(self) -> Access:
        config, gateway = self._config, self._context.gateway
        return Access(
            url=config.url,
            application_uri=await self._application_uri(),
            name=f"edgetwin {gateway.name}",
            security=await self._security(),
            user=config.user,
            password=None if config.password is None else config.password.get_secret_value(),
            session_timeout=config.session_timeout,
            request_timeout=config.request_timeout,
        )

    async def _application_uri(self) -> str:
        """Equal to the one in the certificate that we show (Part 6, 6.2.2)."""
        own, given = certificates.application_uri(self._context.gateway.name), self._config.certificate
        if given is None:
            return own
        try:
            return await asyncio.to_thread(certificates.uri_in, given) or own
        except (OSError, ValueError) as fault:
            raise NotConnected(f"own certificate {given}: {fault}") from fault

    async def _security(self) -> Security | None:
        config = self._config
        if config.security == "None":
            return None
        policy, _, mode = config.security.partition("/")
        pki = Path(self._context.gateway.data_dir) / "pki"
        if config.certificate is not None and config.private_key is not None:
            return Security(policy, mode, config.certificate, config.private_key, pki, config.server_certificate)
        try:
            own = await asyncio.to_thread(certificates.own, pki, self._context.gateway.name, self._context.now_ns() / 1e9)
        except (OSError, ValueError) as fault:
            raise NotConnected(f"own certificate in {pki}: {fault}") from fault
        return Security(policy, mode, own.certificate, own.key, pki, config.server_certificate)

    def _lost(self, why: str) -> None:
        self._gone = f"{self._config.url}: {why}"
        if self._pump is not None:
            self._pump.close()
        self._wake.set()

    def _failed(self, fault: BaseException) -> None:
        self._fault = fault
        self._wake.set()

    async def _room(self) -> None:
        await self._drained.wait()

    def _notified(self, change: DataChange, ticket: int) -> None:
        if self._keeper is not None and self._pump is not None:
            change = self._known(change)
            self._keeper.seen(change)
            self._put(change, Receipt(self._pump, ticket))

    def _known(self, change: DataChange) -> DataChange:
        if change.overflow:
            self._context.report.count("queue_overflows", change.overflow)
        known = change.handle < self._plan.tag_id.size
        if every(known):
            return change
        self._context.report.count("unknown_handles", int(np.count_nonzero(~known)))
        return _only(change, known)

    def _put(self, change: DataChange, receipt: "Receipt | None" = None) -> None:
        """Rows under their tags, with a number for a text and a text for a number marked as such."""
        value, status, text = change.value, change.status, change.text
        wrong = self._plan.is_text[change.handle]
        if text or some(wrong):
            wrong[np.fromiter(text, np.intp, len(text))] ^= True
            wrong &= status < np.uint32(BAD)
            status[wrong], value[wrong] = BAD_TYPE_MISMATCH, np.nan
            text = {row: words for row, words in text.items() if not wrong[row]}
        batch = SampleBatch(
            tag_id=self._plan.tag_id[change.handle],
            value=value,
            status=status,
            source_ns=change.source_ns,
            received_ns=self._context.now_ns(),
            text=text,
            receipt=receipt,
        )
        self._inbox.append(batch)
        self._drained.clear()
        self._wake.set()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A notification's place in the pump that read it."""

    pump: Pump
    ticket: int


def _joins(before: SampleBatch, after: SampleBatch) -> bool:
    """Whether the second may follow in the same batch: both are notifications of one pump, whose receipts stand for all before them."""
    one, other = before.receipt, after.receipt
    plain = not before.text and not after.text
    return plain and isinstance(one, Receipt) and isinstance(other, Receipt) and one.pump is other.pump


def _only(change: DataChange, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> DataChange:
    """Some rows of a notification; texts move with them."""
    place = np.cumsum(rows) - 1
    text = {int(place[row]): words for row, words in change.text.items() if rows[row]}
    return DataChange(change.handle[rows], change.value[rows], change.status[rows], change.source_ns[rows], text, change.overflow)
