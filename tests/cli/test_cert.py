"""`edgetwin cert`: through the running gateway, and on the data directory of one that is stopped; both write the same files."""

import socket
import stat
import time

import httpx
import pytest

from gateway.cli import doctor
from gateway.model import quality
from gateway.model.command import Caller, Command
from gateway.operations import certificates as operations
from gateway.wire.opcua import certificates, trust
from support.certificates import make

from .conftest import edgetwin, run

CONFIG = "version: 1\ngateway: {name: line1, data_dir: DATA}\n"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(CONFIG.replace("DATA", str(tmp_path / "stopped")))
    return path


@pytest.fixture
def refused(tmp_path):
    """A certificate that the stopped gateway has refused."""
    made = make(tmp_path, "plc")
    certificates.reject_unknown(tmp_path / "stopped" / "pki", made.der)
    return made


def places(said):
    return {row["sha256"]: row["place"] for row in said.json["certificates"]}


def test_the_own_certificate_is_made_once_and_shown(config, tmp_path, folder):
    made = run("cert", "create", config, "--json")
    assert made.code == 0, made.err
    assert made.json["application_uri"] == f"urn:{socket.gethostname()}:edgetwin:line1"
    assert made.json["place"] == "own"
    assert len(made.json["thumbprint"]) == 40
    key = tmp_path / "stopped" / "pki" / "own" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    records = run("audit", "list", "--config", config, "--json").json["records"]
    assert [record["command"] for record in records] == ["cert.create"]
    assert run("cert", "create", config, "--json").json["sha256"] == made.json["sha256"]
    renewed = run("cert", "renew", "--config", config, "--json").json
    assert renewed["sha256"] != made.json["sha256"]
    table = run("cert", "list", "--config", config).out
    assert renewed["thumbprint"] in table
    assert renewed["sha256"] in table


def test_what_an_authority_has_signed_is_not_renewed_here(config, tmp_path, folder):
    own = tmp_path / "stopped" / "pki" / "own"
    given = make(tmp_path, "gateway", issuer=make(tmp_path, "plant", uri=None, ca=True))
    given.put(own).rename(own / "cert.der")
    (own / "key.pem").write_bytes(given.key_file.read_bytes())
    refused = run("cert", "renew", "--config", config)
    assert refused.code == 1
    assert "CN=plant" in refused.err
    assert run("cert", "create", config, "--json").json["thumbprint"] == given.sha1


def test_a_person_trusts_and_rejects_what_was_refused(config, folder, refused):
    """By a thumbprint of either kind, in whatever writing, or by its beginning."""
    assert places(run("cert", "list", "--config", config, "--json")) == {refused.sha256: "rejected"}
    colons = ":".join(refused.sha1[at : at + 2] for at in range(0, 40, 2)).upper()
    assert run("cert", "trust", colons, "--config", config).code == 0
    assert places(run("cert", "list", "--config", config, "--json")) == {refused.sha256: "trusted"}
    assert run("cert", "reject", refused.sha256[:8], "--config", config, "--json").json["place"] == "rejected"
    assert places(run("cert", "list", "--config", config, "--json")) == {refused.sha256: "rejected"}
    assert run("cert", "trust", refused.sha1, "--config", config).code == 0
    assert run("cert", "trust", refused.sha1, "--issuer", "--config", config, "--json").json["place"] == "issuers"
    assert len(run("cert", "list", "--config", config, "--json").json["certificates"]) == 1, "trusted still"
    assert places(run("cert", "list", "--config", config, "--json")) == {refused.sha256: "issuers"}


def test_a_file_is_trusted_and_what_is_none_is_refused(config, tmp_path, folder):
    made = make(tmp_path, "scada")
    assert run("cert", "trust", made.certificate_file, "--config", config, "--json").json["thumbprint"] == made.sha1
    nothing = tmp_path / "nothing.der"
    nothing.write_bytes(b"nothing")
    said = run("cert", "trust", nothing, "--config", config)
    assert (said.code, said.err) == (2, f"edgetwin: {nothing}: is no certificate in PEM or DER\n")
    for wrong, said in (("00", "at least 8"), ("0" * 40, "there is no certificate")):
        failed = run("cert", "trust", wrong, "--config", config)
        assert failed.code == 1
        assert said in failed.err


async def test_the_running_gateway_is_asked_where_it_runs(room, tmp_path, folder, config):
    """By name of the configuration too: the folder is written by one process alone."""
    refused = make(tmp_path, "plc")
    certificates.reject_unknown(tmp_path / "data" / "pki", refused.der)
    assert places(await edgetwin("cert", "list", "--json")) == {refused.sha256: "rejected"}
    assert (await edgetwin("cert", "trust", refused.sha1, "--config", config, "--json")).json["place"] == "trusted"
    assert (await edgetwin("cert", "reject", refused.sha1)).code == 0
    assert (await edgetwin("cert", "renew", "--json")).json["place"] == "own"
    gone = await edgetwin("cert", "reject", refused.sha1)
    assert gone.code == 1
    assert "there is no certificate" in gone.err
    assert room.executed == ["cert.trust", "cert.reject", "cert.renew", "cert.reject"]  # looking leaves no record
    assert not (tmp_path / "stopped").exists()


def test_the_doctor_tells_what_ends_and_what_waits_for_a_decision(tmp_path):
    made = {
        "own": make(tmp_path, "own", days=(-1, 20.5)),
        "trusted": make(tmp_path, "plc", days=(-10, -3.5)),
        "issuers": make(tmp_path, "ca", uri=None, ca=True, days=(-1, 500)),
        "rejected": make(tmp_path, "scada"),
    }
    rows = [operations.row(certificates.Entry(place, tmp_path / "x.der", one.certificate)) for place, one in made.items()]
    found = [(finding.level, finding.what) for finding in doctor.of_certificates(rows, time.time())]
    assert found == [
        ("warning", "the gateway's own, ends in 20 days"),
        ("warning", "CN=plc, trusted, ended 4 days ago"),
        ("warning", "1 were refused"),
    ]


async def test_over_rest_it_says_what_is_wrong(room, tmp_path):
    made = make(tmp_path, "scada")
    pem = trust.pem_of(made.certificate)
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "edgetwin" / "line1.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client:
        for body, code in (({"certificate": pem}, 200), ({"certificate": "nothing"}, 422), ({"certificate": pem, "x": 1}, 422), ({}, 422)):
            assert (await client.post("/certificates", json=body)).status_code == code
        listed = (await client.get("/certificates")).json()["certificates"]
        assert [(row["thumbprint"], row["place"]) for row in listed] == [(made.sha1, "trusted")]
        assert (await client.post(f"/certificates/{made.sha1}/reject")).json()["result"]["place"] == "rejected"
        assert (await client.post(f"/certificates/{made.sha1}/trust", json={"issuer": True})).json()["result"]["place"] == "issuers"
        assert (await client.post("/certificates/0123456789/trust")).status_code == 404
        assert (await client.post("/certificates/renew")).json()["result"]["place"] == "own"


@pytest.mark.parametrize("kind", ["cert.list", "cert.trust", "cert.reject", "cert.renew"])
async def test_only_who_may_trust_certificates_touches_them(room, kind):
    for role, permitted in (("manager", False), ("admin", True)):
        outcome = await room.door.execute(Command(kind, {"thumbprint": "0" * 40}, Caller("ola", role, "web:10.0.0.7")))
        assert (outcome.status != quality.BAD_USER_ACCESS_DENIED) is permitted
