"""People in the whole daemon: they survive a restart, sign in over page and OPC UA with one identity, and lose all of it at once."""

import httpx
import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaError
from structlog.testing import capture_logs

from gateway.launch import running
from gateway.model import quality
from gateway.model.command import Caller, Command
from support.ports import free_port
from support.waiting import eventually

ADMIN, VIEWER = Caller("root", "admin", "local:0"), Caller("eve", "viewer", "web:10.0.0.9")
PASSWORD = "kettle-drum-seven"
SETPOINT = ua.NodeId("line.temp", 2)


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(
        f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\n"
        f"web: {{port: {free_port()}}}\nopcua: {{port: {free_port()}, insecure: true}}\n"
        "tags:\n  - {name: line.temp, unit: Cel, writable: {min: 10, max: 40, role: operator}}\n"
    )
    return path


async def do(gateway, kind, caller=ADMIN, **args):
    outcome = await gateway.door.execute(Command(kind, args, caller))
    return outcome.status, outcome.result


def opcua(gateway, password=PASSWORD):
    client = Client(gateway.urls()["opcua"])
    client.set_user("ann")
    client.set_password(password)
    return client


async def audit(gateway, command="session.sign_in"):
    return [record for record in await gateway.store.audit_log() if record.command == command]


async def test_a_failed_sign_in_is_a_line_of_the_log_that_moves_no_cursor(site):
    async with running(site) as gateway, httpx.AsyncClient(base_url=gateway.urls()["web"]) as page:
        with capture_logs() as lines:
            answer = await page.post("/api/v1/session", json={"user": "an\x1b[2Jn", "password": "wrong-password"})
        assert answer.status_code == 401
        (line,) = [line for line in lines if line["event"] == "sign-in refused"]
        assert (line["user"], line["origin"], line["log_level"]) == ("an?[2Jn", "web:127.0.0.1", "warning")


async def test_one_identity_on_page_and_opc_ua_its_records_and_its_end(site):
    async with running(site) as gateway:
        assert gateway.people.setup
        assert (await do(gateway, "user.add", user="ann", role="operator", password=PASSWORD))[0] == quality.GOOD
        async with httpx.AsyncClient(base_url=gateway.urls()["web"]) as page:
            assert (await page.post("/api/v1/session", json={"user": "ann", "password": PASSWORD})).status_code == 200
            async with opcua(gateway) as client:
                await client.get_node(SETPOINT).write_value(25.0, ua.VariantType.Double)
                with pytest.raises(UaError):
                    await opcua(gateway, "wrong").connect()
                found = [(record.user, record.origin, record.args, record.status) for record in await audit(gateway)]
                assert found == [
                    ("ann", "opcua:127.0.0.1", '{"by":"password"}', 0x80210000),
                    ("ann", "opcua:127.0.0.1", '{"by":"password"}', 0),
                    ("ann", "web:127.0.0.1", '{"by":"password"}', 0),
                ]
                assert [record.user for record in await audit(gateway, "tag.write")] == ["ann"]
                assert (await do(gateway, "user.disable", user="ann"))[0] == quality.GOOD
                assert (await page.get("/api/v1/session")).status_code == 401
                with pytest.raises((UaError, ConnectionError, TimeoutError)):
                    await client.get_node(SETPOINT).read_value()


async def test_every_session_has_its_beginning_and_its_end_in_the_audit(site):
    """Those of clients that do not sign in, and those that end otherwise than by their own word, too (IEC 62443-3-3, SR 2.8)."""
    site.write_text(site.read_text().replace("insecure: true", "insecure: true, anonymous: viewer"))
    async with running(site) as gateway:
        await do(gateway, "user.add", user="ann", role="operator", password=PASSWORD)
        async with httpx.AsyncClient(base_url=gateway.urls()["web"]) as page:
            await page.post("/api/v1/session", json={"user": "ann", "password": PASSWORD})
            await page.delete("/api/v1/session")
            await page.delete("/api/v1/session")
        async with Client(gateway.urls()["opcua"]):
            pass
        async with opcua(gateway):
            await do(gateway, "user.disable", user="ann")
            await eventually(lambda: not gateway.north.faces["opcua"].sink._server.interior.sessions())
        await eventually(lambda: recorded(gateway, 6))
        found = [(record.command, record.user, record.origin, record.args) for record in await sessions(gateway)]
        assert found == [
            ("session.sign_in", "ann", "web:127.0.0.1", '{"by":"password"}'),
            ("session.sign_out", "ann", "web:127.0.0.1", '{"why":"by the user"}'),
            ("session.sign_in", "anonymous", "opcua:127.0.0.1", '{"by":"anonymous"}'),
            ("session.sign_out", "anonymous", "opcua:127.0.0.1", '{"why":"closed by the client"}'),
            ("session.sign_in", "ann", "opcua:127.0.0.1", '{"by":"password"}'),
            ("session.sign_out", "ann", "opcua:127.0.0.1", '{"why":"ended by the gateway"}'),
        ]


async def sessions(gateway):
    return [record for record in reversed(await gateway.store.audit_log()) if record.command.startswith("session.")]


async def recorded(gateway, count):
    return len(await sessions(gateway)) >= count


async def test_people_and_tokens_survive_a_restart_and_there_is_no_second_setup(site):
    async with running(site) as gateway:
        await do(gateway, "user.add", user="ann", role="operator", password=PASSWORD)
        _, made = await do(gateway, "token.create", name="historian", role="viewer")
    async with running(site) as gateway:
        assert (await gateway.people.sign_in("ann", PASSWORD, "web:10.0.0.7")).role == "operator"
        assert (await gateway.people.bearer(made["token"], "web:10.0.0.7")).role == "viewer"
        assert (await do(gateway, "user.remove", user="ann"))[0] == quality.GOOD
    async with running(site) as gateway:
        assert not gateway.people.users.all()
        assert not gateway.people.setup
        assert (await gateway.store.audit_verify()).broken_at is None


async def test_a_flood_of_what_is_not_permitted_leaves_few_records_and_a_long_one_is_cut(site):
    async with running(site) as gateway:
        for _ in range(300):
            assert (await do(gateway, "user.add", VIEWER, user="x" * 100_000))[0] == quality.BAD_USER_ACCESS_DENIED
        records = await audit(gateway, "user.add")
        assert len(records) == 100
        assert max(len(record.args) for record in records) < 2000
        status, _ = await do(gateway, "user.add", user="ann", role="operator", password=PASSWORD)
        assert status == quality.GOOD
        assert (await audit(gateway, "user.add"))[0].status == quality.GOOD


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("user.own_password", {"present": "wrong", "password": PASSWORD, "more": "x" * 60_000}),
        ("event.acknowledge", {"event_id": ["x" * 900_000]}),
    ],
)
async def test_a_flood_of_refusals_of_one_caller_fills_no_disk_and_hides_nobody_else(site, kind, args):
    """The audit is never cut: whoever may ask for one thing only must not be able to fill the disk with its refusals."""
    eve, kim = Caller("eve", "operator", "web:10.0.0.9"), Caller("kim", "operator", "web:10.0.0.9")
    async with running(site) as gateway:
        for _ in range(150):
            assert (await do(gateway, kind, eve, **args))[0] != quality.GOOD
        await do(gateway, kind, kim, **args)
        records = [record for record in await gateway.store.audit_log(500) if record.command == kind]
        assert [record.user for record in records] == ["kim"] + ["eve"] * 100
        assert max(len(record.args) + len(record.message) for record in records) < 6000
