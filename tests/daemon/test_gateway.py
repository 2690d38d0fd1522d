"""The whole daemon in one process: commands, restart, reload, and what is refused."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.contracts import ConfigError
from gateway.launch import running
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.command import Caller, Command
from gateway.settings import SettingsError
from gateway.store.errors import StoreLocked
from support.ports import free_port
from support.waiting import eventually

OPERATOR, ADMIN = Caller("anna", "operator", "test"), Caller("root", "admin", "local:0")
TAGS = """
tags:
  - {name: line.temp, unit: Cel, range: [0, 60], writable: {min: 10, max: 40, role: operator}}
  - {name: line.estop, type: bool}
  - {name: line.speed, writable: {min: 0, max: 2, interlock: "not line.estop", reason: true, role: engineer}}
alarms:
  - {tag: line.temp, hi: 27, hysteresis: 0.5}
derived:
  - {name: line.double, expr: "line.temp * 2"}
"""


@pytest.fixture
def site(tmp_path):
    """A site file of no sources, whose tags are set by hand."""
    path = tmp_path / "site.yaml"
    name, port = f"t{free_port()}", free_port()

    def write(text=TAGS):
        head = f"version: 1\ngateway: {{name: {name}, path: acme/line, data_dir: {tmp_path / 'data'}}}\nweb: {{port: {port}}}\n"
        path.write_text(head + text)
        return path

    return write


@asynccontextmanager
async def gateway_of(site):
    async with running(site) as gateway:
        yield gateway


async def do(gateway, kind, caller=OPERATOR, **args):
    return await gateway.door.execute(Command(kind, args, caller))


def value(gateway, name):
    return gateway.engine.view.value[gateway.site.tags.index[name]]


async def test_a_value_put_in_by_hand_reaches_twin_alarms_derived_tags_journal_and_history(site):
    async with gateway_of(site()) as gateway:
        assert (await do(gateway, "tag.write", tag="line.temp", value=28.0)).status == quality.GOOD
        await eventually(lambda: value(gateway, "line.double") == 56.0)
        journal = gateway.store.journal
        found = await eventually(lambda: journal.query(source="line.temp"))
        assert found[0].details["condition"] == "line.temp/Alarms/HI"
        series = await gateway.store.history.read(gateway.site.tags.index["line.temp"], 0, 2**62)
        assert series.value.tolist() == [28.0]


async def test_what_the_guard_refuses_says_why_in_the_right_code(site):
    async with gateway_of(site()) as gateway:
        outcomes = [
            await do(gateway, "tag.write", tag="line.temp", value=41.0),
            await do(gateway, "tag.write", tag="line.temp", value="warm"),
            await do(gateway, "tag.write", tag="line.estop", value=1),
            await do(gateway, "tag.write", tag="no.such", value=1),
            await do(gateway, "tag.write", tag="line.speed", value=1, reason="r"),
            await do(gateway, "tag.write", tag="line.temp", value=20, caller=Caller("x", "viewer", "t")),
            await do(gateway, "tag.write", tag="line.temp", value=20, caller=Caller("x", "nobody", "t")),
            await do(gateway, "no.such"),
        ]
        assert [quality.name(outcome.status) for outcome in outcomes] == [
            "BadOutOfRange",
            "BadTypeMismatch",
            "BadNotWritable",
            "BadNodeIdUnknown",
            "BadUserAccessDenied",
            "BadUserAccessDenied",
            "BadUserAccessDenied",
            "BadNotSupported",
        ]
        assert all(outcome.message for outcome in outcomes)
        assert (await gateway.store.audit_verify()).broken_at is None
        assert len(await gateway.store.audit_log()) == len(outcomes)


async def test_an_interlock_that_cannot_be_judged_refuses_and_one_that_holds_allows(site):
    engineer = Caller("eve", "engineer", "test")
    async with gateway_of(site()) as gateway:
        write = {"tag": "line.speed", "value": 1.5, "reason": "trial"}
        assert (await do(gateway, "tag.write", engineer, **write)).status == quality.BAD_INVALID_STATE  # estop was never heard of
        assert (await do(gateway, "tag.override", tag="line.estop", value=False)).status == quality.BAD_USER_ACCESS_DENIED  # an operator
        await do(gateway, "tag.override", engineer, tag="line.estop", value=False)
        await eventually(lambda: value(gateway, "line.estop") == 0.0 and gateway.engine.view.status[1] < quality.BAD)
        assert (await do(gateway, "tag.write", engineer, **write)).status == quality.GOOD
        without_reason = await do(gateway, "tag.write", engineer, tag="line.speed", value=1.5)
        assert without_reason.status == quality.BAD_INVALID_STATE


async def test_an_override_of_a_writable_tag_keeps_its_guard(site):
    engineer = Caller("eve", "engineer", "test")
    async with gateway_of(site()) as gateway:
        assert (await do(gateway, "tag.override", engineer, tag="line.temp", value=41.0)).status == quality.BAD_OUT_OF_RANGE
        assert (await do(gateway, "tag.override", engineer, tag="line.speed", value=1.0, reason="x")).status == quality.BAD_INVALID_STATE


async def test_nothing_is_promised_once_the_gateway_stops(site):
    async with gateway_of(site()) as gateway:
        gateway.door.close()
        assert (await do(gateway, "tag.write", tag="line.temp", value=28.0)).status == quality.BAD_SHUTDOWN


async def test_state_and_alarms_survive_a_restart_also_what_came_after_the_last_snapshot(site):
    path = site()
    async with gateway_of(path) as gateway:
        await do(gateway, "tag.write", tag="line.temp", value=28.0)
        await eventually(lambda: gateway.engine.view.condition("line.temp/Alarms/HI").active)
        acknowledged = await do(gateway, "alarm.acknowledge", condition="line.temp/Alarms/HI", comment="seen")
        assert acknowledged.status == quality.GOOD
        before = (gateway.engine.view.value.tolist(), gateway.engine.view.status.tolist(), gateway.engine.view.source_ns.tolist())
    async with gateway_of(path) as gateway:
        condition = gateway.engine.view.condition("line.temp/Alarms/HI")
        assert (condition.active, condition.acknowledged, condition.user) == (True, True, "anna")
        view = gateway.engine.view
        np.testing.assert_equal((view.value.tolist(), view.status.tolist(), view.source_ns.tolist()), before)
        again = await do(gateway, "alarm.acknowledge", condition="line.temp/Alarms/HI")
        assert quality.name(again.status) == "BadConditionBranchAlreadyAcked"


async def test_a_reload_adds_a_tag_and_keeps_the_values_and_a_faulty_one_changes_nothing(site):
    path = site()
    async with gateway_of(path) as gateway:
        await do(gateway, "tag.write", tag="line.temp", value=25.0)
        await eventually(lambda: value(gateway, "line.temp") == 25.0)
        path.write_text(path.read_text().replace("alarms:", "  - {name: line.more, type: int}\nalarms:"))
        shown = await do(gateway, "config.reload", ADMIN, dry_run=True)
        assert shown.result["differences"]
        assert "line.more" not in gateway.site.tags.index
        assert (await do(gateway, "config.reload", ADMIN)).status == quality.GOOD
        assert "line.more" in gateway.engine.view.tags.index
        assert value(gateway, "line.temp") == 25.0
        path.write_text(path.read_text().replace("line.more", "line..more"))
        refused = await do(gateway, "config.reload", ADMIN)
        assert refused.status == quality.BAD_CONFIGURATION_ERROR
        assert "site.yaml" in refused.message
        assert "line.more" in gateway.engine.view.tags.index


async def test_what_cannot_change_while_running_is_refused_whole(site):
    path = site()
    async with gateway_of(path) as gateway:
        path.write_text(path.read_text().replace("path: acme/line", "path: acme/other").replace("hi: 27", "hi: 20"))
        refused = await do(gateway, "config.reload", ADMIN)
        assert refused.status == quality.BAD_INVALID_STATE
        assert "restart" in refused.message
        assert gateway.site.rules[0].threshold == 27.0


async def test_a_second_daemon_on_the_same_data_is_told_who_has_it(site):
    path = site()
    async with gateway_of(path):
        with pytest.raises(StoreLocked, match=r"\d+"):
            async with gateway_of(path):
                pass


async def test_a_recording_replays_to_the_state_that_the_live_run_had(site, tmp_path):
    from gateway.replay import replay

    path, target = site(), tmp_path / "run.etrec"
    async with gateway_of(path) as gateway:
        assert (await do(gateway, "record.start", ADMIN, path=str(target))).status == quality.GOOD
        for number in range(20):
            await do(gateway, "tag.write", tag="line.temp", value=20.0 + number)
        await do(gateway, "alarm.acknowledge", condition="line.temp/Alarms/HI")
        await do(gateway, "tag.release", ADMIN, tag="line.temp")
        live = (await do(gateway, "record.stop", ADMIN)).result["state_hash"]
    first, second = [await asyncio.to_thread(replay, target, path) for _ in range(2)]
    assert first["state_hash"] == live
    assert first == second
    assert [alarm["change"] for alarm in first["alarms"]] == ["active", "acknowledged"]


async def test_a_faulty_configuration_starts_nothing(site, tmp_path):
    with pytest.raises(SettingsError):
        async with gateway_of(site("tags: [{name: x, colour: red}]")):
            pass
    assert not (tmp_path / "data").exists()


async def test_a_taken_web_port_is_said_and_the_gateway_runs(site):
    path = site()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", int(path.read_text().split("port: ")[1].split("}")[0]))
    try:
        async with gateway_of(path) as gateway:
            assert any("web" in reason for reason in gateway.health.degraded())
            assert gateway.health.live()[0]
    finally:
        taken.close()


def test_config_error_names_key_and_hint():
    assert str(ConfigError("url", "is no url", "write opc.tcp://...")) == "url: is no url (write opc.tcp://...)"


async def test_what_a_source_delivers_again_is_dropped_where_the_disk_has_it(site):
    """A broker repeats what we had no time to acknowledge: two of three samples are on disk already."""
    async with gateway_of(site()) as gateway:
        began_ns = gateway.clock.now_ns()
        times = [began_ns - 3_000_000_000, began_ns - 2_000_000_000, began_ns - 1_000_000_000]
        await gateway.inbox.put(SampleBatch.of([0, 0], [1.0, 3.0], 0, [times[0], times[2]], received_ns=began_ns))
        await eventually(lambda: value(gateway, "line.temp") == 3.0)
        again = SampleBatch.of([0, 0, 0], [1.0, 2.0, 3.0], 0, times, received_ns=began_ns, receipt="r", origin=Origin.AGAIN)
        kept = await gateway._unknown(again)
        assert (kept.value.tolist(), kept.receipt, kept.origin) == ([2.0], "r", Origin.AGAIN)
        await gateway.inbox.put(kept)
        await eventually(lambda: gateway.counts["samples_late"] == 1)
        assert gateway.counts["samples_again"] == 2
