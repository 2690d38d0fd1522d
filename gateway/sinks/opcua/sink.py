"""The OPC UA server as a sink: the twin's columns for SCADA clients, without a second copy of any value."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from gateway.access.attempts import Thrift
from gateway.access.roles import allowed
from gateway.contracts import Delivery, EventStream, SignInRefused, SinkContext
from gateway.model.alarm import Transition
from gateway.model.command import Caller, Command, Outcome
from gateway.model.quality import BAD, name
from gateway.model.update import TwinUpdate, scans
from gateway.sinks.opcua.condition_methods import ConditionMethods
from gateway.sinks.opcua.conditions import Conditions
from gateway.sinks.opcua.config import Config
from gateway.sinks.opcua.events import EVENT_TYPES, ModelWatch, is_state_change, is_transition, model_change, plain
from gateway.sinks.opcua.figures import SIMULATION
from gateway.sinks.opcua.forecasts import Forecasts
from gateway.sinks.opcua.historical import Historical
from gateway.sinks.opcua.history import History
from gateway.sinks.opcua.items import TagItems
from gateway.sinks.opcua.methods import OWN, OwnMethods
from gateway.sinks.opcua.namespaces import NamespaceMetadata
from gateway.sinks.opcua.nodes import AddressSpace
from gateway.sinks.opcua.notifiers import Notifiers
from gateway.sinks.opcua.queue import Budget
from gateway.sinks.opcua.runs import Runs
from gateway.sinks.opcua.simulation_methods import SIMULATION_METHODS
from gateway.sinks.opcua.subscriptions import Subscription
from gateway.sinks.opcua.types import OwnTypes, below_standard
from gateway.wire.opcua.beat import Machine
from gateway.wire.opcua.face import Columns, Credentials, Items, ModelChange, Refusal
from gateway.wire.opcua.limits import Limits
from gateway.wire.opcua.occurrences import EventType, Occurrence
from gateway.wire.opcua.server import OpcUaServer, Settings
from gateway.wire.opcua.terms import namespace_of

_LONGEST_PUBLISHING_MS = 3_600_000.0
_EVENTS_AT_ONCE = 100
_DAY_S = 86_400.0
_WARN_DAYS = 30


class OpcUaSink:
    """`sink.url` is the endpoint once connect() has returned."""

    delivery = Delivery.LATEST

    def __init__(self, config: Config, context: SinkContext) -> None:
        self._config, self._context, self.now_ns = config, context, context.now_ns
        self._publishing_ms = (config.min_publishing_interval * 1000.0, _LONGEST_PUBLISHING_MS)
        self._space = AddressSpace(context.gateway.name, context.view, context.units, context.now_ns, context.figures)
        forecasts = self._forecasts(context)
        foreseen = None if forecasts is None else forecasts.page
        self._past = History(context.history, context.events, context.view, context.unavailable, foreseen)
        objects = self._space.objects
        self._runs = None if context.runs is None else Runs(context.runs, objects[SIMULATION], self._changed, context.unavailable)
        namespace = NamespaceMetadata(
            namespace_of(context.gateway.name), context.gateway.version, lambda: context.view.tags, context.now_ns
        )
        self._space.described = [namespace.reference()]
        self._space.subtypes = below_standard()
        methods = ConditionMethods(context.commands)
        self._conditions = Conditions(context.view, methods, self._space.root, objects["Gateway"], context.now_ns)
        self._space.annexes = (
            self._conditions,
            OwnMethods(context.commands, objects, (*OWN, *SIMULATION_METHODS)),
            Notifiers(context.view, self._space.root),
            Historical(lambda: context.view.tags, forecasts),
            namespace,
            OwnTypes(),
            *(one for one in (forecasts, self._runs) if one is not None),
        )
        self._items: dict[TagItems, None] = {}
        self._budget = Budget()
        self._events: EventStream | None = None
        self._model = ModelWatch(context.view, tuple if forecasts is None else forecasts.changes)
        self._records = Thrift(burst=30, interval_s=60.0)
        self._hooks: list[Callable[[], None]] = []
        self._leaving: set[asyncio.Task[int]] = set()
        self._server = OpcUaServer(
            Settings(
                name=context.gateway.name,
                host=config.host,
                port=config.port,
                version=context.gateway.version,
                cache=Path(context.gateway.data_dir) / "cache",
                pki=Path(context.gateway.data_dir) / "pki",
                security=config.security,
                insecure=config.insecure,
                anonymous=config.anonymous != "none",
                anonymous_role=config.anonymous,
                limits=Limits(config.max_sessions, self._publishing_ms),
            ),
            self,
        )
        self._conditions.certificate = lambda: self._server.certificate

    def _forecasts(self, context: SinkContext) -> Forecasts | None:
        if context.forecasts is None:
            return None
        return Forecasts(context.forecasts, context.view, self._space.properties, context.now_ns)

    @property
    def url(self) -> str:
        """The endpoint's address; with port 0 in the configuration, right once connect() has returned."""
        return self._server.url

    async def connect(self) -> None:
        """Starts the server. Raises NotConnected where the port is taken."""
        await self._server.start()
        if self._runs is not None:
            self._hooks.append(await self._runs.open())
        self._events = None if self._context.subscribe_events is None else self._context.subscribe_events()
        self._hooks.append(self._context.access.on_revoked(self._revoked))

    async def close(self) -> None:
        """Ends subscriptions and connections at once."""
        while self._hooks:
            self._hooks.pop()()
        if self._events is not None:
            self._events.close()
        await self._server.stop()

    async def sign_out(self, user: str) -> int:
        """Ends that user's sessions; how many there were."""
        return await self._server.sign_out(user)

    def _changed(self, changes: tuple[ModelChange, ...]) -> None:
        self._server.occur([model_change(changes, self._context.now_ns())])

    def _revoked(self, user: str) -> None:
        leaving = asyncio.create_task(self.sign_out(user))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def write(self, update: TwinUpdate) -> None:
        """Every applied sample to the items that stand on its tag: a client's filter is its own, the tag's deadband is not applied.
        Every transition as an event.
        """
        rows = update.rows
        if self._items and len(rows):
            parts = scans(rows)
            repeats = parts is None and bool(np.bincount(rows.tag_id).max() > 1)
            for items in self._items:
                for part in parts or (rows,):
                    items.push(part, repeats=repeats, now_ns=update.now_ns)
        changes = self._model.changes(update.now_ns)
        if changes:
            self._server.occur(changes)
        if update.transitions:
            await self._occur(update.transitions)

    async def _occur(self, transitions: Sequence[Transition]) -> None:
        """What the conditions did, to who listens."""
        if not self._server.listened_to:
            return
        occurrences = [self._conditions.occurrence(transition) for transition in transitions]
        for start in range(0, len(occurrences), _EVENTS_AT_ONCE):
            if start:
                await asyncio.sleep(0)  # a flood of alarms holds nobody up
            self._server.occur(occurrences[start : start + _EVENTS_AT_ONCE])

    async def gone(self) -> None:
        """Never returns: hands on the gateway's own events as they happen. What a condition did comes with the update that says so."""
        if self._events is not None:
            async for event in self._events:
                if not is_transition(event) and not is_state_change(event):
                    self._server.occur([plain(event, self._context.view)])
        await asyncio.get_running_loop().create_future()

    # --- what the server asks (wire's Face) ---

    @property
    def space(self) -> AddressSpace:
        return self._space

    @property
    def columns(self) -> Columns:
        return self._context.view

    @property
    def past(self) -> History:
        return self._past

    def open_subscription(self) -> tuple[Machine, Items]:
        machine = Subscription(self._publishing_ms)
        items = TagItems(self._context.view, self._budget, lambda: machine.publishing_ms, self._closed)
        self._items[items] = None
        return machine, items

    def _closed(self, items: TagItems) -> None:
        self._items.pop(items, None)

    async def sign_in(self, credentials: Credentials, origin: str) -> Caller:
        """Raises SignInRefused."""
        if credentials.certificate:
            return await self._context.access.recognise(credentials.certificate, origin)
        if credentials.user:
            return await self._context.access.sign_in(credentials.user, credentials.password, origin)
        if self._config.anonymous == "none":
            await self._context.access.told(Caller("anonymous", "none", origin), "anonymous", "who does not sign in is not admitted")
            raise SignInRefused("who does not sign in is not admitted")
        caller = Caller("anonymous", self._config.anonymous, origin)
        await self._context.access.told(caller, "anonymous")
        return caller

    async def unfit_token(self, origin: str, status: int) -> None:
        await self._context.access.told(Caller("", "none", origin), "identity token", name(status))

    async def signed_out(self, caller: Caller, why: str) -> None:
        await self._context.access.left(caller, why)

    async def turned_away(self, refusal: Refusal) -> None:
        left_out = self._records.take(time.monotonic())
        if left_out is not None:
            args = {"thumbprint": refusal.thumbprint, "subject": refusal.subject} | ({"left_out": left_out} if left_out else {})
            command = Command("opcua.channel", args, Caller("", "none", refusal.origin))
            await self._context.record(command, Outcome(refusal.status, refusal.why, {}))

    def watched(self, expires_s: float) -> None:
        """What a person should know of the doors: nobody can come in, or the certificate ends."""
        admits = self._config.anonymous != "none" or self._context.access.anyone()
        nobody = None if admits else "nobody can sign in: there are no users; `edgetwin user add` makes one"
        self._context.report.problem("sign-in", nobody)
        left_days = (expires_s - self.now_ns() / 1e9) / _DAY_S
        ends = f"the own certificate ends in {left_days:.0f} days: `edgetwin cert renew`, or a restart, renews it"
        self._context.report.problem("certificate", ends if left_days < _WARN_DAYS else None)

    def allowed(self, caller: Caller, permission: str) -> bool:
        return allowed(caller.role, permission)

    def retained(self) -> Iterable[Occurrence]:
        return self._conditions.retained()

    def event_types(self) -> Sequence[EventType]:
        return EVENT_TYPES

    async def set_tag(self, tag_id: int, content: bool | float | str, caller: Caller) -> int:
        """A client's Write of a writable tag, through the one door for changes; the StatusCode is the answer."""
        tag = self._context.view.tags[tag_id]
        outcome = await self._context.commands.execute(Command("tag.write", {"tag": tag.name, "value": content}, caller))
        return outcome.status

    def service_level(self) -> int:
        """Healthy is 255. Degraded (a source or sink is away): 2 to 199 by the share of tags that are not Bad. 1 where there are none."""
        own, status = self._context.figures().get("Gateway", {}), self._context.view.status
        usable = np.count_nonzero(status < np.uint32(BAD)) / status.size if status.size else 1.0
        if not usable:
            return 1
        return 255 if own.get("Ready", True) and not own.get("Degraded") else 2 + round(197 * usable)

    def count(self, name: str, n: int = 1) -> None:
        self._context.report.count(name, n)
