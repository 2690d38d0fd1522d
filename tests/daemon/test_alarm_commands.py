"""What a person may do to alarms, through the one door: who may, what is looked over, what is refused, and that all of it is kept."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.launch import running
from gateway.model import quality
from gateway.model.command import Caller, Command
from gateway.replay import replay
from support.ports import free_port
from support.waiting import eventually

VIEWER, OPERATOR, ENGINEER = (Caller(role, role, "test") for role in ("viewer", "operator", "engineer"))
ADMIN = Caller("root", "admin", "local:0")
HI, BAD, LOW = "line.temp/Alarms/HI", "line.temp/Alarms/BAD", "line.level/Alarms/LO"
TAGS = """
tags:
  - {name: line.temp, unit: Cel, range: [0, 60], writable: {role: operator}}
  - {name: line.level, unit: m, range: [0, 60], writable: {role: operator}}
alarms:
  - {tag: line.temp, hi: 27, hysteresis: 0.5, severity: 700}
  - {tag: line.temp, bad_quality: true}
  - {tag: line.level, lo: 5, confirm: true, shelve_max: 1h}
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    where = f"data_dir: {tmp_path / 'data'}"
    path.write_text(f"version: 1\ngateway: {{name: t{free_port()}, path: acme/line, {where}}}\nweb: {{port: {free_port()}}}\n{TAGS}")
    return path


@asynccontextmanager
async def alarmed(site):
    """A gateway with HI and LO active."""
    async with running(site) as gateway:
        await write(gateway, "line.temp", 28.0)
        await write(gateway, "line.level", 4.0)
        await eventually(lambda: condition(gateway, LOW).active and condition(gateway, HI).active)
        yield gateway


async def write(gateway, tag, value):
    assert (await do(gateway, "tag.write", tag=tag, value=value)).status == quality.GOOD


async def do(gateway, kind, caller=OPERATOR, **args):
    return await gateway.door.execute(Command(kind, args, caller))


def condition(gateway, name):
    return gateway.engine.view.condition(name)


async def refused(gateway, kind, caller=OPERATOR, **args):
    outcome = await do(gateway, kind, caller, **args)
    assert outcome.message
    return quality.name(outcome.status)


async def test_the_life_of_an_alarm_that_asks_for_a_confirmation(site):
    async with alarmed(site) as gateway:
        done = await do(gateway, "alarm.acknowledge", condition=LOW, comment="seen", serial=condition(gateway, LOW).serial)
        assert done.result == {"done": [LOW], "refused": [], "durable": True}
        assert (condition(gateway, LOW).acknowledged, condition(gateway, LOW).confirmed) == (True, False)
        assert await refused(gateway, "alarm.acknowledge", condition=LOW) == "BadConditionBranchAlreadyAcked"
        assert (await do(gateway, "alarm.confirm", condition=LOW, comment="valve was shut")).status == quality.GOOD
        assert await refused(gateway, "alarm.confirm", condition=LOW) == "BadConditionBranchAlreadyConfirmed"
        await do(gateway, "alarm.comment", condition=LOW, comment="opened again")
        now = condition(gateway, LOW)
        assert (now.user, now.comment, now.confirmed) == ("operator", "opened again", True)
        found = [event.details["change"] for event in await gateway.store.journal.query(source="line.level")]
        assert found[::-1] == ["active", "acknowledged", "confirmed", "commented"]


async def test_an_operator_shelves_up_to_the_rules_maximum_and_ends_it(site):
    async with alarmed(site) as gateway:
        assert await refused(gateway, "alarm.shelve", condition=LOW, duration=3601) == "BadShelvingTimeOutOfRange"
        assert (await do(gateway, "alarm.shelve", condition=LOW, duration=600, comment="works")).status == quality.GOOD
        assert condition(gateway, LOW).shelving.name == "TIMED"
        assert 590e9 < condition(gateway, LOW).unshelve_ns - gateway.clock.now_ns() <= 600e9
        assert gateway.performance.report(gateway.clock.now_ns())["shelved"] == 1
        assert (await do(gateway, "alarm.unshelve", condition=LOW)).status == quality.GOOD
        assert await refused(gateway, "alarm.unshelve", condition=LOW) == "BadConditionNotShelved"
        assert (await do(gateway, "alarm.shelve", condition=LOW, once=True)).status == quality.GOOD
        assert condition(gateway, LOW).shelving.name == "ONE_SHOT"


async def test_a_short_shelving_ends_by_itself(site):
    async with alarmed(site) as gateway:
        await do(gateway, "alarm.shelve", condition=HI, duration=0.05)
        await eventually(lambda: condition(gateway, HI).shelving.name == "UNSHELVED")


@pytest.mark.parametrize(
    ("there", "back", "flag"),
    [
        ("alarm.suppress", "alarm.unsuppress", "suppressed"),
        ("alarm.out_of_service", "alarm.in_service", "out_of_service"),
        ("alarm.enable", "alarm.disable", "enabled"),
    ],
)
async def test_an_engineer_takes_alarms_from_the_operator_and_gives_them_back(site, there, back, flag):
    async with alarmed(site) as gateway:
        order = (back, there) if flag == "enabled" else (there, back)
        before = getattr(condition(gateway, HI), flag)
        for kind in order:
            assert await refused(gateway, kind, condition=HI) == "BadUserAccessDenied"
            assert (await do(gateway, kind, ENGINEER, condition=HI)).status == quality.GOOD
            assert (await refused(gateway, kind, ENGINEER, condition=HI)).startswith("Bad")
        assert getattr(condition(gateway, HI), flag) == before


async def test_who_only_looks_does_nothing_to_alarms(site):
    async with alarmed(site) as gateway:
        kinds = [kind for kind in gateway.door.table if kind.startswith("alarm.")]
        assert len(kinds) == 12
        for kind in kinds:
            assert await refused(gateway, kind, VIEWER, condition=HI) == "BadUserAccessDenied"


async def test_of_several_those_that_can_be_are_done_and_the_rest_is_listed_with_its_reason(site):
    async with alarmed(site) as gateway:
        done = await do(gateway, "alarm.acknowledge", condition=[HI, BAD, "nobody/Alarms/HI", LOW, HI])
        assert done.status == quality.GOOD
        assert done.result["done"] == [HI, LOW]
        assert [(one["condition"], one["status"]) for one in done.result["refused"]] == [
            (BAD, "BadConditionBranchAlreadyAcked"),
            ("nobody/Alarms/HI", "BadNodeIdUnknown"),
        ]
        none = await do(gateway, "alarm.acknowledge", condition=["nobody/Alarms/HI", HI])
        assert none.status == quality.BAD_NODE_ID_UNKNOWN
        assert [one["status"] for one in none.result["refused"]] == ["BadNodeIdUnknown", "BadConditionBranchAlreadyAcked"]


async def test_what_was_seen_before_it_came_again_acknowledges_nothing(site):
    async with alarmed(site) as gateway:
        seen = condition(gateway, HI).serial
        await write(gateway, "line.temp", 20.0)
        await write(gateway, "line.temp", 29.0)
        await eventually(lambda: condition(gateway, HI).raised_serial > seen)
        assert await refused(gateway, "alarm.acknowledge", condition=HI, serial=seen) == "BadEventIdUnknown"
        assert await refused(gateway, "alarm.acknowledge", condition=HI, serial=condition(gateway, HI).serial + 1) == "BadEventIdUnknown"
        assert not condition(gateway, HI).acknowledged
        assert (await do(gateway, "alarm.comment", condition=HI, comment="again?", serial=seen)).status == quality.GOOD
        raised = condition(gateway, HI).raised_serial
        assert (await do(gateway, "alarm.acknowledge", condition=HI, serial=raised)).status == quality.GOOD


@pytest.mark.parametrize(
    ("kind", "args", "status"),
    [
        ("acknowledge", {}, "BadTypeMismatch"),
        ("acknowledge", {"condition": []}, "BadOutOfRange"),
        ("acknowledge", {"condition": ["x"] * 3 + [5]}, "BadTypeMismatch"),
        ("acknowledge", {"condition": [f"c{n}" for n in range(1001)]}, "BadOutOfRange"),
        ("acknowledge", {"condition": HI, "comment": 5}, "BadTypeMismatch"),
        ("acknowledge", {"condition": HI, "comment": "x" * 1001}, "BadOutOfRange"),
        ("acknowledge", {"condition": HI, "serial": "1"}, "BadTypeMismatch"),
        ("acknowledge", {"condition": HI, "serial": True}, "BadTypeMismatch"),
        ("acknowledge", {"condition": [HI, LOW], "serial": 1}, "BadInvalidArgument"),
        ("acknowledge", {"condition": HI, "duration": 5}, "BadInvalidArgument"),
        ("comment", {"condition": HI}, "BadInvalidArgument"),
        ("shelve", {"condition": HI}, "BadInvalidArgument"),
        ("shelve", {"condition": HI, "duration": 5, "once": True}, "BadInvalidArgument"),
        ("shelve", {"condition": HI, "duration": "5"}, "BadTypeMismatch"),
        ("shelve", {"condition": HI, "once": 1}, "BadTypeMismatch"),
        ("shelve", {"condition": HI, "duration": 0}, "BadOutOfRange"),
        ("shelve", {"condition": HI, "duration": float("nan")}, "BadOutOfRange"),
        ("shelve", {"condition": HI, "duration": 1e300}, "BadOutOfRange"),
    ],
)
async def test_arguments_are_looked_over_before_anything_is_done(alarms_of_one, kind, args, status):
    outcome = await alarms_of_one[f"alarm.{kind}"](args)
    assert quality.name(outcome.status) == status


@pytest.fixture
async def alarms_of_one(site):
    async with running(site) as gateway:
        yield {kind: lambda args, kind=kind: gateway.door.execute(Command(kind, args, ADMIN)) for kind in gateway.door.table}
        assert all(one.serial == 0 for one in gateway.engine.view.conditions())


async def test_every_command_is_audited_the_refused_ones_too(site):
    async with alarmed(site) as gateway:
        before = len(await gateway.store.audit_log())
        await do(gateway, "alarm.shelve", condition=HI, duration=60)
        await do(gateway, "alarm.suppress", condition=HI)
        assert len(await gateway.store.audit_log()) == before + 2
        assert (await gateway.store.audit_verify()).broken_at is None


async def test_all_that_was_done_survives_a_restart_and_is_replayed_exactly(site, tmp_path):
    target = tmp_path / "run.etrec"
    async with alarmed(site) as gateway:
        assert (await do(gateway, "record.start", ADMIN, path=str(target))).status == quality.GOOD
        await do(gateway, "alarm.acknowledge", condition=HI, comment="seen")
        await do(gateway, "alarm.comment", condition=[HI, LOW], comment="both")
        await do(gateway, "alarm.shelve", condition=LOW, duration=600)
        await do(gateway, "alarm.suppress", ENGINEER, condition=HI)
        await do(gateway, "alarm.disable", ENGINEER, condition=BAD)
        live = (await do(gateway, "record.stop", ADMIN)).result["state_hash"]
        before = repr([condition(gateway, name) for name in (HI, BAD, LOW)])  # a NaN is a NaN
    replayed = await asyncio.to_thread(replay, target, site)
    assert (replayed["equal"], replayed["state_hash"]) == (True, live)
    assert [one["change"] for one in replayed["alarms"]] == ["acknowledged", "commented", "commented", "shelved", "suppressed", "disabled"]
    async with running(site) as gateway:
        assert repr([condition(gateway, name) for name in (HI, BAD, LOW)]) == before
        figures = gateway.report.figures()["Gateway/AlarmPerformance"]
        assert (figures["Shelved"], figures["Suppressed"], figures["Disabled"], figures["AlarmsLastDay"]) == (1, 1, 1, 2)


async def test_what_chatters_is_told_with_the_hysteresis_that_its_history_asks_for(site):
    async with running(site) as gateway:
        for value in (4.9, 5.2) * 5:
            await write(gateway, "line.level", value)
        await eventually(lambda: gateway.performance.report(gateway.clock.now_ns())["chattering"] == [LOW])
        await gateway.store.flush()
        (advice,) = (await gateway.report.performance_report())["chattering"]
        assert (advice["condition"], advice["on_delay_s"], advice["off_delay_s"]) == (LOW, 0.1, 0.1)
        assert 0.2 < advice["hysteresis"] < 0.21


async def test_the_figures_of_the_alarms_go_on_after_a_restart(site):
    async with alarmed(site) as gateway:
        await do(gateway, "alarm.acknowledge", condition=HI)
        before = gateway.performance.report(gateway.clock.now_ns())
        assert (before["last_day"], before["standing"]) == (2, 2)
    async with running(site) as gateway:
        after = gateway.performance.report(gateway.clock.now_ns())
        assert {key: after[key] for key in after if key != "observed_h"} == {key: before[key] for key in before if key != "observed_h"}
