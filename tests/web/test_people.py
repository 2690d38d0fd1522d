"""Signing in with name, password and token; users, tokens and the audit over REST."""

import pytest

from gateway.events import Publisher
from gateway.store.commit import Commit
from web.conftest import STRANGER

PASSWORD = "kettle-drum-seven"


@pytest.fixture
async def ann(room):
    """An operator with a password."""
    return await room.people.users.add("ann", "operator", PASSWORD)


async def enter(client, user="ann", password=PASSWORD, **more):
    return await client.post("/api/v1/session", json={"user": user, "password": password, **more})


async def test_name_and_password_open_a_session_in_a_strict_cookie(room, stranger, ann):
    answer = await enter(stranger)
    assert answer.status_code == 200
    assert answer.json()["role"] == "operator"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert (await stranger.get("/api/v1/session")).json()["user"] == "ann"
    assert [(one.user, one.origin, one.by, one.why) for one in room.signed_in] == [("ann", "web:127.0.0.1", "password", "")]


async def test_wrong_is_401_in_the_same_words_and_too_often_429_with_the_time_to_wait(room, stranger, ann):
    answers = [await enter(stranger, user, "wrong") for user in ("ann", "nobody", "ann", "ann", "ann", "ann")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    refused = await enter(stranger)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    room.clock_s += 1.0
    assert (await enter(stranger)).status_code == 200


async def test_a_page_of_another_origin_signs_nobody_in(stranger, ann):
    body = {"user": "ann", "password": PASSWORD}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert (await stranger.post("/api/v1/session", json=body, headers=headers)).status_code == 403
    assert (await stranger.post("/api/v1/session", data=body)).status_code == 415


async def test_signing_in_again_ends_the_session_before(room, stranger, ann):
    await enter(stranger)
    before = dict(stranger.cookies)
    await enter(stranger)
    async with room.client(STRANGER, cookies=before) as old:
        assert (await old.get("/api/v1/session")).status_code == 401


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"password": "another-kettle-drum"}, {"disabled": True}])
async def test_another_role_or_password_and_disabling_end_sessions_and_tokens_at_once(room, stranger, local, ann, change):
    await enter(stranger)
    token = (await enter(stranger, token="laptop")).json()["token"]
    room.now_ns += 1
    assert (await local.patch("/api/v1/users/ann", json=change)).status_code == 200
    assert (await stranger.get("/api/v1/session")).status_code == 401
    assert (await stranger.get("/api/v1/session", headers={"authorization": f"Bearer {token}"})).status_code == 401


async def test_a_bearer_token_acts_with_its_role_and_a_wrong_one_is_nobody(room, stranger, local):
    made = (await local.post("/api/v1/tokens", json={"name": "historian", "role": "viewer", "days": 1})).json()["result"]
    stranger.headers["authorization"] = f"bearer {made['token']}"
    assert (await stranger.get("/api/v1/session")).json()["user"] == "token:historian"
    assert (await stranger.get("/api/v1/users")).status_code == 403
    listed = (await local.get("/api/v1/tokens")).json()["tokens"]
    assert made["token"] not in str(listed)
    assert (await local.delete(f"/api/v1/tokens/{listed[0]['token_id']}")).status_code == 200
    assert (await stranger.get("/api/v1/session")).status_code == 401
    assert room.signed_in[-1].by == "token"


async def test_users_are_added_listed_changed_and_removed_by_an_admin_alone(room, local, stranger):
    assert (await local.get("/api/v1/users")).json() == {"users": [], "setup": True}
    new = {"user": "bob", "role": "admin", "password": PASSWORD}
    assert (await local.post("/api/v1/users", json=new)).status_code == 200
    assert (await local.post("/api/v1/users", json=new)).status_code == 409
    assert (await local.post("/api/v1/users", json=new | {"user": "cid", "password": "password1234"})).status_code == 422
    assert (await local.patch("/api/v1/users/bob", json={"disabled": True})).status_code == 409
    assert (await local.patch("/api/v1/users/bob", json={})).status_code == 422
    assert (await local.patch("/api/v1/users/nobody", json={"locked": False})).status_code == 404
    row = (await local.get("/api/v1/users")).json()["users"][0]
    assert (row["user"], row["role"], row["password"]) == ("bob", "admin", True)
    assert "argon2" not in str(row)
    for who, status in ((stranger, 401), (room.client(STRANGER, cookies={"sid": room.sessions.open("ann", "manager")}), 403)):
        assert (await who.post("/api/v1/users", json=new | {"user": "eve"})).status_code == status
        assert (await who.get("/api/v1/users")).status_code == status


async def test_people_change_their_own_password_by_the_present_one(stranger, ann):
    await enter(stranger)
    change = {"present": "wrong", "password": "another-kettle-drum"}
    assert (await stranger.post("/api/v1/session/password", json=change)).status_code == 403
    assert (await stranger.post("/api/v1/session/password", json=change | {"present": PASSWORD})).status_code == 200
    assert (await stranger.get("/api/v1/session")).status_code == 401
    assert (await enter(stranger, password="another-kettle-drum")).status_code == 200


async def test_no_secret_reaches_the_audit(room, local):
    await local.post("/api/v1/users", json={"user": "bob", "role": "viewer", "password": PASSWORD})
    await local.post("/api/v1/commands", json={"command": "user.passwdd", "args": {"deep": [{"Password": PASSWORD}]}})
    token = (await local.post("/api/v1/tokens", json={"name": "t", "role": "viewer"})).json()["result"]["token"]
    link = (await local.post("/api/v1/session/links", json={"user": "bob", "role": "viewer"})).json()["path"]
    said = str(await room.store.audit_log())
    assert "user.add" in said
    assert PASSWORD not in said
    assert token not in said
    assert link not in said


async def test_the_audit_is_read_by_a_manager_page_by_page_and_verified(room, local):
    for n in range(5):
        await local.post("/api/v1/commands", json={"command": f"no.{n}"})
    async with room.client(STRANGER, cookies={"sid": room.sessions.open("ann", "manager")}) as manager:
        first = (await manager.get("/api/v1/audit", params={"limit": 3})).json()
        assert [record["command"] for record in first["records"]] == ["no.4", "no.3", "no.2"]
        rest = (await manager.get("/api/v1/audit", params={"limit": 3, "before": first["next"]})).json()
        assert [record["command"] for record in rest["records"]] == ["no.1", "no.0"]
        assert rest["next"] is None
        assert not (await manager.get("/api/v1/audit", params={"user": "nobody"})).json()["records"]
        check = (await manager.get("/api/v1/audit/verify")).json()
        assert (check["intact"], check["records"]) == (True, 5)
    async with room.client(STRANGER, cookies={"sid": room.sessions.open("ann", "engineer")}) as engineer:
        assert (await engineer.get("/api/v1/audit")).status_code == 403


async def test_a_program_does_not_end_its_own_token(room, stranger):
    _, secret = await room.people.tokens.create("historian", "viewer", None)
    await stranger.delete("/api/v1/session", headers={"Authorization": f"Bearer {secret}"})
    assert (await stranger.get("/api/v1/session", headers={"Authorization": f"Bearer {secret}"})).status_code == 200


async def test_who_did_what_is_seen_on_the_page_by_those_who_may_read_the_audit(room):
    """As over OPC UA: names and addresses of others are nothing for a viewer."""
    events = []
    said = Publisher("gateway", events.append, lambda: room.now_ns)
    said.user("bob signed in", user="bob", origin="web:10.0.0.7")
    said.system("something else")
    await room.store.commit(Commit(events=events))
    for role, seen in (("engineer", ["something else"]), ("manager", ["bob signed in", "something else"])):
        async with room.client(STRANGER, cookies={"sid": room.sessions.open("ann", role)}) as client:
            found = (await client.get("/api/v1/events")).json()["events"]
            assert sorted(event["message"] for event in found) == seen
            asked = (await client.get("/api/v1/events", params={"category": "user"})).json()["events"]
            assert len(asked) == len(seen) - 1


@pytest.mark.parametrize("name", ["bob\nroot", "local:0", "token:scada", "anonymous", "\x1b[2J"])
async def test_a_link_names_nobody_whom_the_audit_could_take_for_somebody_else(local, name):
    assert (await local.post("/api/v1/session/links", json={"user": name, "role": "viewer"})).status_code == 422


async def test_a_link_names_no_more_than_its_user_may(local, ann):
    assert (await local.post("/api/v1/session/links", json={"user": "ann", "role": "admin"})).status_code == 409
    assert (await local.post("/api/v1/session/links", json={"user": "ann", "role": "viewer"})).status_code == 201
