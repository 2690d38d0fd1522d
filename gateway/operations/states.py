"""A state from a file put into the twin: looked over whole, then applied as one batch, or refused with the reason."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.model import quality, statefile
from gateway.model.batch import Origin, SampleBatch
from gateway.model.command import Caller
from gateway.model.reading import Reading
from gateway.model.tag import MANUAL, Tag, TagTable
from gateway.operations.arguments import allow
from gateway.operations.door import Args, Operation, Refused


def operations(
    tags: Callable[[], TagTable], put: Callable[[SampleBatch], Awaitable[None]], now_ns: Callable[[], int]
) -> dict[str, Operation]:
    """put(batch) is the road that samples of a source take."""

    async def take(args: Args, _: Caller) -> Mapping[str, Any]:
        allow(args, {"state"})
        try:
            _at_ns, rows = statefile.values(args.get("state"), tags())
        except ValueError as fault:
            raise Refused(quality.BAD_OUT_OF_RANGE, f"the state {fault}") from None
        at_ns = now_ns()
        by_hand = [row for row in rows if row[0].source == MANUAL]
        for origin, chosen in ((Origin.SOURCE, [row for row in rows if row[0].source != MANUAL]), (Origin.MANUAL, by_hand)):
            if chosen:
                await put(batch(chosen, at_ns, origin))
        return {"tags": len(rows)}

    return {"state.import": Operation("history:import", take, "take over the values of a state file until the sources give others: state")}


def batch(rows: list[tuple[Tag, Reading]], at_ns: int, origin: Origin) -> SampleBatch:
    """The values of a state as samples of that time."""
    return SampleBatch.of(
        [tag.tag_id for tag, _ in rows],
        [one.value for _, one in rows],
        [one.status for _, one in rows],
        at_ns,
        received_ns=at_ns,
        text={row: one.text for row, (_, one) in enumerate(rows) if one.text is not None},
        origin=origin,
    )
