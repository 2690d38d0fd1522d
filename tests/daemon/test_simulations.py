"""What-ifs in the daemon: begun by a command, worked on beside the loop, read by REST."""

import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from typer.testing import CliRunner

from gateway import local
from gateway.cli import app
from gateway.jobs.workers import Workers
from gateway.launch import running
from gateway.model import instant, quality
from gateway.model.command import Caller, Command
from gateway.model.event import Category
from gateway.model.process import RunState
from gateway.operations.simulations import BAD_TOO_MANY_OPERATIONS, WAITING
from support.ports import free_port
from support.waiting import eventually

OPERATOR, VIEWER, ADMIN = (Caller(role, role, "test") for role in ("operator", "viewer", "admin"))
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
    path.write_text(head + SITE)
    return path


@asynccontextmanager
async def gateway_of(site):
    """A gateway at 22 Cel."""
    async with running(site) as gateway:
        for tag, number in (("line.t", 22.0), ("line.sp", 22.0)):
            await do(gateway, "tag.override", ADMIN, tag=tag, value=number)
        yield gateway


async def do(gateway, kind, caller=OPERATOR, **args):
    return await gateway.door.execute(Command(kind, args, caller))


async def ended(gateway, run_id):
    """The run, once it has ended."""

    async def looked():
        return (await gateway.store.runs.run(run_id)).state is not RunState.RUNNING

    async with asyncio.timeout(30):
        while not await looked():  # noqa: ASYNC110  another process works on it
            await asyncio.sleep(0.02)
    return await gateway.store.runs.run(run_id)


async def test_a_scenario_runs_from_the_present_state_in_a_worker(site):
    """Its end is an event; the same seed gives the same results; the twin and the setpoint stay as they are."""
    async with gateway_of(site) as gateway:
        seen = gateway.events.subscribe([Category.PROCESS])
        first, second = [(await do(gateway, "scenario.run", name="warm", seed=5)).result["run"] for _ in range(2)]
        one, other = await ended(gateway, first), await ended(gateway, second)
        assert (one.state, one.steps, one.user, tuple(one.scenarios)) == (RunState.DONE, 300, "operator", ("warm",))
        assert one.results == other.results
        found = one.results["outputs"]["line.t"]["p50"]
        assert (found[0], 25.5 < found[-1] < 26.1) == (22.0, True)
        assert [(row["limit"], row["probability"]) for row in one.results["limits"]] == [("HI", 1.0), ("LO", 0.0)]
        event = await anext(aiter(seen))
        assert (event.message, event.details["run"]) == ("simulation of warm done", first)
        assert gateway.engine.view.value[gateway.site.tags.index["line.sp"]] == 22.0
        assert gateway.report.status()["workers"]["alive"] >= 1


async def test_a_change_is_validated_by_simulation(site):
    """26 passes the limit of 25 for sure, 24 does not: what may be applied is said, with the reason."""
    async with gateway_of(site) as gateway:
        asked = {"horizon_s": 600, "step_s": 5, "runs": 50, "risk": 0.05, "seed": 1}
        hot, mild = [(await do(gateway, "simulation.run", parameters={"line.sp": value}, **asked)).result["run"] for value in (26.0, 24.0)]
        refused = (await ended(gateway, hot)).results["verdict"]
        assert (refused["valid"], refused["why"]) == (False, ["line.t reaches HI (25) with a probability of 1, above 0.05"])
        assert (await ended(gateway, mild)).results["verdict"] == {"valid": True, "risk": 0.05, "why": []}
        assert (await do(gateway, "simulation.run", risk=2)).status == quality.BAD_OUT_OF_RANGE


async def test_a_branch_from_a_past_time_is_compared_with_what_was_measured(site):
    """The setpoint that was 22 is 26 in the branch; the plant stayed where it was: it left the band, and without a change it did not."""
    async with gateway_of(site) as gateway:
        view = gateway.engine.view
        begun_ns = int(view.source_ns[gateway.site.tags.index["line.sp"]])
        for number in (22.0, 22.01, 21.99):
            await do(gateway, "tag.override", ADMIN, tag="line.t", value=number)
        await eventually(lambda: time.time_ns() > begun_ns + 2_000_000_000, 5)
        at, step = instant.iso(begun_ns + 1_000_000), 0.05
        begun = await do(gateway, "simulation.run", parameters={"line.sp": 26.0}, at=at, step_s=step, runs=20, seed=3)
        run = await ended(gateway, begun.result["run"])
        found = run.results["measured"]["line.t"]
        assert run.asked["at"] == at
        assert run.steps == pytest.approx((time.time_ns() - begun_ns) / 1e9 / step, abs=40)
        assert (found["measured"][0], found["measured"][-1], found["left"]) == (22.0, 21.99, True)
        assert found["error"][-1] == pytest.approx(21.99 - run.results["outputs"]["line.t"]["p50"][-1])
        assert run.results["as_it_was"]["line.t"]["rmse"] < found["rmse"]
        assert run.results["delta"]["outputs"]["line.t"]["mean"][-1] > 0.05
        same = await ended(gateway, (await do(gateway, "simulation.run", at=at, step_s=step, runs=20)).result["run"])
        assert same.results["measured"]["line.t"]["inside"] > 0.5


@pytest.mark.parametrize(
    ("at", "status", "words"),
    [
        ("soon", quality.BAD_OUT_OF_RANGE, "argument 'at' is a time"),
        ("2100-01-01T00:00:00Z", quality.BAD_OUT_OF_RANGE, "argument 'at' is a past time"),
        ("2020-01-01T00:00:00Z", quality.BAD_NO_DATA, "there is no history of line.t, line.sp at 2020-01-01T00:00:00"),
    ],
)
async def test_a_time_of_which_nothing_is_known_is_refused_by_name(site, at, status, words):
    async with gateway_of(site) as gateway:
        outcome = await do(gateway, "simulation.run", at=at)
        assert (outcome.status, words in outcome.message) == (status, True), outcome.message


async def test_a_comparison_is_paired(site):
    """Under the same chance a linear model differs by exactly what was changed."""
    async with gateway_of(site) as gateway:
        begun = await do(gateway, "scenario.compare", names="warm", seed=1)
        found = (await ended(gateway, begun.result["run"])).results
        difference = found["differences"]["warm"]["outputs"]["line.t"]
        assert found["base"] == "now"
        assert difference["mean"][-1] == pytest.approx(4 * (1 - 2.718281828459045**-3), abs=1e-9)
        assert difference["half_width"][-1] < 1e-9


@pytest.mark.parametrize(
    ("kind", "args", "status", "words"),
    [
        ("simulation.run", {"parameters": {"line.x": 1}}, quality.BAD_OUT_OF_RANGE, "there is no tag or parameter in the models 'line.x'"),
        ("simulation.run", {"parameters": {"line.sp": 31}}, quality.BAD_OUT_OF_RANGE, "line.sp = 31 is outside its range [18, 30]"),
        ("simulation.run", {"parameters": {"line.sp": float("nan")}}, quality.BAD_OUT_OF_RANGE, "'line.sp' is a finite number"),
        ("simulation.run", {"parameters": {"line.sp": "26"}}, quality.BAD_TYPE_MISMATCH, "'line.sp' is a number"),
        ("simulation.run", {"parameters": [1]}, quality.BAD_TYPE_MISMATCH, "'parameters' is a map"),
        ("simulation.run", {"horizon_s": 0}, quality.BAD_OUT_OF_RANGE, "a horizon of 0 s is none"),
        ("simulation.run", {"horizon_s": 1e9}, quality.BAD_OUT_OF_RANGE, "steps are too many"),
        ("simulation.run", {"horizon_s": 1e308, "step_s": 1e-308}, quality.BAD_OUT_OF_RANGE, "steps are too many"),
        ("scenario.save", {"name": "x", "step_s": 1e-308}, quality.BAD_OUT_OF_RANGE, "steps are too many"),
        ("simulation.run", {"horizon_s": 10**400}, quality.BAD_OUT_OF_RANGE, "'horizon_s' is a finite number"),
        ("simulation.run", {"seed": 10**400}, quality.BAD_OUT_OF_RANGE, "'seed' is a whole number from 0"),
        ("simulation.run", {"parameters": {"line.sp": [[0, 10**400]]}}, quality.BAD_TYPE_MISMATCH, "no finite number"),
        ("simulation.run", {"runs": 0}, quality.BAD_OUT_OF_RANGE, "0 runs cannot be"),
        ("simulation.run", {"deadline_s": 1e4}, quality.BAD_OUT_OF_RANGE, "at most 600"),
        ("simulation.run", {"horizon": 5}, 0x80AB_0000, "there is no argument 'horizon'"),
        ("scenario.run", {"name": "none"}, quality.BAD_NODE_ID_UNKNOWN, "there is no scenario 'none'; there are "),
        ("scenario.compare", {"names": ["now"]}, quality.BAD_OUT_OF_RANGE, "1 to 8 scenarios"),
        ("scenario.save", {"name": "a b"}, quality.BAD_OUT_OF_RANGE, "'a b' is not a name for a scenario"),
        ("scenario.save", {"name": "warm"}, quality.BAD_INVALID_STATE, "belongs to the configuration"),
        ("scenario.save", {"name": "x", "parameters": {"line.x": 1}}, quality.BAD_OUT_OF_RANGE, "'line.x'"),
        ("scenario.delete", {"name": "x"}, quality.BAD_NODE_ID_UNKNOWN, "there is no scenario 'x'"),
        ("simulation.cancel", {"run": "x"}, quality.BAD_NODE_ID_UNKNOWN, "no run 'x' is under way"),
    ],
)
async def test_what_cannot_work_is_refused_by_name(refusing, kind, args, status, words):
    outcome = await do(refusing, kind, **args)
    assert (hex(outcome.status), words in outcome.message) == (hex(status), True), outcome.message


@pytest.fixture
async def refusing(site):
    async with gateway_of(site) as gateway:
        yield gateway


async def test_only_so_many_runs_wait_also_of_those_that_come_at_once(refusing):
    most = Workers().most
    asked = {"horizon_s": 3600, "step_s": 1, "runs": 1000}
    outcomes = await asyncio.gather(*(do(refusing, "simulation.run", **asked) for _ in range(WAITING + most + 12)))
    begun = [one.result["run"] for one in outcomes if one.status == quality.GOOD]
    assert WAITING <= len(begun) <= WAITING + most
    assert {one.status for one in outcomes} == {quality.GOOD, BAD_TOO_MANY_OPERATIONS}
    for run_id in begun:
        await do(refusing, "simulation.cancel", run=run_id)
    assert (await do(refusing, "simulation.run", runs=1)).status == quality.GOOD


async def test_a_viewer_runs_nothing(refusing):
    assert (await do(refusing, "simulation.run", VIEWER)).status == quality.BAD_USER_ACCESS_DENIED


async def test_the_loop_does_not_wait_for_a_long_run_which_can_be_ended(site):
    """Steps go on meanwhile; a run beyond its deadline, a cancelled one and one that a stop cuts off have failed, each by name."""
    async with gateway_of(site) as gateway:
        long = {"horizon_s": 500_000, "runs": 30}
        begun = await do(gateway, "simulation.run", **long)
        run_id = begun.result["run"]
        await eventually(lambda: gateway.foreseeing.progress(run_id))
        began_s = time.monotonic()
        await do(gateway, "tag.override", ADMIN, tag="line.t", value=23.0)
        assert time.monotonic() - began_s < 1.0
        assert (await do(gateway, "simulation.cancel", run=run_id)).status == quality.GOOD
        assert (await gateway.store.runs.run(run_id)).why == "cancelled"
        late = await do(gateway, "simulation.run", deadline_s=0.5, **long)
        assert (await ended(gateway, late.result["run"])).why == "deadline: it was not done within 0.5 s"
        cut = (await do(gateway, "simulation.run", **long)).result["run"]
    async with running(site) as gateway:
        assert (await gateway.store.runs.run(cut)).state is RunState.FAILED


async def test_scenarios_and_runs_by_rest(site):
    async with (
        gateway_of(site) as gateway,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(gateway.page.socket)), base_url="http://localhost/api/v1") as client,
    ):
        saved = await client.put("/scenarios/hot", json={"description": "hot", "parameters": {"line.sp": 28}, "runs": 20})
        assert saved.status_code == 200
        listed = (await client.get("/scenarios")).json()["scenarios"]
        assert [(one["name"], one["configured"]) for one in listed] == [("hot", False), ("warm", True)]
        assert (await client.get("/scenarios/hot")).json()["parameters"] == {"line.sp": 28.0}
        begun = await client.post("/runs", json={"scenario": "hot", "seed": 3, "horizon_s": 60})
        assert (begun.status_code, begun.json()["seed"]) == (202, 3)
        await ended(gateway, begun.json()["run"])
        whole = (await client.get(f"/runs/{begun.json()['run']}")).json()
        assert (whole["state"], whole["progress"], len(whole["results"]["time_s"])) == ("done", None, 61)
        compared = (await client.post("/runs", json={"compare": ["warm", "hot"], "horizon_s": 60})).json()["run"]
        assert (await ended(gateway, compared)).results["base"] == "warm"
        assert (await ended(gateway, (await client.post("/runs", json={"parameters": {"line.sp": 20}})).json()["run"])).steps == 600
        assert [one["kind"] for one in (await client.get("/runs")).json()["runs"]] == ["simulate", "compare", "simulate"]
        faults = [
            (await client.post("/runs", json={"scenario": "none"})).status_code,
            (await client.post("/runs", json={"horizon_s": -1})).status_code,
            (await client.post("/runs", json={"parameters": {"line.sp": 99}})).status_code,
            (await client.get("/runs/none")).status_code,
            (await client.get("/scenarios/none")).status_code,
            (await client.delete("/runs/none")).status_code,
            (await client.put("/scenarios/warm", json={})).status_code,
        ]
        assert faults == [404, 422, 422, 404, 404, 404, 409]
        assert (await client.delete("/scenarios/hot")).status_code == 200


async def test_scenarios_on_the_command_line_of_a_running_gateway(site, tmp_path, monkeypatch):
    """The daemon's own: saved there, run from its present state, units of its tags."""
    monkeypatch.setattr(local, "SYSTEM", tmp_path / "nowhere")

    async def edgetwin(*args):
        said = await asyncio.to_thread(CliRunner().invoke, app, [*map(str, args)])
        return said.exit_code, said.stdout, said.stderr

    async with gateway_of(site) as gateway:
        assert (await edgetwin("scenario", "save", "hot", "--set", "line.sp=28", "--runs", "5"))[0] == 0
        assert [line.split()[0] for line in (await edgetwin("scenario", "list"))[1].splitlines()] == ["scenario", "hot", "warm"]
        code, out, _ = await edgetwin("scenario", "run", "hot", "--horizon", "20s", "--plot", tmp_path / "hot.svg")
        assert (code, out.splitlines()[1].split()[:3]) == (0, ["line.t", "Cel", "22"])
        assert (tmp_path / "hot.svg").stat().st_size > 1000
        code, out, _ = await edgetwin("scenario", "compare", "warm", "hot", "--horizon", "5min")
        assert (code, out.splitlines()[1].split()) == (0, ["hot", "line.t", "Cel", "+1.9", *out.splitlines()[1].split()[4:]])
        code, _, err = await edgetwin("simulate", site, "--runs", "2", "--horizon", "5s")
        assert (code, f"from the present state of {gateway.site.gateway.name}" in err) == (0, True)
        assert (await edgetwin("scenario", "delete", "hot"))[0] == 0
        code, _, err = await edgetwin("scenario", "run", "hot")
        assert (code, "there is no scenario 'hot'" in err) == (1, True)


async def test_a_state_file_goes_out_and_in_by_rest(site, tmp_path):
    """Setpoints of the gateway itself are manual input again; what does not fit is refused as a whole; others than admin may not."""
    async with (
        gateway_of(site) as gateway,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(gateway.page.socket)), base_url="http://localhost/api/v1") as client,
    ):
        file = (await client.get("/twin/file")).json()
        await do(gateway, "tag.override", ADMIN, tag="line.sp", value=28.0)
        assert (await client.put("/twin/file", json=file)).json()["result"] == {"tags": 2}
        await eventually(lambda: gateway.engine.view.value.tolist() == [22.0, 22.0], 5)
        wrong = await client.put("/twin/file", json={**file, "line": {"t": 20.0, "sp": 20.0}})
        assert (wrong.status_code, "the checksum does not fit" in wrong.text) == (422, True)
        assert (await do(gateway, "state.import", state=file)).status == quality.BAD_USER_ACCESS_DENIED
        row = {"scenario": None, "at": "now-1h", "parameters": {"line.sp": [[0, 20], [5, 21]]}}
        refused = await client.post("/runs", json={key: value for key, value in row.items() if value is not None})
        assert (refused.status_code, "there is no history of line.t, line.sp" in refused.text) == (404, True)
        begun = await client.post(
            "/runs",
            json={
                "parameters": {"line.sp": [[0, 20], [5, 21]]},
                "varied": {"hall.tau": "uniform(80, 120)"},
                "horizon_s": 20,
                "antithetic": True,
                "half_width": {"line.t": 0.5},
                "sensitivity": True,
                "runs": 40,
            },
        )
        found = (await ended(gateway, begun.json()["run"])).results
        assert set(found["sensitivity"]["line.t"]["parameters"]) == {"hall.tau"}
