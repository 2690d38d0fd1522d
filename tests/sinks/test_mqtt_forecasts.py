"""Forecasts on MQTT, against Mosquitto: one retained record for each tag, the newest one."""

import time

import numpy as np
import pytest

from gateway.model.forecast_record import BAND_POINTS, kept
from support.forecasts import SECOND, Held, outlook, prediction
from support.mqtt_face import PATH, TAGS, MqttFace, connected, subscriber
from support.waiting import eventually

NAN = float("nan")
TOPIC = f"{PATH}/_forecast/line.temp"


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_record_says_lead_band_and_limits_and_the_newest_one_stays(mosquitto, qos):
    held = Held([0])
    sink = await connected(MqttFace(mosquitto.url, TAGS, context={"forecasts": held}, qos=qos))
    at_ns = 1_800_000_000 * SECOND
    told = [prediction("HI", 0.4, 90.0, 25.0, at_ns), prediction("LO", 0.0, NAN, 10.0, at_ns)]
    async with subscriber(mosquitto.port, f"{PATH}/_forecast/#") as live:
        for middle in (20.0, 22.1):
            held.issue(outlook(at_ns, [[middle] * 5], predictions=[told]))
            await eventually(lambda middle=middle: live.messages and live.on(TOPIC)[-1]["p50"] == middle)
    async with subscriber(mosquitto.port, f"{PATH}/_forecast/#") as late:
        await eventually(lambda: late.messages)
    assert [(topic, retain) for topic, _, retain in late.messages] == [(TOPIC, True)]
    (record,) = late.on(TOPIC)
    band = record.pop("band")
    assert record == {
        "tag": "line.temp",
        "unit": "Cel",
        "issued": "2027-01-15T08:00:00.000Z",
        "lead_s": 3.0,
        "timestamp": "2027-01-15T08:00:03.000Z",
        "p05": 21.1,
        "p50": 22.1,
        "p95": 23.1,
        "quality": "uncertain",
        "status": "UncertainSimulatedValue",
        "model": "kalman",
        "skill": 0.25,
        "limits": [
            {
                "limit": "HI",
                "threshold": 25.0,
                "probability": 0.4,
                "time_s": {"p05": 45.0, "p50": 90.0, "p95": 180.0},
                "expected": "2027-01-15T08:01:30.000Z",
            },
            {"limit": "LO", "threshold": 10.0, "probability": 0.0, "time_s": {"p05": None, "p50": None, "p95": None}, "expected": None},
        ],
    }
    assert (band["t0"], band["dt_ms"]) == (record["issued"], [1000, 2000, 3000, 4000, 5000])
    assert (band["p05"], band["p50"], band["p95"]) == ([21.1] * 5, [22.1] * 5, [23.1] * 5)
    await sink.close()
    assert held.watched == 0


async def test_a_tag_without_a_good_sample_yet_says_so(mosquitto):
    held = Held([0])
    sink = await connected(MqttFace(mosquitto.url, TAGS, context={"forecasts": held}))
    held.issue(outlook(time.time_ns(), [[NAN] * 5], skill=NAN))
    async with subscriber(mosquitto.port, TOPIC) as heard:
        await eventually(lambda: heard.messages)
    (record,) = heard.on(TOPIC)
    assert [record[key] for key in ("p50", "skill", "quality", "status")] == [None, None, "bad", "BadWaitingForInitialData"]
    assert record["band"]["p50"] == [None] * 5
    await sink.close()


async def test_what_is_no_longer_forecast_leaves_no_record(mosquitto):
    held = Held([0, 1])
    face = MqttFace(mosquitto.url, TAGS, context={"forecasts": held})
    sink = await connected(face)
    held.issue(outlook(time.time_ns(), [[20.0] * 5, [7.0] * 5], [0, 1]))
    async with subscriber(mosquitto.port, f"{PATH}/_forecast/#") as heard:
        await eventually(lambda: len(heard.messages) == 2)
        held.tags = (0,)
        held.issue(outlook(time.time_ns(), [[20.0] * 5]))
        await eventually(lambda: heard.on(f"{PATH}/_forecast/line.count")[-1] is None)
        held.tags = ()
        held.issue(None)
        await eventually(lambda: heard.on(TOPIC)[-1] is None)
    async with subscriber(mosquitto.port, f"{PATH}/_status", f"{PATH}/_forecast/#") as late:
        await eventually(lambda: late.messages)
    assert [topic for topic, _, _ in late.messages] == [f"{PATH}/_status"]
    await sink.close()


async def test_forecasts_can_be_left_out(mosquitto):
    held = Held([0])
    sink = await connected(MqttFace(mosquitto.url, TAGS, context={"forecasts": held}, forecasts=False))
    assert held.watched == 0
    await sink.close()


def test_a_band_keeps_its_ends_and_is_thinned_evenly():
    assert kept(5, BAND_POINTS).tolist() == [0, 1, 2, 3, 4]
    at = kept(3600, BAND_POINTS)
    assert (at.size, at[0], at[-1]) == (BAND_POINTS, 0, 3599)
    assert set(np.diff(at).tolist()) <= {59, 60}
