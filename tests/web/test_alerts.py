"""Predicted limits over REST and on the stream: apart from the alarms, and operated by the same routes."""

import pytest

from gateway.model.alarm import AlarmRule, Limit, predicted
from gateway.model.forecast import Alert, Prediction
from web.room import S, opened
from web.test_stream import local as stream_of
from web.test_stream import serving, subscribe, until

PLANT = (AlarmRule(0, "line.temperature", Limit.HI, 27.0, severity=500, message="too warm"),)
HI = "line.temperature/Forecast/HI"


@pytest.fixture
async def told(tmp_path):
    async with opened(tmp_path / "data", rules=(*PLANT, *predicted(PLANT, 200))) as room:
        await room.feed({"line.temperature": 22.0})
        yield room


def foretell(room, *, stands=True):
    prediction = Prediction("HI", 27.0, 0.8, 60.0, 120.0, float("nan"), room.now_ns, "drift")
    room._take(room.engine.foretell([Alert(HI, stands, prediction)], room.now_ns))


async def test_they_are_listed_apart_from_the_alarms_and_acknowledged_alike(told):
    foretell(told)
    async with told.client() as caller:
        assert (await caller.get("/api/v1/alarms")).json()["alarms"] == []
        assert [one["limit"] for one in (await caller.get("/api/v1/alarms", params={"state": "all"})).json()["alarms"]] == ["HI"]
        (row,) = (await caller.get("/api/v1/alerts")).json()["alarms"]
        assert (row["condition"], row["level"], row["active"], row["threshold"]) == (HI, 200, True, 27.0)
        told_of = {key: row["prediction"][key] for key in ("limit", "probability", "lead_s", "early_s", "late_s", "model")}
        assert told_of == {"limit": "HI", "probability": 0.8, "lead_s": 120.0, "early_s": 60.0, "late_s": None, "model": "drift"}
        assert (await caller.post(f"/api/v1/alarms/{HI}/acknowledge", json={})).status_code == 200
        foretell(told, stands=False)
        assert (await caller.get("/api/v1/alerts")).json()["total"] == 0
        assert (await caller.get("/api/v1/alerts/verification")).status_code == 200


async def test_the_stream_tells_them_as_alerts(told, tmp_path):
    foretell(told)
    async with serving(told, tmp_path), stream_of(tmp_path) as stream:
        await subscribe(stream, alarms=True)
        first = await until(stream, "alarms")
        assert first["conditions"] == []
        assert [one["condition"] for one in first["alerts"]] == [HI]
        told.now_ns += S
        foretell(told, stands=False)
        heard = await until(stream, "alert")
        assert (heard["condition"], heard["change"], heard["active"]) == (HI, "inactive", False)
