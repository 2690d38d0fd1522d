"""Who gets through the doors of the OPC UA server: policies, endpoints and certificates, with asyncua's client as the other side."""

import asyncio

import pytest
from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import SecurityPolicyBasic128Rsa15
from asyncua.ua.uaerrors import UaError

from gateway.wire.opcua import certificates as files
from support.certificates import make, revocation
from support.opcua_doors import MODES, NS, PASSWORD, POLICIES, TAGS, own_certificate, refusal, secured
from support.opcua_face import opcua_face
from support.waiting import eventually

codes = ua.StatusCodes


@pytest.fixture
def face(secure_face):
    return secure_face


# --- policies and endpoints ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
async def test_each_policy_and_mode_carries_reads_writes_and_notifications(face, ours, policy, mode):
    """Also answers of many chunks, and the keys of a renewed channel."""
    heard = []

    class Listener:
        def datachange_notification(self, node, value, data):
            heard.append(value)

    client = await secured(face, ours, policy, mode)
    async with client:
        node = client.get_node(ua.NodeId("a.x", NS))
        assert await node.read_value() == 1.0
        subscription = await client.create_subscription(50, Listener())
        await subscription.subscribe_data_change(node)
        await eventually(lambda: heard == [1.0])
        await client.open_secure_channel(renew=True)
        await face.step({"a.x": 2.0})
        await eventually(lambda: heard == [1.0, 2.0])
        many = await client.uaclient.session.read(
            ua.ReadParameters(NodesToRead=[ua.ReadValueId(node.nodeid, ua.AttributeIds.Value)] * 9_000)
        )
        assert len(many) == 9_000
        assert {value.Value.Value for value in many} == {2.0}


async def test_the_endpoints_are_ordered_by_security_and_no_password_goes_in_the_clear(face):
    client = Client(face.sink.url)
    endpoints = await client.connect_and_get_server_endpoints()
    offered = [(one.SecurityPolicyUri.partition("#")[2], one.SecurityMode.name) for one in endpoints]
    assert sorted(offered) == sorted((policy, mode) for policy in POLICIES for mode in MODES)
    assert [mode for _, mode in offered] == ["SignAndEncrypt"] * 3 + ["Sign"] * 3
    levels = [one.SecurityLevel for one in endpoints]
    assert levels == sorted(levels, reverse=True)
    for one in endpoints:
        assert one.ServerCertificate == own_certificate(face)
        assert one.Server.ApplicationUri in certificate_uris(one.ServerCertificate)
        kinds = {token.TokenType: token for token in one.UserIdentityTokens}
        assert set(kinds) == {ua.UserTokenType.UserName, ua.UserTokenType.Certificate}
        assert all(token.SecurityPolicyUri == one.SecurityPolicyUri for token in one.UserIdentityTokens)


def certificate_uris(der):
    from gateway.wire.opcua.trust import parse, uris

    return uris(parse(der)[0])


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("opc.tcp://gateway.plant:14840", "opc.tcp://gateway.plant:14840/edgetwin"),
        ("opc.tcp://[::1]:4841/x", "opc.tcp://[::1]:4841/edgetwin"),
        ("", None),
        ("http://evil/", None),
        ("opc.tcp://<script>:1", None),
        ("opc.tcp://x:99999999", None),
    ],
)
async def test_endpoints_are_given_at_the_address_that_the_client_used(face, asked, got):
    """Part 4, 5.4.4: through a NAT or a container's port the client's own words count; without good ones, its socket's."""
    client = Client(face.sink.url)
    await client.connect_sessionless()
    params = ua.GetEndpointsParameters(EndpointUrl=asked)
    found = await client.uaclient.get_endpoints(params)
    assert {one.EndpointUrl for one in found} == {got or face.sink.url}
    servers = await client.uaclient.find_servers(ua.FindServersParameters(EndpointUrl=asked))
    assert [one.DiscoveryUrls for one in servers] == [[got or face.sink.url]]
    assert await client.uaclient.find_servers(ua.FindServersParameters(ServerUris=["urn:other"])) == []
    assert await client.uaclient.get_endpoints(ua.GetEndpointsParameters(ProfileUris=["http://opcfoundation.org/UA-Profile/x"])) == []
    await client.disconnect_sessionless()


async def test_without_security_there_are_endpoints_to_ask_for_and_nothing_else(face):
    """The channel that every client asks for the endpoints on carries no session."""
    client = Client(face.sink.url)
    assert await refusal(client) == codes.BadSecurityPolicyRejected


async def test_a_request_before_the_channel_is_open_ends_the_connection(face):
    client = Client(face.sink.url)
    await client.connect_socket()
    await client.send_hello()
    with pytest.raises((UaError, ConnectionError, asyncio.CancelledError, TimeoutError)):
        await asyncio.wait_for(client.uaclient.get_endpoints(ua.GetEndpointsParameters()), 3)
    client.uaclient.disconnect_socket()


async def test_old_policies_and_unknown_ones_are_refused(face, ours):
    client = await secured(face, ours, SecurityPolicyBasic128Rsa15)
    assert await refusal(client) == codes.BadSecurityPolicyRejected


async def test_only_what_the_configuration_names_is_offered(tmp_path, ours, people):
    ours.put(tmp_path / "pki" / "trusted")
    async with opcua_face(
        TAGS, access=people, folder=tmp_path, insecure=False, anonymous="none", security=["Basic256Sha256/SignAndEncrypt"]
    ) as face:
        client = Client(face.sink.url)
        (endpoint,) = await client.connect_and_get_server_endpoints()
        assert endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
        async with await secured(face, ours):
            pass
        assert await refusal(await secured(face, ours, mode="Sign")) == codes.BadSecurityModeRejected
        assert await refusal(await secured(face, ours, "Aes128_Sha256_RsaOaep")) == codes.BadSecurityPolicyRejected


# --- certificates of clients (Part 4, 6.1.3) ---


async def test_a_stranger_is_refused_kept_and_told_of_once_until_a_person_trusts_it(face, tmp_path, certificates):
    stranger = make(certificates, "stranger")
    for _ in range(3):
        assert await refusal(await secured(face, stranger)) == codes.BadSecurityChecksFailed
    assert face.report.counts["certificates_refused"] == 3
    ((command, outcome),) = face.records
    assert command.kind == "opcua.channel"
    assert command.args["thumbprint"] == stranger.sha1
    assert command.caller.origin == "opcua:127.0.0.1"
    assert outcome.status == codes.BadSecurityChecksFailed
    rejected = tmp_path / "pki" / "rejected" / f"{stranger.sha1}.der"
    assert rejected.read_bytes() == stranger.der
    rejected.rename(tmp_path / "pki" / "trusted" / rejected.name)
    async with await secured(face, stranger) as client:
        assert await client.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
    (tmp_path / "pki" / "trusted" / rejected.name).unlink()
    assert await refusal(await secured(face, stranger)) == codes.BadSecurityChecksFailed


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"days": (-10, -1)}, codes.BadCertificateTimeInvalid),
        ({"days": (1, 10)}, codes.BadCertificateTimeInvalid),
        ({"bits": 1024}, codes.BadCertificatePolicyCheckFailed),
        ({"usage": {"digital_signature": False}}, codes.BadCertificateUseNotAllowed),
        ({"usage": {"key_encipherment": False, "data_encipherment": False}}, codes.BadCertificateUseNotAllowed),
        ({"purposes": (ua_server_auth := uacrypto.x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,)}, codes.BadCertificateUseNotAllowed),
        ({"uri": "urn:other"}, codes.BadCertificateUriInvalid),
        ({"uri": None}, codes.BadCertificateUriInvalid),
    ],
)
async def test_a_trusted_certificate_that_is_not_fit_is_refused_with_its_reason(face, tmp_path, certificates, more, code):
    """And the same one, while a person does not trust it, gets no reason."""
    unfit = make(certificates, f"unfit{more.get('bits', '')}", **more)
    if code != codes.BadCertificateUriInvalid:
        assert await refusal(await secured(face, unfit)) == codes.BadSecurityChecksFailed
    unfit.put(tmp_path / "pki" / "trusted")
    assert await refusal(await secured(face, unfit)) == code


async def test_an_authority_vouches_until_it_revokes(face, tmp_path, certificates):
    """In trusted/ it vouches for what it signed; in issuers/ for nothing, and its revocation list holds in both."""
    authority = make(certificates, "authority", uri=None, ca=True)
    leaf = make(certificates, "leaf", issuer=authority)
    other = make(certificates, "other", issuer=authority)
    pki = tmp_path / "pki"
    path = authority.put(pki / "issuers")
    assert await refusal(await secured(face, leaf)) == codes.BadSecurityChecksFailed
    path.rename(pki / "trusted" / "authority.der")
    async with await secured(face, leaf):
        pass
    (pki / "trusted" / "authority.crl").write_bytes(revocation(authority, leaf))
    assert await refusal(await secured(face, leaf)) == codes.BadCertificateRevoked
    async with await secured(face, other):
        pass


async def test_a_certificate_without_its_key_opens_nothing(face, ours, certificates):
    """Somebody else's trusted certificate is public; the signature of OpenSecureChannel needs the key."""
    thief = make(certificates, "thief")
    client = await secured(face, ours)
    client.security_policy.asymmetric_cryptography.Signer.host_privkey = thief.key
    assert await refusal(client) == codes.BadSecurityChecksFailed
    assert not face.sink._server.interior._external_sessions


async def test_rejected_certificates_do_not_fill_the_disk(face, tmp_path, certificates):
    for n in range(3):
        files.reject_unknown(tmp_path / "pki", make(certificates, f"flood{n}").der)
    assert len(list((tmp_path / "pki" / "rejected").iterdir())) == 3
    files.reject_unknown(tmp_path / "pki", b"no certificate")
    for _ in range(2):
        files.reject_unknown(tmp_path / "pki", make(certificates, "flood0").der)
    assert len(list((tmp_path / "pki" / "rejected").iterdir())) <= 5 <= files.REJECTED


# --- the own certificate ---


async def test_a_renewed_certificate_is_shown_to_the_next_client_and_the_others_stay(face, tmp_path, ours):
    async with await secured(face, ours) as before:
        old = own_certificate(face)
        files.renew(tmp_path / "pki", "line1", face.sink.now_ns() / 1e9)
        endpoints = await Client(face.sink.url).connect_and_get_server_endpoints()
        assert {one.ServerCertificate for one in endpoints} == {own_certificate(face)}
        assert own_certificate(face) != old
        assert await before.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
        await before.activate_session(username="ola", password=PASSWORD)
        async with await secured(face, ours) as after:
            assert await after.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0


async def test_a_certificate_that_has_ended_is_renewed_without_a_restart(face, tmp_path):
    """As after a start with the clock years behind: nobody could come in any more."""
    interior, now_s = face.sink._server.interior, face.sink.now_ns() / 1e9
    files.renew(tmp_path / "pki", "line1", now_s - 10 * 365 * 86_400)
    await interior.refresh()
    assert interior.admission.own.expires_s < now_s
    await interior.admission.keep("line1", now_s)
    await interior.refresh()
    assert interior.admission.own.expires_s > now_s + 365 * 86_400


async def test_a_damaged_own_certificate_is_said(tmp_path):
    from gateway.contracts import NotConnected

    own = tmp_path / "pki" / "own"
    own.mkdir(parents=True)
    (own / "cert.der").write_bytes(b"damaged")
    (own / "key.pem").write_bytes(b"damaged")
    with pytest.raises(NotConnected, match="own certificate"):
        async with opcua_face(TAGS, folder=tmp_path, insecure=False, anonymous="none"):
            pass
