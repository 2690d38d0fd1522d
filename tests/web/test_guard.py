"""Who gets in, and what every answer carries."""

import pytest

from gateway.web.config import WebConfig
from web.conftest import STRANGER
from web.room import opened


async def signed_in(room, role="operator"):
    """A client over TCP with a session of that role."""
    async with room.client(STRANGER) as browser:
        answer = await browser.get("/login", params={"link": room.sessions.link("ann", role)})
    assert answer.status_code == 200
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    return room.client(STRANGER, cookies=answer.cookies)


async def test_without_a_session_nothing_but_the_probes(stranger):
    for path in (
        "/api/v1/tags",
        "/api/digital-twin/state",
        "/api/v1/status",
        "/api/v1/events",
        "/api/v1/history?tag=a",
        "/metrics",
        "/api/v1/session",
    ):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert (await stranger.post("/api/v1/commands", json={"command": "event.clear"})).status_code == 401


async def test_a_one_time_link_opens_one_session(room, stranger):
    ticket = room.sessions.link("ann", "viewer")
    assert (await stranger.get("/login", params={"link": ticket})).status_code == 200
    assert (await stranger.get("/api/v1/session")).json()["role"] == "viewer"
    async with room.client(STRANGER) as other:
        assert (await other.get("/login", params={"link": ticket})).status_code == 401


async def test_roles_decide_what_a_session_may_change(room):
    async with await signed_in(room, "viewer") as viewer, await signed_in(room, "manager") as manager:
        assert (await viewer.get("/api/v1/tags")).status_code == 200
        refused = await viewer.delete("/api/v1/events")
        assert (refused.status_code, refused.json()["status_code"]) == (403, "BadUserAccessDenied")
        assert (await manager.delete("/api/v1/events")).status_code == 200
        assert (await manager.post("/api/v1/session/links", json={"role": "admin"})).status_code == 403


async def test_a_session_ends_when_idle_and_when_signed_out(room):
    async with await signed_in(room) as client, await signed_in(room) as other:
        room.clock_s += 800
        assert (await client.get("/api/v1/session")).status_code == 200
        room.clock_s += 800
        assert (await client.get("/api/v1/session")).status_code == 200
        assert (await other.get("/api/v1/session")).status_code == 401
        assert (await client.delete("/api/v1/session")).status_code == 204
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_a_page_of_another_origin_changes_nothing(room):
    async with await signed_in(room, "admin") as client:
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            assert (await client.delete("/api/v1/events", headers=headers)).status_code == 403
        for headers in ({"origin": "http://127.0.0.1:8080"}, {"sec-fetch-site": "same-origin"}, {}):
            assert (await client.delete("/api/v1/events", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("192.168.7.7:80", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("", 421),
        ("localhost.evil.example", 421),
    ],
)
async def test_a_name_that_is_not_ours_is_refused(stranger, host, status):
    assert (await stranger.get("/healthz", headers={"host": host})).status_code == status


async def test_every_answer_carries_the_headers(local):
    for path in ("/", "/healthz", "/api/v1/tags", "/api/v1/nothing", "/api/docs"):
        headers = (await local.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'self'")
    assert (await local.get("/api/v1/tags")).headers["cache-control"] == "no-store"


async def test_the_anonymous_role_holds_where_the_configuration_gives_one(tmp_path):
    config = WebConfig(insecure=True, anonymous="viewer")
    async with opened(tmp_path, config) as room, room.client(STRANGER) as client:
        assert (await client.get("/api/v1/session")).json() == {
            "user": "anonymous",
            "role": "viewer",
            "permissions": ["account:own", "event:read", "history:read", "status:read", "twin:read"],
        }
        assert (await client.delete("/api/v1/events")).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [{"host": "0.0.0.0"}, {"anonymous": "viewer"}, {"host": "10.0.0.1", "insecure": True, "anonymous": "viewer"}, {"host": "example.org"}],
)
def test_nothing_opens_beyond_loopback_unasked(wrong):
    with pytest.raises(ValueError, match="loopback"):
        WebConfig(**wrong)
