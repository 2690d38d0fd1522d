"""Alarms over REST, on the stream and on the page: all their states, what may be done, and how well they serve."""

import pytest

from gateway.model.alarm import AlarmRule, Limit
from gateway.web.config import WebConfig
from gateway.web.server import WebServer
from support.waiting import eventually
from web.room import S, opened
from web.test_page import looking
from web.test_stream import local as stream_of
from web.test_stream import serving, subscribe, until

HOT, OVEN, COUNT = "line.temperature/Alarms/HI", "oven.temperature/Alarms/HIHI", "line.count/Alarms/LO"
WHY = {"cause": "the fan is off", "consequence": "glass breaks", "action": "switch the fan on"}
RULES = (
    AlarmRule(0, "line.temperature", Limit.HI, 27.0, hysteresis=0.5, severity=500, message="too warm"),
    AlarmRule(1, "line.count", Limit.LO, 10.0, severity=300, shelve_max_ns=1800 * S),
    AlarmRule(4, "oven.temperature", Limit.HIHI, 100.0, severity=900, message="oven too hot", confirm=True, **WHY),
)


@pytest.fixture
async def alarmed(tmp_path):
    """Two alarms are active, the third is calm."""
    async with opened(tmp_path / "data", rules=RULES) as room:
        await room.feed({"line.temperature": 28.0, "oven.temperature": 120.0, "line.count": 41})
        yield room


@pytest.fixture
async def caller(alarmed):
    async with alarmed.client() as client:
        yield client


async def listed(caller, **query):
    answer = await caller.get("/api/v1/alarms", params=query)
    assert answer.status_code == 200, answer.text
    return [alarm["condition"] for alarm in answer.json()["alarms"]]


async def do(caller, condition, verb, **said):
    return await caller.post(f"/api/v1/alarms/{condition}/{verb}", json=said)


async def state(caller, condition):
    found = (await caller.get("/api/v1/alarms", params={"state": "all"})).json()["alarms"]
    return next(alarm for alarm in found if alarm["condition"] == condition)


async def test_alarms_are_filtered_by_each_of_their_states_and_by_tag_and_severity(caller):
    assert await listed(caller) == [OVEN, HOT]
    assert await listed(caller, state="all") == [OVEN, HOT, COUNT]
    await do(caller, HOT, "acknowledge")
    await do(caller, OVEN, "shelve", duration=600)
    await do(caller, COUNT, "suppress")
    assert await listed(caller, unacknowledged=True) == [OVEN]
    assert await listed(caller, active=True) == [OVEN, HOT]
    assert await listed(caller, active=False) == [COUNT]
    assert await listed(caller, shelved=True) == [OVEN]
    assert await listed(caller, shelved=False, active=True) == [HOT]
    assert await listed(caller, suppressed=True) == [COUNT]
    assert await listed(caller, state="retained", suppressed=True) == []
    assert await listed(caller, tag=["line.count", "line.temperature"], state="all") == [HOT, COUNT]
    assert await listed(caller, severity=["critical", "info"], state="all") == [OVEN, COUNT]
    assert (await caller.get("/api/v1/alarms", params={"severity": "loud"})).status_code == 422


async def test_a_long_list_comes_in_pages(caller):
    whole = (await caller.get("/api/v1/alarms", params={"state": "all"})).json()
    page = (await caller.get("/api/v1/alarms", params={"state": "all", "offset": 1, "limit": 1})).json()
    assert (page["total"], page["offset"], page["alarms"]) == (3, 1, whole["alarms"][1:2])


async def test_an_alarm_carries_all_of_its_state(caller, alarmed):
    await do(caller, OVEN, "acknowledge", comment="seen")
    await do(caller, OVEN, "shelve", duration=600)
    found = await state(caller, OVEN)
    assert {key: found[key] for key in ("active", "acknowledged", "confirmed", "latched", "enabled", "suppressed", "out_of_service")} == {
        "active": True,
        "acknowledged": True,
        "confirmed": False,
        "latched": False,
        "enabled": True,
        "suppressed": False,
        "out_of_service": False,
    }
    assert (found["shelving"], found["unshelve_at"], found["shelve_max_s"]) == ("timed", "2027-01-15T08:10:01.000Z", 28800.0)
    assert (found["severity"], found["level"], found["status"], found["user"]) == ("critical", 900, "Good", "local:1000")
    assert found["serial"] == alarmed.engine.view.condition(OVEN).serial == 3
    assert found["active_since"] == found["raised"] == "2027-01-15T08:00:01.000Z"
    assert found["change"] == "shelved"


async def test_each_verb_has_its_address_and_its_refusal_the_status_of_its_kind(caller):
    assert (await do(caller, OVEN, "confirm")).status_code == 409
    assert (await do(caller, OVEN, "acknowledge")).status_code == 200
    again = await do(caller, OVEN, "acknowledge")
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert again.json()["status_code"] == "BadConditionBranchAlreadyAcked"
    assert again.json()["result"]["refused"][0]["condition"] == OVEN
    assert (await do(caller, OVEN, "confirm", comment="cooled")).status_code == 200
    assert (await do(caller, OVEN, "comment", comment="and again")).status_code == 200
    for there, back in (("shelve", "unshelve"), ("suppress", "unsuppress"), ("out_of_service", "in_service"), ("disable", "enable")):
        said = {"once": True} if there == "shelve" else {}
        assert (await do(caller, HOT, there, **said)).status_code == 200, there
        assert (await do(caller, HOT, there, **said)).status_code == 409, there
        assert (await do(caller, HOT, back)).status_code == 200, back
        assert (await do(caller, HOT, back)).status_code == 409, back
    assert (await do(caller, HOT, "reset")).status_code == 409
    assert (await do(caller, "no/Alarms/HI", "shelve", duration=5)).status_code == 404


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("shelve", {}),
        ("shelve", {"duration": 0}),
        ("shelve", {"duration": -1}),
        ("shelve", {"duration": 5, "once": True}),
        ("shelve", {"duration": 1801}),
        ("shelve", {"duration": "long"}),
        ("comment", {}),
        ("acknowledge", {"serial": "x"}),
        ("acknowledge", {"duration": 5}),
        ("acknowledge", {"comment": "x" * 1001}),
    ],
)
async def test_what_makes_no_sense_is_answered_422_with_the_reason(caller, verb, said):
    answer = await do(caller, COUNT, verb, **said)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


async def test_a_state_that_is_over_acknowledges_nothing(caller, alarmed):
    seen = (await state(caller, HOT))["serial"]
    await alarmed.feed({"line.temperature": 20.0})
    await alarmed.feed({"line.temperature": 29.0})
    assert (await do(caller, HOT, "acknowledge", serial=seen)).status_code == 404
    assert (await do(caller, HOT, "acknowledge", serial=(await state(caller, HOT))["serial"])).status_code == 200


async def test_performance_is_served_in_its_documented_shape(caller, alarmed):
    for _ in range(4):
        await alarmed.feed({"line.temperature": 20.0})
        await alarmed.feed({"line.temperature": 29.0})
    found = (await caller.get("/api/v1/alarms/performance")).json()
    assert (found["last_day"], found["standing"], found["top"][0]["condition"]) == (6, 2, HOT)
    assert found["chattering"][0]["on_delay_s"] == 1.0
    document = (await caller.get("/api/openapi.json")).json()
    shape = document["components"]["schemas"]["AlarmPerformance"]["properties"]
    assert found.keys() == shape.keys()
    alarm = document["components"]["schemas"]["Alarm"]["properties"]
    assert (await state(caller, HOT)).keys() == alarm.keys()
    for verb in ("confirm", "shelve", "unshelve", "suppress", "out_of_service", "enable", "disable", "reset"):
        assert "requestBody" in document["paths"][f"/api/v1/alarms/{{condition}}/{verb}"]["post"]


async def test_the_stream_lists_what_is_silenced_and_tells_every_change(alarmed, tmp_path):
    async with serving(alarmed, tmp_path), alarmed.client() as caller, stream_of(tmp_path) as link:
        await do(caller, COUNT, "suppress")
        await subscribe(link, alarms=True)
        rows = {row["condition"]: row for row in (await until(link, "alarms"))["conditions"]}
        assert rows.keys() == {HOT, OVEN, COUNT}
        assert (rows[COUNT]["suppressed"], rows[COUNT]["retained"]) == (True, False)
        await until(link, "snap")
        await do(caller, HOT, "shelve", duration=600)
        told = await until(link, "al")
        assert (told["change"], told["condition"], told["shelving"], told["user"]) == ("shelved", HOT, "timed", "local:1000")


async def test_an_operator_confirms_and_shelves_on_the_page_and_sees_what_is_silenced(tmp_path):
    config = WebConfig(port=0, insecure=True, anonymous="operator")
    async with opened(tmp_path / "data", config, rules=RULES) as room:
        server = WebServer(room.app, "127.0.0.1", 0)
        await server.start()
        try:
            async with looking(f"http://127.0.0.1:{server.port}", tmp_path / "profile") as page:

                async def press(text):
                    await page.shows(text)
                    await page.evaluate(f"[...document.querySelectorAll('button')].find((one) => one.textContent === '{text}').click()")

                async def unfolded(text):
                    async def there():
                        await page.evaluate("document.querySelectorAll('#alarms .menu').forEach((one) => { one.open = true; })")
                        return text in await page.text()

                    await eventually(there, 20, text)

                await page.shows("No alarm is active")
                await room.feed({"oven.temperature": 120.0})
                await page.shows("■ critical 900")
                await press("Acknowledge")
                await page.shows("acknowledged 08:00:01 UTC by anonymous")
                await page.evaluate("document.querySelector('#alarms details').open = true")
                await page.shows("the fan is off", "glass breaks", "switch the fan on")
                await room.feed({"oven.temperature": 131.23456789})
                await page.shows("120 °C", "131.23 °C")
                assert await page.evaluate("document.querySelector('#alarms details').open")
                await press("Confirm")
                await eventually(lambda: room.engine.view.condition(OVEN).confirmed)
                await unfolded("Shelve 10 min")
                await press("Shelve 10 min")
                text = await page.shows("Shelved, suppressed, out of service, disabled: 1")
                assert "oven too hot" not in text.partition("Live values")[0].partition("Shelved,")[0]
                await page.evaluate("document.querySelector('#silenced').open = true")
                await page.shows("oven too hot", "shelved until")
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                await press("Unshelve")
                await unfolded("Shelve 1 h")
                await room.feed({"line.count": 5})
                await page.shows("line.count/Alarms/LO")
                await page.shows("2 in a day, 2 standing, 0 stale")
        finally:
            await server.stop()
