"""Every service of the running gateway's OPC UA server to node-opcua, a stack that shares no line with ours."""

from pathlib import Path

import pytest

from support.cutter import cutter
from support.gateway import GatewayProcess
from support.ports import free_port

NODE = Path(__file__).parents[1] / "node"
PASSWORD = "kettle-drum-seven"
OVERFLOW, BAD_OUT_OF_RANGE = 0x480, 0x803C_0000
CELLS = 2_000

pytestmark = pytest.mark.live

SITE = """
opcua: {{port: {port}, insecure: true, anonymous: viewer}}
tags:
  - {{name: line.x, writable: {{}}}}
  - {{name: line.y, writable: {{}}}}
  - {{name: line.gate, writable: {{}}}}
  - {{name: line.base, writable: {{}}}}
  - {{name: line.recipe, type: text}}
  - {{name: line.temp, writable: {{}}}}
{more}
alarms:
  - {{tag: line.temp, hi: 50, severity: 700, message: Oven too hot, confirm: true}}
derived:
  - {{name: line.v, expr: "line.x / line.gate", range: [0, 100]}}
  - {{name: line.w, expr: "line.y"}}
{derived}
"""
DERIVED = "\n".join(f'  - {{name: cell.t{n:04d}, expr: "line.base + 1000"}}' for n in range(CELLS))


class Site:
    """A gateway with 2 000 derived tags and a person of each role that matters."""

    def __init__(self, folder, more=""):
        self.port = free_port()
        self.gateway = GatewayProcess(folder, SITE.format(port=self.port, derived=DERIVED, more=more))
        self.url, self.web = f"opc.tcp://127.0.0.1:{self.port}/edgetwin", f"http://127.0.0.1:{self.gateway.web}"

    def start(self):
        self.gateway.start(within=30)
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
    assert (event["EventType"], event["SourceName"], event["Message"], event["Severity"]) == ("ns=0;i=10060", "line.temp", "Oven too hot", 700)
    assert [event[f"{state}State.Id"] for state in ("Active", "Acked", "Confirmed", "Enabled", "Suppressed")] == [True, False, False, True, False]
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
    site.gateway.start(within=30)
    after = await node.run(script, site.url, condition, PASSWORD, "after", folder=tmp_path, within=60)
    assert after["refreshed"]["alarm"] == found["kept"]
    assert (after["confirm"], after["foreign"]) == ("Good", "BadSubscriptionIdInvalid")
    assert (after["gone"]["Retain"], after["gone"]["Comment"]) == (False, "in the morning")
