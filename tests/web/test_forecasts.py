"""Forecasts by REST and on the stream."""

import csv
import io
import json
import math

import numpy as np
import pytest
from websockets.asyncio.client import unix_connect

from gateway.model.forecast import Scores
from gateway.web.server import WebServer
from support.forecasts import SECOND, foretold, outlook, prediction
from web.room import START
from web.test_stream import subscribe, until

NAN = float("nan")
AT = START + 100 * SECOND
AT_MS = AT // 1_000_000


def issue(room, middle=20.0, steps=5, at_ns=AT):
    told = [prediction("HI", 0.4, 90.0, 27.0, at_ns)]
    room.forecasts.issue(outlook(at_ns, [[middle] * steps, [NAN] * steps], [0, 4], predictions=[told, []]))


async def test_all_forecasts_at_the_lead(room, local):
    before = (await local.get("/api/v1/forecasts")).json()
    assert (before["lead_s"], before["horizon_s"]) == (3.0, 5.0)
    assert [(row["tag"], row["issued"], row["p50"], row["status"]) for row in before["forecasts"]] == [
        (name, None, None, "BadWaitingForInitialData") for name in ("line.temperature", "oven.temperature")
    ]
    issue(room)
    first, second = (await local.get("/api/v1/forecasts")).json()["forecasts"]
    assert (first["p05"], first["p50"], first["p95"], first["unit"], first["model"]) == (19.0, 20.0, 21.0, "Cel", "kalman")
    assert (first["issued"], first["timestamp"]) == ("2027-01-15T08:01:40.000Z", "2027-01-15T08:01:43.000Z")
    assert (first["status"], first["quality"]) == ("UncertainSimulatedValue", "uncertain")
    assert first["limits"][0] == {
        "limit": "HI",
        "threshold": 27.0,
        "probability": 0.4,
        "time_s": {"p05": 45.0, "p50": 90.0, "p95": 180.0},
        "expected": "2027-01-15T08:03:10.000Z",
    }
    assert (second["p50"], second["quality"]) == (None, "bad")
    some = (await local.get("/api/v1/forecasts", params={"prefix": "oven"})).json()["forecasts"]
    assert [row["tag"] for row in some] == ["oven.temperature"]
    table = list(csv.DictReader(io.StringIO((await local.get("/api/v1/forecasts?format=csv")).text)))
    assert [(row["tag"], row["p50"], row["status"]) for row in table] == [
        ("line.temperature", "20.0", "UncertainSimulatedValue"),
        ("oven.temperature", "", "BadWaitingForInitialData"),
    ]


async def test_one_forecast_with_trajectory_scores_and_what_was_forecast_before(room, local):
    issue(room)
    knots = (2, 2)
    room.forecasts.known_scores = Scores(
        np.array([1.0, 5.0]), np.full(knots, 10.0), np.array([[0.5, NAN], [1.0, 1.0]]), np.ones(knots), np.full(knots, 0.8),
        np.full(knots, 0.9), {}, np.zeros((2, 2, 10)), np.array([[1, 0], [0, 0]], np.int8), ("persistence", "kalman"),
    )  # fmt: skip
    room.now_ns = AT
    room.forecasts.foretold[0] = foretold([AT - k * SECOND for k in (90, 2, 1)] + [AT + SECOND], [1.0, 2.0, 3.0, 4.0])
    found = (await local.get("/api/v1/forecasts/line.temperature", params={"past": "1min"})).json()
    assert found["trajectory"]["t_ms"] == [AT_MS + 1000 * k for k in range(1, 6)]
    assert found["trajectory"]["p95"] == [21.0] * 5
    assert [(row["horizon_s"], row["n"], row["crps"], row["mase"], row["coverage"], row["model"]) for row in found["scores"]] == [
        (1.0, 10.0, 0.5, 0.8, 0.9, "kalman"),
        (5.0, 10.0, None, 0.8, 0.9, "persistence"),
    ]
    assert (found["past"]["t_ms"], found["past"]["p50"], found["past"]["more"]) == ([AT_MS - 2000, AT_MS - 1000], [2.0, 3.0], False)
    assert "past" not in (await local.get("/api/v1/forecasts/line.temperature")).json()
    text = (await local.get("/api/v1/forecasts/line.temperature", params={"past": "1min", "format": "csv"})).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["kind"], row["p50"]) for row in rows] == [("past", "2.0"), ("past", "3.0"), *[("ahead", "20.0")] * 5]
    assert rows[0]["timestamp"] == "2027-01-15T08:01:38.000Z"


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("no.tag", 404, "no tag"),
        ("line.count", 404, "not forecast"),
        ("line.temperature?past=soon", 422, "past"),
        ("line.temperature?past=0", 422, "past"),
        ("line.temperature?past=-5s", 422, "past"),
        ("line.temperature?past=1e99h", 422, "past"),
        ("line.temperature?past=nan", 422, "past"),
        ("line.temperature?format=xml", 422, "format"),
    ],
)
async def test_what_cannot_be_is_a_problem_document(local, path, status, word):
    answer = await local.get(f"/api/v1/forecasts/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.text


async def test_a_gateway_that_forecasts_nothing_says_so(room, local, stranger):
    room.forecasts.tags = ()
    assert (await local.get("/api/v1/forecasts")).json()["forecasts"] == []
    answer = await local.get("/api/v1/forecasts/line.temperature")
    assert (answer.status_code, "section `forecast`" in answer.json()["detail"]) == (404, True)
    assert (await stranger.get("/api/v1/forecasts")).status_code == 401


async def test_the_document_describes_them(local):
    paths = (await local.get("/api/openapi.json")).json()["paths"]
    assert {"/api/v1/forecasts", "/api/v1/forecasts/{tag}"} <= paths.keys()


@pytest.fixture
async def link(room, tmp_path):
    server = WebServer(room.app, "127.0.0.1", 0, tmp_path / "s.sock")
    await server.start()
    async with unix_connect(str(tmp_path / "s.sock"), uri="ws://localhost/api/v1/stream", max_size=None) as made:
        yield made
    await server.stop()


async def test_the_stream_tells_each_new_forecast_of_the_tags_that_are_wanted(room, link):
    issue(room, 20.0)
    await subscribe(link, forecasts=["line.temperature", "line.count"], hz=10)
    first = await until(link, "fc")
    assert (first["tag"], first["t0"], first["step"], first["p50"]) == ("line.temperature", AT_MS + 1000, 1000, [20.0] * 5)
    assert first["limits"][0]["probability"] == 0.4
    issue(room, 21.5, steps=600, at_ns=AT + SECOND)
    second = await until(link, "fc")
    assert (second["t0"], second["step"], len(second["p05"])) == (AT_MS + 1000 + 5000, 5000, 120)  # thinned, on an even grid
    assert math.isclose(second["p95"][-1], 22.5)
    await subscribe(link, forecasts="*")
    assert {(await until(link, "fc"))["tag"] for _ in range(2)} == {"line.temperature", "oven.temperature"}
    await subscribe(link, tags=["line.temperature"])
    await until(link, "snap")
    await link.close()


async def test_nobody_is_told_once_nobody_listens(room, link):
    await subscribe(link, forecasts="*")
    await until(link, "snap")
    assert room.forecasts.watched == 1
    await link.close()
    await link.wait_closed()
    async with room.client() as caller:  # the server has seen that the client went once it answers another
        for _ in range(100):
            if not room.forecasts.watched:
                break
            await caller.get("/healthz")
    assert room.forecasts.watched == 0


async def test_a_wish_that_is_none_ends_the_connection(link):
    await link.send(json.dumps({"subscribe": {"forecasts": "line"}}))
    assert "forecasts is a list of names" in (await until(link, "gone"))["why"]
