"""No request holds the event loop: the longest step that the server makes on its behalf, in its own processor time."""

import asyncio
import time

import pytest
from asyncua import ua

from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from support.opcua_face import opcua_face
from support.opcua_raw import Raw, Refused
from support.opcua_requests import TAGS, VALUE, browses, calls, items, many, paths, reads, refreshes, request, subscription

STEP_S = 0.5  # CPU seconds: five times what a step may take, so that a slow machine proves nothing
PIPELINED = 60


@pytest.fixture
def steps(monkeypatch):
    """Seconds that each callback of the loop took; threads beside it do not count."""
    taken, run = [], asyncio.Handle._run

    def timed(handle):
        began = time.thread_time()
        run(handle)
        taken.append(time.thread_time() - began)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return taken


@pytest.fixture
async def raw():
    async with opcua_face([Tag(number, f"many.x{number}") for number in range(TAGS)]) as face:
        await face.step({f"many.x{number}": 1.0 for number in range(TAGS)})
        async with Raw(int(face.sink.url.split(":")[2].split("/")[0])) as client:
            yield client


def modified(mine):
    wanted = [
        ua.MonitoredItemModifyRequest(number, ua.MonitoringParameters(1, 0.0, None, 1, True)) for number in range(limits.ITEMS_PER_CALL)
    ]
    return request("ModifyMonitoredItems", SubscriptionId=mine, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToModify=wanted)


def of_items(kind, mine):
    more = {"MonitoringMode": ua.MonitoringMode.Sampling} if kind == "SetMonitoringMode" else {}
    return request(kind, SubscriptionId=mine, MonitoredItemIds=list(range(limits.ITEMS_PER_CALL)), **more)


LONG = {
    "values": lambda _: reads(VALUE),
    "names": lambda _: reads(ua.AttributeIds.DisplayName),
    "permissions": lambda _: reads(ua.AttributeIds.UserRolePermissions),
    "diagnostics": lambda _: request(
        "Read", NodesToRead=[ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_SubscriptionDiagnosticsArray), VALUE)] * 2_000
    ),
    "references": lambda _: browses(),
    "some fields of references": lambda _: browses(mask=5),
    "references one by one": lambda _: browses(page=1),
    "no references": lambda _: browses(direction=ua.BrowseDirection.Inverse),
    "paths": lambda _: paths(["none"], 1_000),
    "items": lambda mine: items(mine, many(limits.ITEMS_PER_CALL)),
    "items on nothing": lambda mine: items(mine, [ua.NodeId("none", 2)] * limits.ITEMS_PER_CALL),
    "items modified": modified,
    "items sampling": lambda mine: of_items("SetMonitoringMode", mine),
    "items deleted": lambda mine: of_items("DeleteMonitoredItems", mine),
    "written": lambda _: request(
        "Write", NodesToWrite=[ua.WriteValue(node, VALUE, None, ua.DataValue(ua.Variant(1.0))) for node in many(1_000)]
    ),
    "written elements": lambda _: request(
        "Write", NodesToWrite=[ua.WriteValue(many(1)[0], VALUE, None, ua.DataValue(ua.Variant([ua.LocalizedText()] * 90_000)))]
    ),
    "refreshed": lambda _: refreshes(limits.METHODS_PER_CALL),
    "refreshed without end": lambda _: refreshes(28_000),
    "called with elements": lambda _: calls(
        [ua.CallMethodRequest(ua.NodeId(2782), ua.NodeId(3875), [ua.Variant([ua.Variant(1)] * 90_000, ua.VariantType.Variant)])]
    ),
}


async def test_no_long_request_holds_the_loop(raw, steps):
    """A tenth of a second, and as much again for a slow machine: limits bound the whole, slices the step."""
    mine = (await raw.ask(subscription(3_600_000.0))).Parameters.SubscriptionId
    longest = {}
    for name, make in LONG.items():
        body = raw.encoded(make(mine))
        await asyncio.sleep(0)
        steps.clear()
        try:
            await raw.raw(body)
        except Refused as refused:
            assert refused.code == ua.StatusCodes.BadTooManyOperations, name  # noqa: PT017 - answered or refused: both are well
        longest[name] = max(steps)
    print({name: round(took * 1e3, 1) for name, took in longest.items()})
    assert max(longest.values()) < STEP_S, longest


async def test_many_requests_at_once_do_not_hold_the_loop(raw, steps):
    """Each short, and sixty of them in one piece."""
    asked = request("Read", NodesToRead=[ua.ReadValueId(node, ua.AttributeIds.DisplayName) for node in many(500)])
    body = raw.encoded(asked)
    whole = b"".join(raw.chunks(body) for _ in range(PIPELINED))
    await asyncio.sleep(0)
    steps.clear()
    raw.writer.write(whole)
    for _ in range(PIPELINED):
        await raw.answer()
    assert max(steps) < STEP_S
