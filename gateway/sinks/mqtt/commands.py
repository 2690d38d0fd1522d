"""Commands over MQTT: `<prefix>/_cmd/<command>` with {"id", "token", "expires", "args"}, answered at `<prefix>/_cmd/<command>/reply`.

A broker says nothing of who published, so the payload does: a machine token of the API, whose role decides. What is overheard cannot be
used again: an id is used once, also across a restart, and `expires` lies at most AHEAD_S from now, so that it is enough to remember the
ids of that time. Nothing of the payload is repeated but the id.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.access.attempts import Thrift
from gateway.contracts import Memory, NotConnected, SinkContext
from gateway.model import quality
from gateway.model.command import Caller, Command, Outcome
from gateway.model.instant import iso, parse
from gateway.model.jsontext import MAX_DEPTH, loads
from gateway.sinks.mqtt import encode
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.client import Link, Outgoing

LONGEST_BYTES: Final = 64 * 1024
AHEAD_S: Final = 300.0
SLOTS: Final = 1000  # ids that are remembered: more commands than that within AHEAD_S are refused
AT_ONCE: Final = 32
_BAD_REQUEST_TOO_LARGE: Final = 0x80B8_0000
_BAD_TOO_MANY_OPERATIONS: Final = 0x8010_0000
_BAD_INVALID_TIMESTAMP: Final = 0x8023_0000
_BAD_NONCE_INVALID: Final = 0x8024_0000
_SECRETS: Final = frozenset({"user:manage", "account:own", "cert:trust"})  # what these answer is not for all who hear the reply
_MACHINE: Final = "token:"
ORIGIN: Final = "mqtt"


class Request(BaseModel):
    """The payload of a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=100, description="used once")
    token: str = Field(min_length=1, max_length=200, description="a machine token of the API")
    expires: str | int | float = Field(description="ISO 8601, or milliseconds since 1970; at most five minutes ahead")
    args: dict[str, Any] = Field(default_factory=dict)


class Unfit(Exception):
    """A request that is not done. status: a StatusCode."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Used:
    """Ids that were used and may not be again before they expire. They outlive a restart: each stands in a slot of the unit's memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._until: dict[str, int] = {}  # id -> when it expires
        self._slot: dict[str, int] = {}
        self._free = list(range(SLOTS))
        self._loaded = False

    def take(self, identifier: str, expires_ns: int, now_ns: int) -> None:
        """Raises Unfit where it was used already, or where there are too many."""
        self._load()
        if identifier in self._until and self._until[identifier] > now_ns:
            raise Unfit(_BAD_NONCE_INVALID, "this id was used already")
        if not self._free or identifier in self._until:
            self._purge(now_ns)
        if not self._free:
            raise Unfit(_BAD_TOO_MANY_OPERATIONS, f"{SLOTS} commands within {AHEAD_S:g} s are all there can be")
        slot = self._free.pop()
        self._until[identifier], self._slot[identifier] = expires_ns, slot
        self._memory.put(f"used/{slot}", f"{identifier} {expires_ns}")

    def _purge(self, now_ns: int) -> None:
        for identifier in [one for one, until_ns in self._until.items() if until_ns <= now_ns]:
            del self._until[identifier]
            self._free.append(self._slot.pop(identifier))

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for slot in range(SLOTS):
            identifier, _, expires_ns = (self._memory.get(f"used/{slot}") or "").partition(" ")
            if identifier:
                self._until[identifier], self._slot[identifier] = int(expires_ns), slot
                self._free.remove(slot)


@dataclass(frozen=True, slots=True)
class _Reply:
    """Where an answer goes: the command's reply topic, and the one that the request names."""

    topics: tuple[str, ...]
    correlation: bytes


class Commanding:
    """Takes what comes below `<prefix>/_cmd/`; each command is a task of its own, at most AT_ONCE of them."""

    def __init__(self, context: SinkContext, prefix: str) -> None:
        self._context, self._prefix = context, prefix
        self._used = Used(context.memory)
        self._records = Thrift(burst=30, interval_s=60.0)
        self._under_way: set[asyncio.Task[None]] = set()

    async def begin(self, link: Link) -> None:
        """Raises NotConnected."""
        topics = [f"{self._prefix}/_cmd/+"]
        refused = await link.subscribe(topics, qos=1)
        for topic in topics:
            self._context.report.problem(topic, refused.get(topic))

    def take(self, link: Link, messages: Sequence[packets.Message]) -> None:
        """PUBACK at once: a command that is lost with this process is not begun again by another."""
        link.acknowledge([message.mid for message in messages if message.mid])
        for message in messages:
            task = asyncio.create_task(self._answer(link, message, busy=len(self._under_way) >= AT_ONCE), name="command")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def close(self) -> None:
        """What was begun goes on to its end behind the door; its answer has nowhere to go."""
        for task in tuple(self._under_way):
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and isinstance(task.exception(), NotConnected):
            return  # the sink itself notices that its link is gone
        if not task.cancelled():
            task.result()

    async def _answer(self, link: Link, message: packets.Message, *, busy: bool) -> None:
        kind = message.topic.decode(errors="replace").removeprefix(f"{self._prefix}/_cmd/")
        if not kind or "/" in kind or message.topic.decode(errors="replace") == kind:
            return
        self._context.report.count("commands")
        reply, identifier, caller = _Reply((f"{self._prefix}/_cmd/{kind}/reply",), b""), None, None
        try:
            request = self._request(message, busy)
            identifier = request.id
            caller = await self._caller(request)
            reply = self._reply(kind, message.properties)
            self._use(request, caller.user)
            self._fits(kind)
        except Unfit as unfit:
            self._context.report.count("commands_refused")
            outcome = Outcome(unfit.status, unfit.why, {})
            if caller is not None:
                await self._record(Command(kind, {}, caller), outcome)
        else:
            outcome = await self._context.commands.execute(Command(kind, request.args, caller))
        await self._send(link, reply, kind, identifier, outcome)

    async def _record(self, command: Command, outcome: Outcome) -> None:
        """What somebody who is known asked for in vain, before the door could keep a record of it."""
        left_out = self._records.take(time.monotonic())
        if left_out is not None:
            await self._context.record(replace(command, args={"left_out": left_out} if left_out else {}), outcome)

    async def _caller(self, request: Request) -> Caller:
        """Raises Unfit."""
        caller = await self._context.access.bearer(request.token, ORIGIN)
        if caller is None or not caller.user.startswith(_MACHINE):
            raise Unfit(quality.BAD_USER_ACCESS_DENIED, "this is no machine token, or not any more")
        return caller

    def _fits(self, kind: str) -> None:
        """Raises Unfit."""
        try:
            told_to_one = self._context.commands.permission(kind) in _SECRETS
        except KeyError:
            return  # the door says which there are
        if told_to_one:
            raise Unfit(quality.BAD_NOT_SUPPORTED, f"{kind} is not done over MQTT: others may hear the answer")

    def _request(self, message: packets.Message, busy: bool) -> Request:
        """Raises Unfit."""
        if message.payload is None or len(message.payload) > LONGEST_BYTES:
            raise Unfit(_BAD_REQUEST_TOO_LARGE, f"a command has at most {LONGEST_BYTES} bytes")
        if message.retain:
            raise Unfit(quality.BAD_NOT_SUPPORTED, "a retained command would come again and again: publish it without retain")
        if busy:
            raise Unfit(_BAD_TOO_MANY_OPERATIONS, f"{AT_ONCE} commands are under way: try again later")
        try:
            return Request.model_validate(loads(message.payload))
        except ValidationError as fault:
            places = sorted({".".join(map(str, one["loc"])) or "the document" for one in fault.errors()})
            raise Unfit(quality.BAD_DECODING_ERROR, f"not understood: {', '.join(places)[:200]}; it has id, token, expires, args") from None
        except ValueError:
            raise Unfit(quality.BAD_DECODING_ERROR, f"not understood: it is no JSON, or nests deeper than {MAX_DEPTH} levels") from None

    def _use(self, request: Request, user: str) -> None:
        """Raises Unfit."""
        now_ns, expires_ns = self._context.now_ns(), parse(request.expires)
        if expires_ns is None:
            raise Unfit(_BAD_INVALID_TIMESTAMP, "expires is an instant: ISO 8601 with Z, or milliseconds since 1970")
        if expires_ns <= now_ns:
            raise Unfit(_BAD_INVALID_TIMESTAMP, f"it has expired; here it is {iso(now_ns)}")
        if expires_ns > now_ns + AHEAD_S * 1e9:
            raise Unfit(_BAD_INVALID_TIMESTAMP, f"expires lies more than {AHEAD_S:g} s ahead; here it is {iso(now_ns)}")
        self._used.take(hashlib.sha256(f"{user}\n{request.id}".encode(errors="replace")).hexdigest()[:32], expires_ns, now_ns)

    def _reply(self, kind: str, properties: bytes) -> _Reply:
        """Where somebody who is known wants the answer. Not on the gateway's own topics: nobody says there what the gateway did not."""
        own = f"{self._prefix}/_cmd/{kind}/reply"
        try:
            topic, correlation = packets.reply_to(properties)
        except packets.Malformed:
            return _Reply((own,), b"")
        strange = not topic or any(one in topic for one in "+#\0\ufffd") or topic.startswith("$") or topic == own
        ours = topic == self._prefix or topic.startswith(f"{self._prefix}/")
        return _Reply((own,) if strange or ours else (own, topic), correlation)

    async def _send(self, link: Link, reply: _Reply, kind: str, identifier: str | None, outcome: Outcome) -> None:
        """Raises NotConnected."""
        payload = encode.json(
            {
                "id": identifier,
                "command": kind,
                "status": quality.name(outcome.status),
                "code": outcome.status,
                "message": outcome.message,
                "result": dict(outcome.result),
                "timestamp": iso(self._context.now_ns()),
            }
        )
        await link.publish([Outgoing(topic, payload, correlation=reply.correlation) for topic in reply.topics])
