"""The one door for changes: what was begun is done and recorded, whoever went away."""

import asyncio

import pytest

from gateway.model import quality
from gateway.model.command import Caller, Command
from gateway.operations import Door, Operation, Refused

KIM = Caller("kim", "operator", "opcua:10.0.0.7")


class Plant:
    """A command that takes its time."""

    def __init__(self):
        self.asked, self.go_on, self.recorded = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.done, self.records = [], []
        self.door = Door({"plant.start": Operation("tag:write", self._start, "")}, lambda *_: True, self._audit)

    async def _start(self, args, caller):
        self.asked.set()
        await self.go_on.wait()
        if args.get("fault"):
            raise Refused(quality.BAD_OUT_OF_RANGE, "no")
        self.done.append(caller.user)
        return {}

    async def _audit(self, command, outcome):
        self.records.append((command.kind, command.caller.user, outcome.status))
        self.recorded.set()


@pytest.mark.parametrize(("args", "status"), [({}, quality.GOOD), ({"fault": True}, quality.BAD_OUT_OF_RANGE)])
async def test_a_command_whose_caller_goes_away_is_done_and_recorded(args, status):
    plant = Plant()
    caller = asyncio.create_task(plant.door.execute(Command("plant.start", args, KIM)))
    await asyncio.wait_for(plant.asked.wait(), 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    plant.go_on.set()
    await asyncio.wait_for(plant.recorded.wait(), 5)
    assert plant.records == [("plant.start", "kim", status)]
    assert plant.done == ([] if args else ["kim"])


async def test_commands_begin_in_the_order_in_which_they_were_asked():
    plant = Plant()
    callers = [Caller(str(number), "operator", "") for number in range(20)]
    waiting = [asyncio.create_task(plant.door.execute(Command("plant.start", {}, caller))) for caller in callers]
    await asyncio.wait_for(plant.asked.wait(), 5)
    plant.go_on.set()
    await asyncio.gather(*waiting)
    assert plant.done == [caller.user for caller in callers]


async def test_without_an_audit_nobody_changes_people_or_configuration_and_the_plant_is_served():
    """The refusal is recorded as soon as a record can be kept, and ends with it."""
    fault, records = ["the disk is full"], []

    async def done(_args, _caller):
        return {}

    async def audit(command, outcome):
        records.append((command.kind, outcome.status))

    table = {
        "user.add": Operation("user:manage", done, ""),
        "config.reload": Operation("config:write", done, ""),
        "cert.list": Operation("cert:trust", done, "", reads=True),
        "tag.write": Operation("tag:write", done, ""),
        "alarm.acknowledge": Operation("alarm:ack", done, ""),
    }
    door = Door(table, lambda *_: True, audit, lambda: fault[0])
    outcomes = {kind: (await door.execute(Command(kind, {}, KIM))).status for kind in table}
    unavailable = 0x80040000
    assert list(outcomes.values()) == [unavailable, unavailable, quality.GOOD, quality.GOOD, quality.GOOD]
    fault[0] = None
    assert (await door.execute(Command("user.add", {}, KIM))).status == quality.GOOD
    assert records[0] == ("user.add", unavailable)
