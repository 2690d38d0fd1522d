"""Routes of the API over the real engine and store."""

import csv
import io
import json
import math
import re
from urllib.parse import quote_from_bytes

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import quality
from gateway.web import schema, table


async def test_a_tag_shows_value_unit_quality_and_age(local):
    row = (await local.get("/api/v1/tags/line.temperature")).json()
    assert (row["value"], row["unit"], row["quality"], row["age_s"]) == (25.9, "Cel", "good", 0.5)
    assert row["timestamp"] == "2027-01-15T08:01:00.000Z"


async def test_values_come_in_the_type_of_their_tag_and_null_where_bad(local):
    rows = (await local.get("/api/v1/tags")).json()
    assert [row["value"] for row in rows["tags"]] == [25.9, 41, 1, "ok", None]
    assert rows["tags"][2]["label"] == "running"
    assert (rows["tags"][4]["status"], rows["tags"][4]["age_s"]) == ("BadWaitingForInitialData", None)
    assert isinstance(rows["tags"][1]["value"], int)


async def test_tags_are_paged_filtered_by_prefix_and_picked_by_name(local):
    page = (await local.get("/api/v1/tags", params={"prefix": "line.", "limit": 2, "offset": 2})).json()
    assert page["total"] == 4
    assert [row["name"] for row in page["tags"]] == ["line.state", "line.message"]
    picked = (await local.get("/api/v1/tags", params={"name": ["oven.temperature", "line.count"]})).json()
    assert [row["name"] for row in picked["tags"]] == ["oven.temperature", "line.count"]


async def test_the_twin_is_a_tree_now_and_at_an_earlier_commit(local):
    assert (await local.get("/api/v1/twin")).json()["line"]["temperature"] == 25.9
    assert (await local.get("/api/v1/twin", params={"at": "now-30500ms"})).json()["line"]["temperature"] == 22.9
    assert (await local.get("/api/v1/twin", params={"at": "now-1d"})).status_code == 404
    assert (await local.get("/api/digital-twin/state")).json()["line"]["temperature"] == 25.9


async def test_an_earlier_state_comes_from_disk_where_memory_does_not_reach(local, room):
    room.engine.restore(room.engine.snapshot())  # a restart: the ring in memory begins anew
    found = (await local.get("/api/v1/twin", params={"at": "2027-01-15T08:00:30.500Z"})).json()
    assert found["line"]["temperature"] == 22.9
    assert found["timestamp"].startswith("2027-01-15T08:00:30")


async def test_diagnostics_say_of_each_component_whether_it_works(local, room):
    found = (await local.get("/api/v1/diagnostics")).json()
    assert found["status"] == "ok"
    assert found["components"]["twin"]["details"]["running"] is True
    assert {"gateway", "twin", "events", "history", "source plc1", "outbox"} <= set(found["components"])
    room.health.sources["plc1"]["state"] = "down"
    found = (await local.get("/api/v1/diagnostics")).json()
    assert (found["status"], found["components"]["source plc1"]["status"]) == ("error", "error")


async def test_while_the_disk_refuses_the_answer_is_503_and_diagnostics_go_on(local, room):
    await room.store.close()
    assert (await local.get("/api/v1/history?tag=line.temperature")).status_code == 503
    assert (await local.get("/api/v1/events")).status_code == 503
    assert (await local.get("/api/v1/tags")).status_code == 200
    found = (await local.get("/api/v1/diagnostics")).json()["components"]
    assert (found["events"]["status"], found["history"]["status"], found["twin"]["status"]) == ("error", "error", "ok")


async def test_not_a_number_never_leaves(local, room):
    await room.feed({"oven.temperature": math.nan}, status=quality.BAD_NO_COMMUNICATION)
    answers = [await local.get(path) for path in ("/api/v1/tags", "/api/v1/twin", "/api/v1/history?tag=oven.temperature&to=now+1s")]
    assert all(answer.status_code == 200 and b"NaN" not in answer.content for answer in answers)
    assert answers[2].json()["series"][0]["value"] == [None]
    assert answers[2].json()["series"][0]["status"] == ["BadNoCommunication"]


async def test_text_with_a_lone_surrogate_does_not_break_an_answer(local, room):
    await room.feed({"line.message": math.nan}, text={0: "a\ud800b"})
    answer = await local.get("/api/v1/tags/line.message")
    assert answer.status_code == 200
    assert answer.json()["value"] is None or "\ud800" not in answer.json()["value"]


async def test_errors_are_problem_documents(local):
    answer = await local.get("/api/v1/tags/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no tag 'nowhere'",
        "instance": "/api/v1/tags/nowhere",
    }
    wrong = (await local.get("/api/v1/tags", params={"limit": "many"})).json()
    assert (wrong["status"], wrong["errors"][0]["field"]) == (422, "limit")
    assert (await local.get("/nothing/here")).json()["status"] == 404
    assert (await local.post("/api/v1/tags")).json()["status"] == 405


async def test_probes_need_no_session_and_say_why(stranger, room):
    assert (await stranger.get("/healthz")).status_code == 200
    room.health.reasons.append("starting")
    answer = await stranger.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["starting"])


async def test_metrics_are_in_the_text_format(local):
    assert (await local.get("/metrics")).text == (
        "# TYPE edgetwin_samples_total counter\n"
        'edgetwin_samples_total{source="plc1"} 12.0\nedgetwin_samples_total{source="a\\"b\\n"} 1.0\n'
        "# TYPE edgetwin_up gauge\nedgetwin_up 1.0\n"
    )


async def test_history_gives_columns_and_the_place_to_go_on_from(local):
    url = "/api/v1/history?tag=line.temperature&from=2027-01-15T08:00:31Z"
    first = (await local.get(url, params={"tag": "line.temperature", "from": "2027-01-15T08:00:31Z", "limit": 20})).json()["series"][0]
    assert (first["value"][0], len(first["value"]), first["unit"], "status" in first) == (23.0, 20, "Cel", False)
    rest = (await local.get("/api/v1/history", params={"tag": "line.temperature", "from": first["next"]})).json()["series"][0]
    assert (rest["value"][0], rest["value"][-1], "next" in rest) == (25.0, 25.9, False)
    assert rest["t_ms"][0] - first["t_ms"][-1] == 1000


async def test_history_in_buckets_keeps_the_extremes(local):
    params = {"tag": "line.temperature", "from": "2027-01-15T08:00:00Z", "to": "2027-01-15T08:01:00Z", "buckets": 6}
    found = (await local.get("/api/v1/history", params=params)).json()
    series = found["series"][0]
    assert found["bucket_s"] == 10
    assert (series["min"][1], series["max"][1], series["count"][1]) == (20.9, 21.8, 10)


async def test_history_as_csv_reads_back_exactly(local):
    answer = await local.get("/api/v1/history", params={"tag": ["line.temperature", "line.message"], "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 61
    assert rows[29] == {"tag": "line.temperature", "timestamp": "2027-01-15T08:00:30.000Z", "value": "22.9", "text": "", "status": "Good"}
    assert (rows[60]["tag"], rows[60]["value"], rows[60]["text"]) == ("line.message", "", "ok")
    assert answer.headers["content-disposition"] == 'attachment; filename="line1-history.csv"'


async def test_history_as_parquet_holds_all_tags_of_a_prefix(local):
    answer = await local.get("/api/v1/history", params={"prefix": "line.", "format": "parquet"})
    table = pq.read_table(io.BytesIO(answer.content)).to_pydict()
    assert len(table["tag"]) == 63
    assert (table["tag"][0], table["value"][0]) == ("line.temperature", 20.0)
    assert table["text"][table["tag"].index("line.message")] == "ok"


async def test_a_fifth_export_at_a_time_is_refused_and_all_slots_come_back(local, room):
    slots = room.app.state.exports
    for _ in range(4):
        await slots.acquire()
    assert (await local.get("/api/v1/history?tag=line.temperature&format=csv")).status_code == 503
    assert (await local.get("/api/v1/history?tag=line.temperature")).status_code == 200
    for _ in range(4):
        slots.release()
    for _ in range(6):
        assert (await local.get("/api/v1/history?tag=line.temperature&format=csv")).status_code == 200
    assert not slots.locked()


async def test_an_export_beyond_one_piece_is_whole(local, monkeypatch):
    monkeypatch.setattr(table, "ROWS", 7)
    answer = await local.get("/api/v1/history", params={"tag": "line.temperature", "format": "csv"})
    assert [float(row["value"]) for row in csv.DictReader(io.StringIO(answer.text))] == [20.0 + n / 10 for n in range(60)]
    some = await local.get("/api/v1/history", params={"tag": "line.temperature", "format": "csv", "limit": 20})
    assert len(some.text.splitlines()) == 21


async def test_an_alarm_is_listed_acknowledged_and_gone(local, room):
    await room.feed({"line.temperature": 28.0})
    (alarm,) = (await local.get("/api/v1/alarms", params={"state": "active"})).json()["alarms"]
    assert (alarm["condition"], alarm["severity"], alarm["acknowledged"]) == ("line.temperature/Alarms/HI", "warning", False)
    done = await local.post("/api/v1/alarms/line.temperature/Alarms/HI/acknowledge", json={"comment": "seen"})
    assert done.json()["result"] == {"done": ["line.temperature/Alarms/HI"], "refused": [], "durable": True}
    (alarm,) = (await local.get("/api/v1/alarms")).json()["alarms"]
    assert (alarm["acknowledged"], alarm["user"], alarm["comment"]) == (True, "local:1000", "seen")
    await room.feed({"line.temperature": 20.0})
    assert (await local.get("/api/v1/alarms")).json()["alarms"] == []
    assert len((await local.get("/api/v1/alarms", params={"state": "all"})).json()["alarms"]) == 1


async def test_acknowledging_what_is_not_there_or_not_active(local):
    assert (await local.post("/api/v1/alarms/nothing/Alarms/HI/acknowledge")).status_code == 404
    assert (await local.post("/api/v1/alarms/line.temperature/Alarms/HI/acknowledge")).status_code == 409


async def test_events_are_filtered_acknowledged_and_cleared(local, room):
    await room.feed({"line.temperature": 28.0})
    await room.feed({"line.temperature": 20.0}, after_s=100)
    found = (await local.get("/api/v1/events", params={"category": "threshold", "severity": "warning"})).json()["events"]
    assert [event["details"]["actual_value"] for event in found] == [28.0]
    since = (await local.get("/api/v1/events", params={"since": "now-10s"})).json()["events"]
    assert [event["details"]["change"] for event in since] == ["inactive"]
    event_id = found[0]["event_id"]
    assert (await local.post(f"/api/v1/events/{event_id}/acknowledge")).status_code == 200
    assert (await local.post("/api/v1/events/none/acknowledge")).status_code == 404
    seen = (await local.get("/api/v1/events", params={"acknowledged": "true"})).json()["events"]
    assert [event["event_id"] for event in seen] == [event_id]
    assert (await local.delete("/api/v1/events", params={"older_than_days": 1})).json()["result"] == {"removed": 0}
    assert (await local.delete("/api/v1/events")).json()["result"] == {"removed": 2}


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"command": "nothing.known"}, 404, "there is no command"),
        ({"command": "event.clear", "args": {"older_than_days": -1}}, 422, "older_than_days"),
        ({"command": "alarm.acknowledge", "args": {"condition": 5}}, 422, "condition"),
        ({"args": {}}, 422, "command"),
        ({"command": "event.clear", "more": 1}, 422, "more: is not a known field (known: args, command)"),
        ([], 422, "body"),
    ],
)
async def test_a_refused_command_says_why_with_the_status_of_its_kind(local, body, status, word):
    answer = await local.post("/api/v1/commands", json=body)
    assert answer.status_code == status
    assert word in answer.json()["detail"]


async def test_every_command_passes_the_door(local, room):
    await local.post("/api/v1/commands", json={"command": "event.clear", "args": {}})
    await local.delete("/api/v1/events")
    assert room.executed == ["event.clear", "event.clear"]


async def test_hostile_bodies_are_refused(local):
    kind = {"content-type": "application/json"}
    deep = b'{"command":"x","args":{"a":' + b"[" * 40 + b"]" * 40 + b"}}"
    for content, status in ((deep, 422), (b'{"command": NaN}', 422), (b"[" * 500_000, 422), (b"\xff\xfe", 422), (b" " * 2**20 + b"1", 413)):
        assert (await local.post("/api/v1/commands", content=content, headers=kind)).status_code == status
    plain = await local.post("/api/v1/commands", content=b'{"command":"event.clear"}', headers={"content-type": "text/plain"})
    assert plain.status_code == 415


async def test_a_body_without_a_declared_length_is_bounded_too(local):
    async def endless():
        for _ in range(20):
            yield b" " * 100_000

    answer = await local.post("/api/v1/commands", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


PATHS = (
    "/api/v1/diagnostics",
    "/api/v1/tags",
    "/api/v1/twin",
    "/api/v1/history",
    "/api/v1/events",
    "/api/v1/alarms",
    "/api/v1/status",
    "/login",
    "/api/v1/session",
)
NAMES = (
    "limit",
    "offset",
    "prefix",
    "name",
    "at",
    "tag",
    "from",
    "to",
    "buckets",
    "format",
    "category",
    "severity",
    "since",
    "until",
    "ticket",
)
WORDS = (
    *("now", "now-", "now-1h", "now--1", "now-9999999999d", "-1", "0", "1e999", "NaN", "1" * 400, "\x00", "é", "9" * 19),
    *("line.temperature", "json", "csv", "parquet", "2026-01-01", "0000-00-00T00:00Z", "2026-01-01T00:00:00+99:99", "253402300800000"),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(WORDS), st.text(max_size=20))), max_size=6),
)
async def test_no_query_string_is_an_unexpected_error(local, path, query):
    answer = await local.get(path, params=[(name, text.encode("utf-8", "replace").decode()) for name, text in query])
    assert answer.status_code < 500
    if answer.is_error:
        assert answer.headers["content-type"] == "application/problem+json"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.binary(max_size=60))
async def test_no_raw_query_is_an_unexpected_error(local, query):
    assert (await local.get(f"/api/v1/history?{quote_from_bytes(query, safe='=&%+')}")).status_code < 500


async def test_the_documentation_names_every_route_and_no_address_elsewhere(local):
    page = (await local.get("/api/docs")).text
    paths = (await local.get("/api/openapi.json")).json()["paths"]
    assert len(paths) >= 15
    assert all(path in page for path in paths)
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page


async def test_the_start_page_is_whole_without_inline_script_or_style(local):
    page = (await local.get("/")).text
    assert "<script>" not in page
    assert "style=" not in page
    for name in ("start.css", "start.js", "trend.js", "icon.svg"):
        assert f"/static/{name}" in page
        assert (await local.get(f"/static/{name}")).status_code == 200
    assert (await local.get("/static/..%2fconfig.py")).status_code == 404


async def test_answers_have_the_shape_that_the_documentation_gives_them(local, room):
    await room.feed({"line.temperature": 28.0})
    for path, shape in (
        ("/api/v1/tags", schema.TagPage),
        ("/api/v1/tags/line.state", schema.TagRow),
        ("/api/v1/alarms?state=all", schema.Alarms),
        ("/api/v1/events", schema.Events),
        ("/api/v1/history?tag=line.temperature&tag=line.message&limit=2", schema.History),
        ("/api/v1/history?tag=line.temperature&buckets=5", schema.History),
        ("/api/v1/session", schema.Session),
        ("/api/v1/diagnostics", schema.Diagnostics),
        ("/readyz", schema.Probe),
        ("/api/v1/tags/nowhere", schema.ProblemDocument),
        ("/api/v1/tags?limit=0", schema.ProblemDocument),
    ):
        shape.model_validate((await local.get(path)).json())
    schema.Outcome.model_validate((await local.post("/api/v1/commands", json={"command": "event.clear"})).json())
    schema.Link.model_validate((await local.post("/api/v1/session/links", json={})).json())


async def test_the_document_promises_problem_documents_and_nothing_of_the_framework(local):
    text = (await local.get("/api/openapi.json")).text
    assert "HTTPValidationError" not in text
    assert "application/problem+json" in text
    document = (await local.get("/api/openapi.json")).json()
    referenced = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert referenced <= set(document["components"]["schemas"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["alarm.acknowledge", "event.acknowledge", "event.clear", "nothing", "tag.override", "tag.release"])
KEYS = st.sampled_from(["condition", "comment", "event_id", "older_than_days", "tag", "value", "reason"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON | st.fixed_dictionaries({"command": KINDS, "args": st.dictionaries(KEYS, JSON, max_size=3)}))
async def test_no_body_is_an_unexpected_error(local, body):
    content = json.dumps(body).encode("utf-8", "replace")
    for path in ("/api/v1/commands", "/api/v1/session/links", "/api/v1/alarms/line.temperature/Alarms/HI/acknowledge"):
        answer = await local.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code < 500, answer.text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.binary(max_size=30),
    place=st.sampled_from(["/api/v1/tags/{}", "/api/v1/events/{}/acknowledge", "/static/{}", "/{}", "/api/v1/{}"]),
)
async def test_no_path_is_an_unexpected_error(local, name, place):
    path = place.format(quote_from_bytes(name))
    for verb in ("GET", "POST", "HEAD", "DELETE", "OPTIONS"):
        assert (await local.request(verb, path)).status_code < 500
