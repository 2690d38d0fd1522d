"""Whom the OPC UA source trusts, and with what it shows itself."""

import concurrent.futures
import datetime as dt
import socket
import time

import pytest
from asyncua import Server, ua
from asyncua.client.client import Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr, ValidationError

from drivers.opcua.config import Config
from drivers.opcua.driver import OpcUaDriver
from gateway.contracts import NotConnected
from gateway.wire.opcua import certificates, client
from gateway.wire.opcua.admission import read_own
from gateway.wire.opcua.mended import MendedClient
from support.certificates import make
from support.driving import driver_context, read_rows, values_of
from support.opcua_source import URI, tag
from support.ports import free_port

DAY = 86_400


def made(tmp_path, name, **more):
    """A certificate and its key as the tests' server has them."""
    own = certificates.renew(tmp_path / name, name, time.time())
    return own, x509.load_der_x509_certificate(own.certificate.read_bytes())


def issued(issuer_key, issuer_name, name, *, ca=False, key_bits=2048, days=30):
    key = rsa.generate_private_key(65537, key_bits)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer_key or key, hashes.SHA256())
    )
    return key, certificate, certificate.public_bytes(serialization.Encoding.DER)


def test_the_own_certificate_is_made_once_and_renewed_before_its_end(tmp_path):
    now = time.time()
    first = certificates.own(tmp_path, "line1", now)
    before = first.certificate.read_bytes()
    found = x509.load_der_x509_certificate(before)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:{socket.gethostname()}:edgetwin:line1"]
    assert first.key.stat().st_mode & 0o077 == 0
    assert certificates.own(tmp_path, "line1", now).certificate.read_bytes() == before
    late = certificates.own(tmp_path, "line1", first.expires_s - 20 * DAY)
    assert late.certificate.read_bytes() != before
    assert late.expires_s > first.expires_s


def test_a_renewal_that_was_cut_off_is_done_again_and_two_who_ask_at_once_get_the_same(tmp_path):
    """A key without its certificate would keep the gateway out for good."""
    now = time.time()
    first = certificates.own(tmp_path, "line1", now)
    key = first.key.read_bytes()
    certificates.renew(tmp_path, "line1", now)
    first.key.write_bytes(key)
    healed = certificates.own(tmp_path, "line1", now)
    assert read_own(tmp_path).certificate == certificates.load(healed.certificate)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: certificates.own(tmp_path / "new", "line1", now).expires_s, range(4)))
    assert len(set(made)) == 1
    assert read_own(tmp_path / "new")


def test_a_certificate_that_an_authority_signed_is_never_replaced(tmp_path):
    """Nor renewed before its end; one that is made for another application is said, not thrown away."""
    ca = make(tmp_path, "plant authority", uri=None, ca=True)
    for name, uri, days in (("good", certificates.application_uri("line1"), 10), ("foreign", "urn:other", 100)):
        own = tmp_path / name / "own"
        own.mkdir(parents=True)
        given = make(tmp_path, name, uri=uri, issuer=ca, days=(-1, days))
        (own / "cert.der").write_bytes(given.der)
        (own / "key.pem").write_bytes(given.key_file.read_bytes())
    before = (tmp_path / "good" / "own" / "cert.der").read_bytes()
    assert certificates.own(tmp_path / "good", "line1", time.time()).certificate.read_bytes() == before
    with pytest.raises(ValueError, match="ApplicationUri"):
        certificates.own(tmp_path / "foreign", "line1", time.time())


def test_another_gateway_name_gets_another_certificate(tmp_path):
    before = certificates.own(tmp_path, "a", time.time()).certificate.read_bytes()
    assert certificates.own(tmp_path, "b", time.time()).certificate.read_bytes() != before


def test_a_stranger_is_refused_until_a_person_trusts_it(tmp_path):
    _, _, der = issued(None, None, "plc")
    with pytest.raises(certificates.Untrusted, match="not trusted"):
        certificates.check_peer(der, tmp_path, None, time.time())
    (rejected,) = (tmp_path / "rejected").iterdir()
    (tmp_path / "trusted").mkdir()
    rejected.rename(tmp_path / "trusted" / rejected.name)
    certificates.check_peer(der, tmp_path, None, time.time())


def test_a_trusted_issuer_vouches_and_a_trusted_neighbour_does_not(tmp_path):
    """An authority in trusted/ vouches for a server; one in issuers/ does not, nor does a trusted server that is no authority."""
    ca_key, ca, ca_der = issued(None, None, "plant authority", ca=True)
    _, _, der = issued(ca_key, ca.subject, "plc")
    neighbour_key, neighbour, neighbour_der = issued(None, None, "neighbour")
    _, _, forged = issued(neighbour_key, neighbour.subject, "forged")
    for folder, name, content in (("issuers", "ca.der", ca_der), ("trusted", "neighbour.der", neighbour_der)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(content)
    with pytest.raises(certificates.Untrusted):
        certificates.check_peer(der, tmp_path, None, time.time())
    (tmp_path / "issuers" / "ca.der").rename(tmp_path / "trusted" / "ca.der")
    certificates.check_peer(der, tmp_path, None, time.time())
    with pytest.raises(certificates.Untrusted):
        certificates.check_peer(forged, tmp_path, None, time.time())


def test_a_pinned_certificate_is_the_only_one(tmp_path):
    _, pinned, der = issued(None, None, "plc")
    _, _, other = issued(None, None, "plc")
    (tmp_path / "plc.pem").write_bytes(pinned.public_bytes(serialization.Encoding.PEM))
    certificates.check_peer(der, tmp_path, tmp_path / "plc.pem", time.time())
    with pytest.raises(certificates.Untrusted, match="pinned"):
        certificates.check_peer(other, tmp_path, tmp_path / "plc.pem", time.time())


@pytest.mark.parametrize(("more", "why"), [({"days": -1}, "valid from"), ({"key_bits": 1024}, "2048")])
def test_expired_and_weak_certificates_are_refused_even_when_pinned(tmp_path, more, why):
    _, _, der = issued(None, None, "plc", **more)
    (tmp_path / "plc.der").write_bytes(der)
    with pytest.raises(certificates.Untrusted, match=why):
        certificates.check_peer(der, tmp_path, tmp_path / "plc.der", time.time())


@pytest.mark.parametrize("security", ["Aes256Sha256RsaPss/SignAndEncrypt", "Basic256Sha256/Sign", "Aes128Sha256RsaOaep/SignAndEncrypt"])
async def test_each_policy_reads_a_pinned_server(tmp_path, security):
    own, _ = made(tmp_path, "server")
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{free_port()}/plant")
    await server.set_application_uri(certificates.application_uri("server"))
    policy, mode = security.split("/")
    server.set_security_policy([getattr(ua.SecurityPolicyType, f"{policy}_{mode}")])
    await server.load_certificate(str(own.certificate))
    await server.load_private_key(str(own.key))
    namespace = await server.register_namespace(URI)
    await server.nodes.objects.add_variable(ua.NodeId("double", namespace), "double", 2.5)
    async with server:
        context, _ = driver_context((tag(0, "double"),), tmp_path)
        driver = OpcUaDriver(Config(url=server.endpoint.geturl(), security=security, server_certificate=own.certificate), context)
        await driver.connect()
        await read_rows(driver, lambda rows: 2.5 in values_of(rows, 0))
        await driver.close()
        shown, _ = made(tmp_path, "elsewhere")
        keys = {"certificate": shown.certificate, "private_key": shown.key, "server_certificate": own.certificate}
        other = OpcUaDriver(Config(url=server.endpoint.geturl(), security=security, **keys), context)
        await other.connect()
        assert other._link._client.application_uri == certificates.application_uri("elsewhere")
        await other.close()
        plain = OpcUaDriver(Config(url=server.endpoint.geturl(), request_timeout=1), context)
        with pytest.raises(NotConnected):
            await plain.connect()
        await plain.close()


def test_a_password_is_not_sent_in_the_clear_beyond_this_machine(monkeypatch):
    for host, refused in (("127.0.0.1", False), ("localhost", False), ("10.0.0.5", True), ("plc.example", True)):
        one = MendedClient(f"opc.tcp://{host}:4840", 4.0)
        parameters = ua.ActivateSessionParameters()
        if refused:
            with pytest.raises(client.UaError, match="in the clear"):
                one._add_user_auth(parameters, "gw", "secret")
        else:
            one._add_user_auth(parameters, "gw", "secret")
            assert parameters.UserIdentityToken.UserName == "gw"


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "http://x"},
        {"url": "opc.tcp://gw:secret@x:4840"},
        {"url": "opc.tcp://x", "security": "Basic128Rsa15/Sign"},
        {"url": "opc.tcp://x", "security": "Basic256Sha256"},
        {"url": "opc.tcp://x", "certificate": "a.der"},
        {"url": "opc.tcp://x", "password": SecretStr("x")},
        {"url": "opc.tcp://x", "publish_requests": 1},
        {"url": "opc.tcp://x", "unknown": 1},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(keys):
    with pytest.raises(ValidationError):
        Config(**keys)


def test_the_address_is_checked_with_the_configuration():
    assert Config.address_error(f"nsu={URI};s=a[3]") is None
    assert "index" in Config.address_error("ns=2;s=a")
    assert Config.address_error("a.b") is not None
    assert Config.address_error("nsu=x;i=-1") is not None
    assert Config.address_error("nsu=x;g=nonsense") is not None


def test_a_password_does_not_show():
    assert "secret" not in repr(Config(url="opc.tcp://x", user="gw", password=SecretStr("secret")))


def test_the_hooks_of_asyncua_are_where_they_were():
    """What wire/opcua/client.py takes hold of; another version of the library must be looked at first."""
    for hook in (
        "_connect_sequence",
        "_cancel_task",
        "_add_user_auth",
        "find_endpoint",
        "connect_and_get_server_endpoints",
        "server_policy",
    ):
        assert hasattr(Client, hook), hook
    one = Client("opc.tcp://127.0.0.1:1")
    assert one._renew_channel_task is None
    protocol = one.uaclient._make_protocol()
    for hook in ("_request_handle", "_request_id", "_callbackmap", "_connection", "revolve_security_token", "on_connection_lost"):
        assert hasattr(protocol, hook), hook
    for hook in ("_add_state_listener", "request_disconnect", "close_session", "close_secure_channel", "disconnect_socket"):
        assert hasattr(one.uaclient, hook), hook
