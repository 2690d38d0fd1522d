"""What-ifs from an OPC UA client: called as Methods, found as objects, told as model changes, and there again after a restart."""

from contextlib import asynccontextmanager

import pytest
from asyncua import Client, ua

from gateway.launch import running
from gateway.model.command import Caller, Command
from support.ports import free_port
from support.waiting import eventually

NS = 2
ADMIN = Caller("admin", "admin", "test")
PASSWORD = "Correct-Horse-7-Battery"
SITE = """
tags:
  - {name: line.t, unit: Cel, range: [0, 60]}
  - {name: line.sp, unit: Cel, range: [0, 60], writable: {min: 18, max: 30}}
alarms: [{tag: line.t, lo: 18, hi: 25}]
models:
  hall: {kind: first_order, output: line.t, inputs: {u: line.sp}, parameters: {tau: 100s}, noise: {process: 0.02}}
scenarios:
  warm: {parameters: {line.sp: 26}, horizon: 5min, runs: 50}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    head = f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\nweb: {{port: {free_port()}}}\n"
    path.write_text(head + f"opcua: {{port: {free_port()}, insecure: true, anonymous: operator}}\n" + SITE)
    return path


@asynccontextmanager
async def served(site):
    """A gateway at 22 Cel, and an operator's client."""
    async with running(site) as gateway:
        for tag in ("line.t", "line.sp"):
            await gateway.door.execute(Command("tag.override", {"tag": tag, "value": 22.0}, ADMIN))
        async with Client(gateway.urls()["opcua"], timeout=10) as client:
            yield gateway, client


def node(client, path=""):
    return client.get_node(ua.NodeId(f"Simulation{path}", NS))


async def value(client, path):
    return (await node(client, path).read_data_value(raise_on_bad_status=False)).Value.Value


async def what_if(client, setpoints=(), horizon=60.0, step=1.0, runs=50, seed=7):
    return await node(client).call_method(
        "2:WhatIf", ua.Variant(list(setpoints), ua.VariantType.String, is_array=True), horizon, step, runs, seed
    )


async def ended(client, run):
    async def looked():
        return await value(client, f"/Runs/{run}/State") in {"done", "failed"}

    await eventually(looked, within=20)
    return await value(client, f"/Runs/{run}/State")


async def names(client, path):
    return {(await child.read_browse_name()).Name for child in await node(client, path).get_children()}


async def refused(client, *inputs):
    """The StatusCodes of a WhatIf that is not done: the operation's, then those of its inputs."""
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = ua.NodeId("Simulation", NS), ua.NodeId("Simulation/WhatIf", NS)
    request.InputArguments = list(inputs)
    [result] = await client.uaclient.call([request])
    return result.StatusCode.name, [one.name for one in result.InputArgumentResults]


async def test_a_what_if_is_browsed_told_and_there_again_after_a_restart(site):
    changes = []

    class Told:
        def event_notification(self, event):
            changes.extend((one.Affected.Identifier.rpartition("/")[2], one.Verb) for one in event.Changes)

    async with served(site) as (_, client):
        subscription = await client.create_subscription(50, Told())
        await subscription.subscribe_events(evtypes=ua.ObjectIds.GeneralModelChangeEventType)
        run = await what_if(client, ["line.sp=26"])
        assert await ended(client, run) == "done"
        assert await names(client, "/Runs") == {run}
        assert {"State", "Seed", "Times", "Outputs", "Limits"} <= await names(client, f"/Runs/{run}")
        said = {
            name: await value(client, f"/Runs/{run}/{name}") for name in ("User", "Setpoints", "Seed", "Runs", "Horizon", "Why", "Progress")
        }
        assert said == {
            "User": "anonymous",
            "Setpoints": ["line.sp=26"],
            "Seed": 7,
            "Runs": 50,
            "Horizon": 60.0,
            "Why": "",
            "Progress": 1.0,
        }
        assert await names(client, f"/Runs/{run}/Outputs") == {"line.t"}
        low, middle, high, delta, half = [
            await value(client, f"/Runs/{run}/Outputs/line.t/{part}") for part in ("P05", "P50", "P95", "Delta", "DeltaHalfWidth")
        ]
        times = await value(client, f"/Runs/{run}/Times")
        assert len(times) == len(low) == len(delta) == 61
        assert (times[-1] - times[0]).total_seconds() == 60
        assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))
        assert delta[0] == 0
        assert delta[-1] == pytest.approx(4 * (1 - 2.718281828 ** (-60 / 100)), rel=1e-6)  # of the same chance: nothing but the change
        assert max(half) == pytest.approx(0, abs=1e-9)
        parts = ("Threshold", "ProbabilityLow", "Probability", "ProbabilityHigh")
        chances = {part: await value(client, f"/Runs/{run}/Limits/line.t/HI/{part}") for part in parts}
        assert chances["Threshold"] == 25
        assert 0 <= chances["ProbabilityLow"] <= chances["Probability"] <= chances["ProbabilityHigh"] <= 1
        await eventually(lambda: changes == [(run, 1), (run, 4)])  # NodeAdded; ReferenceAdded, with its results
        found = [low, middle, high, times, await value(client, f"/Runs/{run}/Started")]
    async with served(site) as (_, client):
        kept = [await value(client, f"/Runs/{run}/Outputs/line.t/{part}") for part in ("P05", "P50", "P95")]
        assert [*kept, await value(client, f"/Runs/{run}/Times"), await value(client, f"/Runs/{run}/Started")] == found


async def test_scenarios_are_run_compared_and_a_run_that_fails_says_why(site):
    async with served(site) as (_, client):
        run = await node(client).call_method("2:RunScenario", "warm")
        assert await ended(client, run) == "done"
        assert await value(client, f"/Runs/{run}/Scenario") == "warm"
        both = await node(client).call_method("2:CompareScenarios", ua.Variant(["now", "warm"], ua.VariantType.String))
        assert await ended(client, both) == "done"
        assert await names(client, f"/Runs/{both}/Scenarios") == {"now", "warm"}
        assert (await value(client, f"/Runs/{both}/Scenarios/warm/Outputs/line.t/Delta"))[-1] > 1
        long = await what_if(client, horizon=200_000.0, step=1.0, runs=100)
        await node(client).call_method("2:Cancel", long)
        assert (await ended(client, long), await value(client, f"/Runs/{long}/Why")) == ("failed", "cancelled")
        assert await value(client, f"/Runs/{long}/Progress") == 0.0
        assert len(await names(client, "/Runs")) == 3
        with pytest.raises(ua.UaStatusCodeError) as unknown:
            await node(client).call_method("2:RunScenario", "cold")
        assert unknown.value.code == ua.StatusCodes.BadNodeIdUnknown


async def test_what_cannot_be_is_refused_argument_by_argument(site):
    def text(*setpoints):
        return ua.Variant(list(setpoints), ua.VariantType.String, is_array=True)

    def number(one, kind=ua.VariantType.Double):
        return ua.Variant(one, kind)

    fine = [text("line.sp=26"), number(60.0), number(1.0), number(50, ua.VariantType.UInt32), number(7, ua.VariantType.Int64)]
    odd = [
        (0, text("line.sp"), "BadTypeMismatch"),
        (0, text("line.sp=warm"), "BadTypeMismatch"),
        (0, text("=26"), "BadTypeMismatch"),
        (0, text("line.sp=1_0"), "BadTypeMismatch"),
        (0, text(None), "BadTypeMismatch"),
        (0, text("line.sp=nan"), "BadOutOfRange"),
        (0, text("line.sp=-inf"), "BadOutOfRange"),
        (0, text("line.sp=25", "line.sp=26"), "BadOutOfRange"),
        (0, text(*(f"a.b{n}=1" for n in range(201))), "BadOutOfRange"),
        (0, text("x" * 400 + "=1"), "BadTypeMismatch"),
        (0, number(26.0), "BadTypeMismatch"),
        (1, number(0.0), "BadOutOfRange"),
        (1, number(float("nan")), "BadOutOfRange"),
        (1, number(float("inf")), "BadOutOfRange"),
        (1, ua.Variant("60", ua.VariantType.String), "BadTypeMismatch"),
        (2, number(-1.0), "BadOutOfRange"),
        (3, number(0, ua.VariantType.Int32), "BadOutOfRange"),
        (3, number(1.5), "BadTypeMismatch"),
        (4, number(-1, ua.VariantType.Int64), "BadOutOfRange"),
    ]
    async with served(site) as (_, client):
        for place, wrong, why in odd:
            expected = ["Good"] * 5
            expected[place] = why
            assert await refused(client, *fine[:place], wrong, *fine[place + 1 :]) == ("BadInvalidArgument", expected), wrong
        for place, wrong in ((0, text("line.none=1")), (0, text("line.sp=31")), (1, number(1e300)), (2, number(61.0)), (3, number(2e9))):
            status, _ = await refused(client, *fine[:place], wrong, *fine[place + 1 :])
            assert status == "BadOutOfRange", wrong
        assert (await refused(client, *fine[:4]))[0] == "BadArgumentsMissing"
        assert (await refused(client, *fine, fine[4]))[0] == "BadTooManyArguments"
        usual = ua.Variant(None, ua.VariantType.Null)
        assert (await refused(client, text(), usual, usual, number(20, ua.VariantType.Byte), usual))[0] == "Good"


async def test_a_viewer_may_look_and_not_run(site):
    async with served(site) as (gateway, client):
        run = await what_if(client)
        await gateway.people.users.add("vera", "viewer", PASSWORD)
        viewer = Client(gateway.urls()["opcua"], timeout=10)
        viewer.set_user("vera")
        viewer.set_password(PASSWORD)
        async with viewer:
            assert await ended(viewer, run) == "done"
            with pytest.raises(ua.UaStatusCodeError) as denied:
                await what_if(viewer)
            assert denied.value.code == ua.StatusCodes.BadUserAccessDenied


async def test_the_last_hundred_runs_are_kept_and_each_that_goes_is_told(site):
    gone = []

    class Told:
        def event_notification(self, event):
            gone.extend(one.Affected.Identifier.rpartition("/")[2] for one in event.Changes if one.Verb == 2)

    async with served(site) as (_, client):
        subscription = await client.create_subscription(50, Told())
        await subscription.subscribe_events(evtypes=ua.ObjectIds.GeneralModelChangeEventType)
        runs = []
        for _ in range(102):
            run = await what_if(client, horizon=2.0, runs=1)
            await ended(client, run)
            runs.append(run)
        assert await names(client, "/Runs") == set(runs[2:])
        await eventually(lambda: gone == runs[:2])
        assert await value(client, f"/Runs/{runs[0]}/State") is None
