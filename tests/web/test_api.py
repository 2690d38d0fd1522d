"""Routes of the API over a small twin."""

import math


async def test_a_tag_shows_value_unit_quality_and_age(local):
    row = (await local.get("/api/v1/tags/line.temperature")).json()
    assert (row["value"], row["unit"], row["quality"], row["age_s"]) == (22.5, "Cel", "good", 1.5)


async def test_values_come_in_the_type_of_their_tag_and_null_where_bad(local):
    rows = (await local.get("/api/v1/tags")).json()
    assert [row["value"] for row in rows["tags"]] == [22.5, 41, 1, "ok", None]
    assert rows["tags"][2]["label"] == "running"
    assert rows["tags"][4]["status"] == "BadNoCommunication"
    assert isinstance(rows["tags"][1]["value"], int)


async def test_tags_are_paged_and_filtered_by_prefix(local):
    page = (await local.get("/api/v1/tags", params={"prefix": "line.", "limit": 2, "offset": 2})).json()
    assert page["total"] == 4
    assert [row["name"] for row in page["tags"]] == ["line.state", "line.message"]


async def test_the_twin_is_a_tree_now_and_at_an_earlier_commit(local):
    assert (await local.get("/api/v1/twin")).json()["line"] == {"temperature": 22.5}
    assert (await local.get("/api/v1/twin", params={"at": "now-10s"})).status_code == 200
    assert (await local.get("/api/v1/twin", params={"at": "now-1d"})).status_code == 404


async def test_not_a_number_never_leaves(local, context):
    context.view.value[0] = math.nan
    answer = await local.get("/api/v1/tags/line.temperature")
    assert answer.json()["value"] is None
    assert b"NaN" not in answer.content


async def test_errors_are_problem_documents(local):
    answer = await local.get("/api/v1/tags/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "/api/v1/tags/nowhere"
    wrong = (await local.get("/api/v1/tags", params={"limit": "many"})).json()
    assert (wrong["status"], wrong["errors"][0]["field"]) == (422, "limit")


async def test_probes_need_no_session_and_say_why(stranger, context):
    assert (await stranger.get("/healthz")).status_code == 200
    context.health.reasons.append("starting")
    answer = await stranger.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["starting"])


async def test_metrics_are_in_the_text_format(local):
    text = (await local.get("/metrics")).text
    assert text == (
        '# TYPE edgetwin_samples_total counter\nedgetwin_samples_total{source="plc1"} 12.0\nedgetwin_samples_total{source="a\\"b"} 1.0\n'
    )
