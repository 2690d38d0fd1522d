"""Every service of the running gateway's OPC UA server to node-opcua, a stack that shares no line with ours."""

import asyncio
from pathlib import Path

import pytest

from gateway.wire.opcua.capabilities import PROFILES
from support.cutter import cutter
from support.gateway import GatewayProcess
from support.opcua_source import Kind, OpcUaSource
from support.ports import free_port, wait_open
from support.waiting import eventually

NODE = Path(__file__).parents[1] / "node"
PASSWORD = "kettle-drum-seven"
OVERFLOW, BAD_OUT_OF_RANGE = 0x480, 0x803C_0000
CELLS = 2_000

pytestmark = pytest.mark.live

SITE = """
{sources}
opcua: {{port: {port}, insecure: true, anonymous: viewer}}
tags:
  - {{name: line.x, writable: {{}}}}
  - {{name: line.y, writable: {{}}}}
  - {{name: line.gate, writable: {{}}}}
  - {{name: line.base, writable: {{}}}}
  - {{name: line.recipe, type: text}}
  - {{name: line.temp, writable: {{}}}}
  - {{name: line.level, writable: {{}}}}
{more}
alarms:
  - {{tag: line.level, hi: 50, message: Tank full}}
  - {{tag: line.temp, hi: 50, severity: 700, message: Oven too hot, confirm: true}}
derived:
  - {{name: line.v, expr: "line.x / line.gate", range: [0, 100]}}
  - {{name: line.w, expr: "line.y"}}
{stop}
{derived}
"""
PLC = """
sources:
  plc: {{driver: opcua, url: "{url}", security: None, publishing_interval: 50ms}}
"""
PLC_TAGS = """
  - {name: plc.setpoint, source: plc, address: "nsu=urn:test:plant;s=setpoint", writable: {min: 0, max: 100}}
  - {name: plc.limit, source: plc, address: "nsu=urn:test:plant;s=limit", writable: {role: engineer}}
  - {name: plc.ramp, source: plc, address: "nsu=urn:test:plant;s=ramp", writable: {max_rate: 60/min}}
  - {name: plc.guarded, source: plc, address: "nsu=urn:test:plant;s=guarded", writable: {interlock: "not line.stop"}}
  - {name: plc.refused, source: plc, address: "nsu=urn:test:plant;s=refused", writable: {}}
  - {name: line.estop, writable: {}}
"""
STOP = '  - {name: line.stop, expr: "line.estop + 0"}'
DERIVED = "\n".join(f'  - {{name: cell.t{n:04d}, expr: "line.base + 1000"}}' for n in range(CELLS))


class Site:
    """A gateway with 2 000 derived tags and a person of each role that matters."""

    def __init__(self, folder, sources="", more=""):
        self.port = free_port()
        self.gateway = GatewayProcess(
            folder, SITE.format(port=self.port, derived=DERIVED, sources=sources, more=more, stop=STOP if more else "")
        )
        self.url, self.web = f"opc.tcp://127.0.0.1:{self.port}/edgetwin", f"http://127.0.0.1:{self.gateway.web}"

    def run(self):
        """Until the port is open: the gateway is ready as soon as it takes samples."""
        self.gateway.start(within=30)
        wait_open(self.port, within=30)

    def start(self):
        self.run()
        for user, role in (("vic", "viewer"), ("ola", "operator"), ("eve", "engineer")):
            answer = self.gateway.command("user.add", user=user, role=role, password=PASSWORD)
            assert answer.status_code == 200, answer.text
        assert self.gateway.command("tag.write", tag="line.base", value=0).status_code == 200


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("services"))
    with site.gateway:
        site.start()
        yield site


@pytest.fixture
async def plant():
    """A PLC that takes what is written, but for one node."""
    values = dict.fromkeys(("setpoint", "limit", "ramp", "guarded", "refused"), (0.0, Kind.Double))
    async with OpcUaSource(free_port(), values) as plant:
        await plant.nodes["refused"].set_read_only()
        yield plant


async def test_subscriptions(site, node, tmp_path):
    """Each filter, trigger and mode; queues and their overflow bit; links; publishing mode; priority; messages of a size; 2 000 tags."""
    found = await node.run(NODE / "live_subscriptions.mjs", site.url, PASSWORD, folder=tmp_path, within=60)
    bad = [20, BAD_OUT_OF_RANGE]
    assert found["filters"] == {
        "plain": [0, 3, 6, 8, 20, bad, 20],
        "value": [0, 3, 6, 8, 20, bad, 20],
        "timestamp": [0, 3, 3, 6, 8, 20, bad, 20],
        "status": [0, bad, 20],
        "absolute": [0, 6, 20, bad, 20],
        "percent": [0, 20, bad, 20],
    }
    assert found["refusedFilters"] == ["BadFilterNotAllowed", "BadDeadbandFilterInvalid", "BadNodeIdUnknown", "BadAttributeIdInvalid"]
    assert (found["publishing"], found["silent"]) == ([["Good"], ["Good"]], 0)
    assert found["queues"] == {"oldest": [[4, OVERFLOW], 5, 6], "newest": [1, 2, [6, OVERFLOW]], "one": [6], "all": [1, 2, 3, 4, 5, 6]}
    assert found["modes"] == [0, 0]
    assert found["setMode"] == [["Good", "Good"], ["BadMonitoredItemIdInvalid"]]
    assert found["woken"] == {"disabled": [11], "sampling": [10, 11]}
    assert (found["linked"], found["unlinked"]) == ([["Good"], ["BadMonitoredItemIdInvalid"]], ["Good"])
    assert (found["triggered"], found["afterUnlink"]) == ([1, 2, 3], [])
    assert found["priority"] == [True] * 6
    assert found["browsed"] == {"pages": [300] * 6 + [200], "distinct": CELLS}
    assert (found["usedPoint"], found["released"]) == ("BadContinuationPointInvalid", ["Good", "BadContinuationPointInvalid"])
    assert (found["read"], found["items"], found["changed"]) == (CELLS, CELLS, CELLS)
    assert found["messages"] == [[500, True], [500, True], [500, True], [500, False]]
    assert (found["sequences"], found["base"], found["tooMany"]) == (True, 7, "BadTooManyOperations")


async def test_a_connection_that_is_cut_loses_nothing(site, node, tmp_path):
    """The same session on a new channel, and a subscription handed to a new session: every value once, in messages without a gap."""
    async with cutter(site.port) as proxy:
        through = site.url.replace(str(site.port), str(proxy.port))
        found = await node.run(NODE / "live_cut.mjs", through, site.url, proxy.control, PASSWORD, folder=tmp_path, within=60)
    assert found["heard"] == list(range(found["last"] + 1))
    assert found["sequences"] == list(range(1, len(found["sequences"]) + 1))
    assert (found["kept"], found["lost"]) == ([True, True], 3)
    assert found["transfer"] == ["Good", "BadSubscriptionIdInvalid"]
    assert found["again"] == list(range(1, len(found["again"]) + 1))
    values, (following, sequences) = found["republished"], found["next"]
    assert [*values, *following] == [found["last"], 1001, 1002, 1003, 1004, 1005, 1006]
    assert sequences == list(range(len(found["again"]) + 1, len(found["again"]) + len(sequences) + 1))
    assert (found["never"], found["acknowledged"]) == ("BadMessageNotAvailable", "BadMessageNotAvailable")
    assert found["stranger"] == ["BadUserAccessDenied"]


async def test_a_condition_through_everything_that_can_be_done_to_it_and_a_restart(site, node, tmp_path):
    """Part 9: events with their fields, each Method by who may call it, refresh; and the same state after the gateway was killed."""
    script, condition = NODE / "live_alarms.mjs", "line.temp/Alarms/HI"
    found = await node.run(script, site.url, condition, PASSWORD, "before", folder=tmp_path, within=60)
    event = found["event"]
    assert (event["EventType"], event["SourceName"], event["Message"], event["Severity"]) == (
        "ns=0;i=10060",
        "line.temp",
        "Oven too hot",
        700,
    )
    assert [event[f"{state}State.Id"] for state in ("Active", "Acked", "Confirmed", "Enabled", "Suppressed")] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert (event["Retain"], event["ShelvingState.CurrentState"], found["unknownEvent"]) == (True, "Unshelved", "BadEventIdUnknown")
    assert found["commented"] == ["Good", "ola"]
    assert found["acknowledged"] == ["Good", "BadConditionBranchAlreadyAcked"]
    assert (found["acked"]["Comment"], found["acked"]["ClientUserId"], found["acked"]["Retain"]) == ("seen", "ola", True)
    assert found["confirmed"] == ["Good", "BadConditionBranchAlreadyConfirmed"]
    assert found["confirm"]["Comment"] == "fan replaced"
    assert found["shelved"] == ["BadShelvingTimeOutOfRange", "Good"]
    assert (found["timed"], found["expired"], found["notShelved"]) == ("Timed Shelved", True, "BadConditionNotShelved")
    assert (found["once"], found["unshelved"]) == (["Good", "BadConditionAlreadyShelved"], "Good")
    assert (found["suppress"], found["unsuppress"], found["service"]) == (["BadUserAccessDenied", "Good"], "Good", ["Good", "Good"])
    assert found["disable"] == ["BadUserAccessDenied", "Good", "BadConditionAlreadyDisabled"]
    assert found["enable"] == ["Good", "BadConditionAlreadyEnabled"]
    assert (found["refreshed"]["status"], found["refreshed"]["order"]) == ("Good", ["ns=0;i=2787", "ns=0;i=10060", "ns=0;i=2788"])
    assert (found["refreshed"]["alarm"]["EventId"], found["last"][0]) == (found["last"][1], "Good")
    site.gateway.kill()
    await asyncio.to_thread(site.run)
    after = await node.run(script, site.url, condition, PASSWORD, "after", folder=tmp_path, within=60)
    assert after["refreshed"]["alarm"] == found["kept"]
    assert (after["confirm"], after["foreign"]) == ("Good", "BadSubscriptionIdInvalid")
    assert (after["gone"]["Retain"], after["gone"]["Comment"]) == (False, "in the morning")


async def test_history(site, node, tmp_path):
    """Raw with bounds and in pages, values at times, each aggregate that the server names, events."""
    found = await node.run(NODE / "live_history.mjs", site.url, PASSWORD, folder=tmp_path, within=60)
    assert (found["raw"], found["ascending"]) == ([10, 60, 20, 30, 40], True)
    assert (found["backward"], found["newest"]) == ([40, 30, 20, 60, 10], [40, 30])
    assert [value for value, _ in found["bounds"]] == [60, 20, 30]
    assert (found["noBound"][0], found["noBound"][1][0]) == ([None, "BadBoundNotFound"], 10)
    assert (found["pages"], found["twice"]) == ([[10, 60], [20, 30], [40]], "BadContinuationPointInvalid")
    assert found["released"] == ["Good", "BadContinuationPointInvalid"]
    (first, _), (between, how), (before, why) = found["atTime"]
    assert first == pytest.approx(10, abs=3)
    assert between == pytest.approx(60 - 40 * found["share"], abs=3)
    assert ("Interpolated" in how, before, why) == (True, None, "BadNoData")
    statuses = {name: status for name, (status, *_) in found["aggregates"].items()}
    assert (len(statuses), set(statuses.values())) == (19, {"Good"})
    worked_out = {name: value for name, (_, value) in found["aggregates"].items()}
    exact = {"Average": 110 / 3, "Minimum": 20, "Maximum": 60, "Range": 40, "Count": 3, "Start": 60, "End": 30, "Delta": -30}
    assert {name: worked_out[name] for name in exact} == pytest.approx(exact)
    assert (worked_out["PercentGood"], worked_out["PercentBad"], worked_out["DurationBad"]) == (100, 0, 0)
    assert worked_out["Interpolative"] == pytest.approx(10, abs=3)
    assert 25 < worked_out["TimeAverage"] < 45
    assert found["unsupported"] == "BadAggregateNotSupported"
    assert [(source, active) for source, active, _ in found["events"]] == [("line.level", True), ("line.level", False)]
    assert (found["events"][0][2], found["eventPage"]) == ("Tank full", [1, True])
    assert found["modified"] == "BadHistoryOperationUnsupported"


async def test_roles_writes_and_methods(plant, node, tmp_path):
    """A viewer changes nothing, an operator what is for operators, an engineer more; guards refuse, and the PLC has the last word."""
    site = Site(tmp_path / "gateway", PLC.format(url=plant.url), PLC_TAGS)
    with site.gateway:
        await asyncio.to_thread(site.start)
        await eventually(lambda: site.gateway.get("/status")["sources"]["plc"]["state"] == "up", within=20)
        found = await node.run(NODE / "live_roles.mjs", site.url, PASSWORD, folder=tmp_path, within=60)
        assert await plant.nodes["setpoint"].read_value() == 10.0
        assert [await plant.nodes[name].read_value() for name in ("refused", "ramp", "guarded")] == [0.0, 1.0, 2.0]
    denied = "BadUserAccessDenied"
    assert found["write"] == {"vic": [denied] * 2, "nobody": [denied] * 2, "ola": ["Good", denied], "eve": ["Good", "Good"]}
    assert found["level"] == {"vic": [1, 1], "nobody": [1, 1], "ola": [3, 1], "eve": [3, 3]}  # CurrentRead, CurrentWrite
    assert found["executable"] == {"vic": False, "nobody": False, "ola": False, "eve": True}
    assert found["call"] == {"vic": denied, "nobody": denied, "ola": denied, "eve": "Good"}
    assert found["guard"] == {
        "range": "BadOutOfRange",
        "type": "BadTypeMismatch",
        "notANumber": "BadOutOfRange",
        "readOnly": denied,  # says the PLC: an engineer may write this tag
        "plain": "BadNotWritable",
        "nothing": "BadNodeIdUnknown",
        "rate": ["Good", "BadOutOfRange"],
        "interlock": ["BadInvalidState", "Good"],
    }
    assert found["methods"] == {
        "commit": "Good",
        "released": ["Good", ["Good"], [["line.x"]]],
        "missing": "BadArgumentsMissing",
        "types": ["BadInvalidArgument", ["BadTypeMismatch", "Good", "Good"]],
        "unknown": "BadNodeIdUnknown",
        "arguments": [["tag", "en"], ["value", "en"], ["reason", "en"]],
    }
    assert (found["wrong"], found["unknown"]) == (denied, denied)


async def test_the_server_object(site, node, tmp_path):
    """Everything below it reads Good but tags that nobody has written and what is for administrators; Part 5, 6.3."""
    found = await node.run(NODE / "live_server.mjs", site.url, PASSWORD, folder=tmp_path, within=60)
    denied = {
        key: status for key, status in found["bad"].items() if not (key.startswith("ns=2;s=line") and status == "BadWaitingForInitialData")
    }
    uri = f"urn:edgetwin:{site.gateway.name}"
    assert denied == dict.fromkeys(
        ("ns=0;i=3708", "ns=0;i=16134", f"ns=2;s=Namespaces/{uri}/DefaultRolePermissions"), "BadUserAccessDenied"
    )
    assert found["walked"][1] > 150
    told = found["metadata"]
    assert (found["ours"], told["NamespaceUri"], told["IsNamespaceSubset"], told["StaticStringNodeIdPattern"]) == (uri, uri, False, ".*")
    assert (found["locales"], len(found["profiles"])) == (["en"], len(PROFILES))
