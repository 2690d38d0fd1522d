"""Commands on values: write a setpoint to the plant, put a value in by hand, release it again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateway.contracts import TwinView, Writable
from gateway.engine.setpoints import Accepted, Interlock, Verdict, guard
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.command import Caller
from gateway.model.expression import parse
from gateway.model.reading import UNREADABLE, Reading, read
from gateway.model.tag import DERIVED, MANUAL, Tag, TagType
from gateway.model.update import TwinUpdate
from gateway.operations import states
from gateway.operations.door import Args, Commanded, Operation, Refused, names_of, text_of


class Manual(Protocol):
    """What these commands need of the engine."""

    @property
    def view(self) -> TwinView: ...
    def release(self, tag_ids: list[int], now_ns: int) -> TwinUpdate: ...


class Setpoints:
    """The guard's memory (last accepted writes) and the three commands."""

    def __init__(
        self,
        engine: Manual,
        writer: Callable[[Tag], Writable | None],
        put: Callable[[SampleBatch], Awaitable[None]],
        commanded: Commanded,
        now_ns: Callable[[], int],
    ) -> None:
        self._engine, self._writer, self._put, self._commanded, self._now_ns = engine, writer, put, commanded, now_ns
        self._accepted: dict[str, Accepted] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def operations(self) -> dict[str, Operation]:
        return {
            "tag.write": Operation("tag:write", self.write, "write a setpoint to the plant: tag, value, reason"),
            "tag.override": Operation("tag:override", self.override, "put a value in by hand, until it is released: tag, value, reason"),
            "tag.release": Operation("tag:override", self.release, "end manual input: tag (text or list)"),
            **states.operations(lambda: self._engine.view.tags, self._put, self._now_ns),
        }

    async def write(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        """The PLC's answer is the outcome's status. A tag without a source is the gateway's own: it takes the value as manual input."""
        tag = self._tag(text_of(args, "tag"))
        value = _setpoint(tag, args.get("value"))
        async with self._turns.setdefault(tag.name, asyncio.Lock()):  # the rate is judged against the write before this one
            self._guard(tag, value, args, caller)
            if tag.source == MANUAL:
                await self._by_hand(tag, value)
            else:
                await self._to_plant(tag, value)
            if not isinstance(value, str):
                self._accepted[tag.name] = Accepted(value, self._now_ns())
        return {"tag": tag.name, "value": value}

    def _guard(self, tag: Tag, value: float | str, args: Args, caller: Caller) -> None:
        verdict = guard(
            tag.write_rule,
            tag,
            value,
            role=caller.role,
            reason=text_of(args, "reason", ""),
            now_ns=self._now_ns(),
            last=self._accepted.get(tag.name),
            interlock=self._interlock(tag),
        )
        if not verdict.allowed:
            raise Refused(verdict.status, verdict.why)

    async def override(self, args: Args, caller: Caller) -> Mapping[str, Any]:
        """Manual input wins over the source until it is released; status GoodLocalOverride. A writable tag keeps its guard."""
        tag = self._tag(text_of(args, "tag"))
        if tag.source == DERIVED:
            raise Refused(quality.BAD_NOT_WRITABLE, f"{tag.name} is derived from other tags")
        value = _setpoint(tag, args.get("value"))
        if tag.write_rule is not None:
            self._guard(tag, value, args, caller)
        await self._by_hand(tag, value)
        return {"tag": tag.name, "value": value}

    async def release(self, args: Args, _: Caller) -> Mapping[str, Any]:
        tags = [self._tag(name) for name in names_of(args, "tag")]
        ids = [tag.tag_id for tag in tags]
        self._commanded("release", self._engine.release(ids, self._now_ns()), tag_ids=ids)
        return {"released": [tag.name for tag in tags]}

    def _tag(self, name: str) -> Tag:
        tag = self._engine.view.tags.named(name)
        if tag is None:
            raise Refused(quality.BAD_NODE_ID_UNKNOWN, f"there is no tag {name!r}")
        if not tag.enabled:
            raise Refused(quality.BAD_OUT_OF_SERVICE, f"{name} is out of service")
        return tag

    def _interlock(self, tag: Tag) -> Verdict | None:
        rule = tag.write_rule
        if rule is None or rule.interlock is None:
            return None
        view = self._engine.view
        expression = parse(rule.interlock, view.tags.index, stateful=False)
        by_hand = [name for name in expression.names if self._is_overridden(view.tags[view.tags.index[name]])]
        if by_hand:  # a value put in by hand proves nothing about the plant
            return Verdict(
                quality.BAD_INVALID_STATE, f"the interlock {rule.interlock!r} cannot be judged: {by_hand[0]} is overridden by hand"
            )
        return Interlock.of(expression, view.tags).check(view.value, view.status)

    def _is_overridden(self, tag: Tag) -> bool:
        sourced = tag.source not in {MANUAL, DERIVED}
        return sourced and int(self._engine.view.status[tag.tag_id]) == quality.GOOD_LOCAL_OVERRIDE

    async def _to_plant(self, tag: Tag, value: float | str) -> None:
        writer = self._writer(tag)
        if writer is None:
            raise Refused(quality.BAD_NOT_WRITABLE, f"the source of {tag.name} cannot be written")
        (status,) = await writer.write_setpoints([(tag.tag_id, value)])
        if status >= quality.BAD:
            raise Refused(status, f"{tag.name}: the source answered {quality.name(status)}")

    async def _by_hand(self, tag: Tag, value: float | str) -> None:
        now_ns = self._now_ns()
        number, text = (float("nan"), {0: value}) if isinstance(value, str) else (value, {})
        await self._put(SampleBatch.of([tag.tag_id], [number], quality.GOOD, now_ns, received_ns=now_ns, text=text, origin=Origin.MANUAL))


def _setpoint(tag: Tag, raw: object) -> float | str:
    strict = tag.type in {TagType.FLOAT, TagType.INT} and (isinstance(raw, bool | str) or raw is None)
    found: Reading = UNREADABLE if strict else read(tag.type, raw, {label: number for number, label in tag.labels.items()})
    if found.status != quality.GOOD:
        status = quality.BAD_TYPE_MISMATCH if found.status == quality.BAD_DECODING_ERROR else found.status
        raise Refused(status, f"{raw!r} is no value of {tag.name} ({tag.type.name.lower()})")
    return found.value if found.text is None else found.text
