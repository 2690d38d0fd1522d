"""user, token, login and audit: through a running gateway, over the network, and without one."""

import asyncio
import sqlite3
import stat

import pytest
from typer.testing import CliRunner

from cli.conftest import Said, edgetwin, run
from gateway.cli import app, daemon, login, people
from gateway.cli.failure import Failure
from gateway.store.lock import DirectoryLock
from gateway.web.server import WebServer
from gateway.wire.opcua import certificates

PASSWORD = "kettle-drum-seven"
CONFIG = "version: 1\ngateway: {name: line1, data_dir: data}\ntags:\n  - {name: line.temperature, unit: Cel, writable: {}}\n"


def typed(*args, text=PASSWORD + "\n") -> Said:
    """One verb with something on its standard input."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def config(tmp_path, folder):
    """A gateway that does not run."""
    path = tmp_path / "site.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
async def url(room, tmp_path, monkeypatch):
    """The gateway over TCP, for a person with a configuration folder of the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGETWIN_TOKEN", raising=False)
    server = WebServer(room.app, "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


async def beside(*args, text=PASSWORD + "\n"):
    return await asyncio.to_thread(typed, *args, text=text)


async def test_users_are_managed_through_a_running_gateway(room):
    added = await beside("user", "add", "ann", "--role", "operator", "--password-stdin")
    assert (added.code, added.out) == (0, "ann is added as operator\n")
    listed = await edgetwin("user", "list")
    assert listed.out.splitlines()[1].split() == ["ann", "operator", "password", "enabled"]
    for verb in ("disable", "enable", "unlock"):
        assert (await edgetwin("user", verb, "ann")).code == 0
    assert (await beside("user", "passwd", "ann", "--password-stdin", text="another-kettle-drum\n")).code == 0
    assert (await edgetwin("user", "role", "ann", "viewer", "--json")).json["role"] == "viewer"
    assert (await room.people.sign_in("ann", "another-kettle-drum", "web:10.0.0.1")).role == "viewer"
    refused = await edgetwin("user", "disable", "nobody")
    assert (refused.code, "there is no user" in refused.err) == (1, True)
    assert (await edgetwin("user", "remove", "ann")).code == 0


def test_the_first_user_is_added_before_any_gateway_runs(config):
    assert "makes the first one" in run("user", "list", "--config", config).err
    assert typed("user", "add", "root", "--role", "admin", "--password-stdin", "--config", config).code == 0
    assert run("user", "list", "--config", config, "--json").json["users"][0]["user"] == "root"
    last = run("user", "disable", "root", "--config", config)
    assert (last.code, "last admin" in last.err) == (1, True)
    assert (config.parent / "data" / "edgetwin.db").exists()
    records = run("audit", "list", "--config", config, "--json").json["records"]
    assert [(record["command"], record["status"]) for record in records] == [("user.disable", "BadInvalidState"), ("user.add", "Good")]
    assert PASSWORD not in str(records)


def test_a_weak_or_missing_password_is_refused(config):
    weak = typed("user", "add", "ann", "--password-stdin", "--config", config, text="password1234\n")
    assert (weak.code, "commonest" in weak.err) == (1, True)
    no_terminal = run("user", "add", "ann", "--config", config)
    assert (no_terminal.code, "--password-stdin" in no_terminal.err) == (2, True)


def test_a_password_that_is_typed_is_asked_twice(config, monkeypatch):
    typed_in = iter([PASSWORD, "something else", PASSWORD, PASSWORD])
    monkeypatch.setattr("sys.stdin", type("Tty", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed_in))
    with pytest.raises(Failure, match="differ"):
        people.password(from_stdin=False)
    assert people.password(from_stdin=False) == PASSWORD


def test_the_data_of_a_running_gateway_is_not_touched_behind_its_back(config):
    lock = DirectoryLock.take(config.parent / "data")
    refused = run("user", "list", "--config", config)
    lock.release()
    assert (refused.code, "in use by process" in refused.err) == (1, True)
    assert run("user", "list", "--config", config, "--url", "http://127.0.0.1:1").code == 2


async def test_login_keeps_a_token_that_only_its_owner_reads_and_later_verbs_use(room, url, monkeypatch):
    await room.people.users.add("ann", "operator", PASSWORD)
    before = await edgetwin("read", "line.temperature", "--url", url)
    assert (before.code, "edgetwin login" in before.err) == (1, True)
    signed_in = await beside("login", "--url", url, "--user", "ann", "--password-stdin")
    assert signed_in.code == 0
    assert stat.S_IMODE(daemon.tokens_file().stat().st_mode) == 0o600
    assert PASSWORD not in daemon.tokens_file().read_text()
    assert (await edgetwin("read", "line.temperature", "--url", url)).code == 0
    monkeypatch.setenv("EDGETWIN_TOKEN", "edgetwin_wrong")
    assert (await edgetwin("read", "line.temperature", "--url", url)).code == 1
    monkeypatch.delenv("EDGETWIN_TOKEN")
    assert len(room.people.tokens.all()) == 1
    await edgetwin("login", "--url", url, "--forget")
    assert not room.people.tokens.all(), "forgotten here, and good there still"
    assert (await edgetwin("read", "line.temperature", "--url", url)).code == 1
    assert (await beside("login", "--url", url, "--user", "ann", "--password-stdin", text="wrong\n")).code == 1
    assert (await edgetwin("login", "--user", "ann")).code == 2


async def test_a_token_is_shown_once_and_opens_until_it_is_revoked(url, monkeypatch):
    secret = (await edgetwin("token", "create", "historian", "--role", "viewer", "--days", "30")).out.strip()
    monkeypatch.setenv("EDGETWIN_TOKEN", secret)
    assert (await edgetwin("read", "line.temperature", "--url", url)).code == 0
    assert (await edgetwin("user", "list", "--url", url)).code == 1
    (row,) = (await edgetwin("token", "list", "--json")).json["tokens"]
    assert secret not in str(row)
    assert (await edgetwin("token", "revoke", row["token_id"])).code == 0
    assert (await edgetwin("read", "line.temperature", "--url", url)).code == 1


async def test_the_audit_is_listed_and_verified_through_a_running_gateway(room):
    await beside("user", "add", "ann", "--password-stdin")
    listed = await edgetwin("audit", "list")
    assert "user.add" in listed.out
    verified = await edgetwin("audit", "verify")
    assert (verified.code, verified.out.startswith("1 records are intact, head ")) == (0, True)


def test_a_record_that_was_changed_is_named_and_the_exit_code_is_one(config):
    for user in ("ann", "bob", "cid"):
        assert typed("user", "add", user, "--password-stdin", "--config", config).code == 0
    path = config.parent / "data" / "edgetwin.db"
    link = sqlite3.connect(path)
    link.execute("DROP TRIGGER audit_is_not_changed")
    link.execute("UPDATE audit SET user='somebody else' WHERE seq=2")
    link.commit()
    link.close()
    broken = run("audit", "verify", "--config", config)
    assert (broken.code, "broken at record 2" in broken.err) == (1, True)
    assert run("audit", "verify", "--config", config, "--json").json["broken_at"] == 2


def test_a_user_signs_in_with_a_certificate_alone(config, tmp_path):
    certificates.renew(tmp_path / "pki", "ann", 1_800_000_000.0)
    file = tmp_path / "pki" / "own" / "cert.der"
    assert run("user", "add", "robot", "--certificate", file, "--no-password", "--config", config).code == 0
    (row,) = run("user", "list", "--config", config, "--json").json["users"]
    assert (len(row["certificate"]), row["password"]) == (64, False)
    assert run("user", "certificate", "robot", "--config", config).code == 1
    assert run("user", "certificate", "robot", config, "--config", config).code == 2


async def test_config_means_the_gateway_that_it_is_of_whether_it_runs_or_not(room, config, tmp_path):
    """Nobody has to know which: the disk is for the one that runs alone."""
    config.write_text(CONFIG.replace("data_dir: data", "data_dir: stopped"))
    added = await beside("user", "add", "ann", "--config", config, "--password-stdin")
    assert (added.code, added.out) == (0, "ann is added as viewer\n")
    assert room.people.users.find("ann")
    assert not (tmp_path / "stopped").exists()


def test_a_role_that_is_none_is_said_before_a_password_is_asked_for(config):
    assert typed("user", "add", "ann", "--role", "boss", "--config", config, text="").code == 2


@pytest.mark.parametrize(
    ("url", "warns"),
    [("http://10.0.0.5:8080", True), ("https://10.0.0.5", False), ("http://127.0.0.1:1", False), ("http://[::1]:1", False)],
)
def test_a_login_that_others_on_the_network_can_read_says_so(url, warns, capsys):
    login._warn(url)
    assert ("has no TLS" in capsys.readouterr().err) is warns


async def test_a_token_that_opens_nothing_is_named_and_a_wrong_password_has_no_other_way_in(url, monkeypatch):
    monkeypatch.setenv("EDGETWIN_TOKEN", "edgetwin_old")
    assert "EDGETWIN_TOKEN" in (await edgetwin("user", "list", "--url", url)).err
    assert "signs in" not in (await beside("login", "--url", url, "--user", "ann", "--password-stdin")).err


def test_a_data_directory_that_cannot_be_one_is_named_with_what_to_do(config, tmp_path):
    (tmp_path / "data").write_text("a file")
    failed = run("user", "list", "--config", config)
    assert (failed.code, "gateway.data_dir" in failed.err, str(tmp_path / "data") in failed.err) == (1, True, True)


def test_who_finds_no_users_because_their_file_was_damaged_is_told(config, tmp_path):
    assert typed("user", "add", "ann", "--config", config, "--password-stdin").code == 0
    (tmp_path / "data" / "edgetwin.db").write_bytes(b"garbage")
    assert "edgetwin.db could not be used and was moved aside" in run("user", "list", "--config", config).err
