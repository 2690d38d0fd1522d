"""What belongs to somebody else: tokens, sessions, subscriptions, certificates (Part 4, 5.5, 5.6, 5.12 and 5.13)."""

import secrets
import struct
import time

import pytest
from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.wire.opcua import certificates as files
from gateway.wire.opcua import limits
from support.certificates import URI, make
from support.opcua_raw import Ended, Raw, Refused, connect, hello, text

CODES, IDS = ua.StatusCodes, ua.ObjectIds
BEAT, SERVER = ua.NodeId("line.beat", 2), ua.NodeId(2253)
POLICY = b"http://opcfoundation.org/UA/SecurityPolicy#"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


# --- tokens and sessions ---


@pytest.mark.parametrize(
    "token",
    [
        ua.NodeId(),
        ua.NodeId(1001),
        ua.NodeId(1001, 1),
        ua.NodeId("session", 1),
        ua.NodeId(b"\x00" * 32, 1),
        ua.NodeId(secrets.token_bytes(32)),
    ],
)
async def test_a_guessed_token_opens_nothing(plant, token):
    """BadSessionIdInvalid, for a Read as for taking the session over."""
    async with Raw(plant.port) as victim, Raw(plant.port, session=False) as raw:
        raw.auth = token
        for attempt in (raw.read(BEAT), raw.activate(), raw.ask_raw("CloseSession", b"\x01")):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code == CODES.BadSessionIdInvalid
        assert await victim.read(BEAT)


async def test_a_token_is_worth_nothing_on_another_connection(plant):
    """Without ActivateSession, which asks who it is, the true token of a live session reads nothing and closes nothing."""
    async with Raw(plant.port) as victim, Raw(plant.port) as raw:
        assert victim.auth.NodeIdType is ua.NodeIdType.ByteString
        assert len(victim.auth.Identifier) == 32
        raw.auth = victim.auth
        for attempt in (raw.read(BEAT), raw.ask_raw("CloseSession", b"\x01"), raw.ask_raw("Publish", struct.pack("<i", 0)), raw.activate()):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code == CODES.BadSessionIdInvalid
        assert await victim.read(BEAT)


@pytest.mark.parametrize("timestamp", [-(2**63), 0, 1, 2**63 - 1])
async def test_closing_with_an_impossible_timestamp_says_nothing_of_the_inside(plant, timestamp):
    """The answer is a plain one: no text, no trace."""
    async with Raw(plant.port) as raw:
        answer = await raw.ask_raw("CloseSession", b"\x01", timestamp=timestamp)
        assert len(answer) < 64
        with pytest.raises(Refused) as refused:
            await raw.read(BEAT)
        assert refused.value.code == CODES.BadSessionIdInvalid


async def test_a_fault_says_its_code_and_no_more(plant):
    """Also where everything is asked for in ReturnDiagnostics."""
    async with Raw(plant.port) as raw:
        for params in (b"", b"\xff" * 40):
            raw.writer.write(raw.chunks(raw.body_of("Read", params, diagnostics=0xFFFFFFFF)))
            _, body = await raw.answer()
            assert len(body) == 28
            assert struct.unpack_from("<I", body, 16)[0] & 0x8000_0000


async def test_calling_and_closing_in_one_breath_harms_nobody(plant):
    """The answers of Methods that are still under way have nowhere to go."""
    call = struct.pack("<i", 1) + b"\x03\x02\x00" + text(b"Twin") + b"\x03\x02\x00" + text(b"Twin/Commit") + struct.pack("<i", 0)
    for _ in range(20):
        async with Raw(plant.port) as raw:
            body = b"".join(raw.chunks(raw.body_of("Call", call)) for _ in range(10))
            raw.writer.write(body + raw.chunks(raw.body_of("CloseSession", b"\x01")))
            await raw.writer.drain()


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("service", ["RegisterServer", "RegisterServer2", "AddNodes", "DeleteNodes", "QueryFirst", "HistoryUpdate"])
async def test_what_is_not_served_is_refused_to_everybody(plant, service, session):
    """BadServiceUnsupported; of who has no session BadSessionIdInvalid will do. FindServers tells of this one alone."""
    async with Raw(plant.port, session=session) as raw:
        with pytest.raises(Refused) as refused:
            await raw.ask_raw(service, b"\x00" * 64)
        assert refused.value.code in (CODES.BadServiceUnsupported, *(() if session else (CODES.BadSessionIdInvalid,)))
        found = (await raw.ask(ua.FindServersRequest())).Servers
        assert len(found) == 1


# --- what another session made ---


async def test_what_another_session_made_is_out_of_reach(plant):
    """BadSubscriptionIdInvalid, BadUserAccessDenied, BadContinuationPointInvalid: and its owner goes on with it."""
    async with Raw(plant.port) as owner, Raw(plant.port) as raw:
        made = ua.CreateSubscriptionRequest()
        made.Parameters = ua.CreateSubscriptionParameters(100.0, 3000, 10, 0, True, 0)
        theirs = (await owner.ask(made)).Parameters.SubscriptionId
        item = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(BEAT, ua.AttributeIds.Value), ua.MonitoringMode.Reporting, ua.MonitoringParameters(1, 0.0, None, 10, True)
        )
        create = ua.CreateMonitoredItemsRequest()
        create.Parameters = ua.CreateMonitoredItemsParameters(theirs, ua.TimestampsToReturn.Both, [item])
        item_id = (await owner.ask(create)).Results[0].MonitoredItemId
        for service, params in (
            ("ModifySubscription", struct.pack("<IdIIIB", theirs, 1e6, 10, 10, 0, 0)),
            ("CreateMonitoredItems", struct.pack("<Iii", theirs, 2, 0)),
            ("ModifyMonitoredItems", struct.pack("<Iii", theirs, 2, 0)),
            ("SetMonitoringMode", struct.pack("<IiiI", theirs, 0, 1, item_id)),
            ("DeleteMonitoredItems", struct.pack("<IiI", theirs, 1, item_id)),
            ("SetTriggering", struct.pack("<IIiIi", theirs, item_id, 1, item_id, 0)),
            ("Republish", struct.pack("<II", theirs, 1)),
        ):
            with pytest.raises(Refused) as refused:
                await raw.ask_raw(service, params)
            assert refused.value.code == CODES.BadSubscriptionIdInvalid, service
        for service, params, code in (
            ("DeleteSubscriptions", struct.pack("<iI", 1, theirs), CODES.BadSubscriptionIdInvalid),
            ("SetPublishingMode", struct.pack("<?iI", False, 1, theirs), CODES.BadSubscriptionIdInvalid),
            ("TransferSubscriptions", struct.pack("<iI?", 1, theirs, True), CODES.BadUserAccessDenied),
        ):
            answer = await raw.ask_raw(service, params)
            assert struct.unpack_from("<iI", answer, 28) == (1, code), service
        call = ua.CallRequest()
        wanted = ua.Variant(theirs, ua.VariantType.UInt32)
        methods = ((SERVER, IDS.Server_GetMonitoredItems), (SERVER, IDS.Server_ResendData), (ua.NodeId(2782), 3875))
        call.Parameters.MethodsToCall = [ua.CallMethodRequest(of, ua.NodeId(method), [wanted]) for of, method in methods]
        denied = (CODES.BadUserAccessDenied, CODES.BadSubscriptionIdInvalid)
        assert all(result.StatusCode.value in denied for result in (await raw.ask(call)).Results)
        browse = ua.BrowseRequest()
        browse.Parameters.RequestedMaxReferencesPerNode = 1
        browse.Parameters.NodesToBrowse = [ua.BrowseDescription(SERVER, ua.BrowseDirection.Forward, ua.NodeId(), True, 0, 63)]
        point = (await owner.ask(browse)).Results[0].ContinuationPoint
        following = ua.BrowseNextRequest()
        following.Parameters.ContinuationPoints = [point]
        assert (await raw.ask(following)).Parameters.Results[0].StatusCode.value == CODES.BadContinuationPointInvalid
        assert (await owner.ask(following)).Parameters.Results[0].StatusCode.is_good()
        published = await owner.ask_raw("Publish", struct.pack("<i", 0))
        assert struct.unpack_from("<I", published, 28)[0] == theirs


# --- policies, passwords, certificates ---


@pytest.mark.parametrize("policy", [b"Basic128Rsa15", b"Basic256", b"Unknown", b"\xff\xfe"])
async def test_policies_that_are_not_served_are_neither_offered_nor_opened(plant, policy, folder):
    """BadSecurityPolicyRejected, whatever else is in the message."""
    async with Raw(plant.port, session=False) as raw:
        request = ua.GetEndpointsRequest()
        offered = {endpoint.SecurityPolicyUri.rsplit("#")[1] for endpoint in (await raw.ask(request)).Endpoints}
        assert offered == {"None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"}
    assert await refused_opening(plant, POLICY + policy, make(folder).der) in (CODES.BadSecurityPolicyRejected, CODES.BadTcpInternalError)


async def refused_opening(plant, policy, shown):
    """The code that ends an OpenSecureChannel with that certificate; within a second."""
    raw = Raw(plant.port, session=False)
    began = time.monotonic()
    with pytest.raises(Ended) as ended:
        await greeted(raw, raw.opening, b"\x5a" * 512, policy, shown)
    assert time.monotonic() - began < 1.0
    return ended.value.code


async def greeted(raw, opening, body, policy, shown):
    raw.reader, raw.writer = await connect(raw.port)
    raw.writer.write(hello())
    await raw.frame()
    raw.writer.write(opening(body, policy=policy, shown=shown))
    try:
        await raw.frame()
    finally:
        raw.writer.transport.abort()


async def test_certificates_that_are_none_giant_or_go_round_are_refused_at_once_and_few_are_kept(plant, folder):
    """At OpenSecureChannel, before any key is used: < 1 s each; the folder of the refused does not grow with them."""
    first = make(folder, "first", uri=None, ca=True)
    second = make(folder, "second", uri=None, ca=True, issuer=first)
    crossed = make(folder, "first", uri=None, ca=True, issuer=second)
    leaf = make(folder, "leaf", issuer=second)
    links = [make(folder, "link0", uri=None, ca=True)]
    for n in range(1, 12):
        links.append(make(folder, f"link{n}", uri=None, ca=True, issuer=links[-1]))
    shown = [
        None,
        b"",
        b"\x30\x82\xff\xff",
        b"\x30\x80" * 4_000,
        secrets.token_bytes(2_000),
        make(folder, "truncated").der[:-100],
        b"\x00" * 60_000,
        leaf.der + second.der + crossed.der + second.der + crossed.der,
        b"".join(one.der for one in reversed(links)),
        *(make(folder, f"stranger{n % 3}").der for n in range(20)),
    ]
    for one in shown:
        code = await refused_opening(plant, POLICY + b"Basic256Sha256", one)
        assert code in (CODES.BadSecurityChecksFailed, CODES.BadCertificateInvalid, CODES.BadTcpMessageTooLarge, None)
    assert len(list((plant.gateway.folder / "data" / "pki" / "rejected").glob("*"))) <= files.REJECTED


async def trusted(plant, folder):
    """A client whose certificate is trusted, with an open channel and no session."""
    made = make(folder, "trusted client")
    made.put(plant.gateway.folder / "data" / "pki" / "trusted")
    client = Client(plant.url, timeout=5)
    client.application_uri = URI
    server = CertProperties((plant.gateway.folder / "data" / "pki" / "own" / "cert.der").read_bytes(), "der")
    await client.set_security(SecurityPolicyBasic256Sha256, CertProperties(made.der, "der"), str(made.key_file), server_certificate=server)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client


@pytest.mark.parametrize("shown", ["nothing", "another", "garbage"])
async def test_a_trusted_channel_makes_no_session_for_another_certificate(plant, folder, shown):
    client = await trusted(plant, folder)
    other = make(folder, "another")
    other.put(plant.gateway.folder / "data" / "pki" / "trusted")
    params = ua.CreateSessionParameters(ClientNonce=b"n" * 32)
    params.ClientCertificate = {"nothing": None, "another": other.der, "garbage": b"\x30\x03abc"}[shown]
    params.ClientDescription.ApplicationUri = URI
    with pytest.raises(UaStatusCodeError) as refused:
        await client.uaclient.create_session(params)
    assert refused.value.code == CODES.BadSecurityChecksFailed
    client.uaclient.disconnect_socket()


@pytest.mark.parametrize(
    ("algorithm", "encrypt"),
    [
        ("http://www.w3.org/2001/04/xmlenc#rsa-1_5", uacrypto.encrypt_rsa15),
        ("http://www.w3.org/2001/04/xmlenc#rsa-oaep", uacrypto.encrypt_rsa15),
        ("http://www.w3.org/2001/04/xmlenc#rsa-oaep", lambda *_: b"\x01" * 256),
        (None, lambda _, content: content[4:]),
    ],
)
async def test_a_password_in_another_form_than_asked_for_gets_one_answer(plant, folder, algorithm, encrypt):
    """rsa-1_5, a padding that is wrong, a plain text: no oracle (Part 4, 7.40.2.2)."""
    client = await trusted(plant, folder)
    await client.create_session()
    policy = client.security_policy
    content = b"a long enough password" + client._server_nonce
    public = uacrypto.x509_from_der(policy.peer_certificate).public_key()
    token = ua.UserNameIdentityToken(UserName="ola", PolicyId=client.server_policy(ua.UserTokenType.UserName).PolicyId)
    token.Password, token.EncryptionAlgorithm = encrypt(public, struct.pack("<I", len(content)) + content), algorithm
    params = ua.ActivateSessionParameters(UserIdentityToken=token)
    params.ClientSignature.Algorithm = policy.AsymmetricSignatureURI
    params.ClientSignature.Signature = policy.asymmetric_cryptography.signature(policy.peer_certificate + client._server_nonce)
    with pytest.raises(UaStatusCodeError) as refused:
        await client.uaclient.activate_session(params)
    assert refused.value.code == CODES.BadIdentityTokenInvalid
    client.uaclient.disconnect_socket()


async def test_the_limits_are_those_that_are_advertised(plant):
    """Part 5, 6.3.2 and 6.3.11: what the tests above run into."""
    advertised = {
        IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: limits.NODES_PER_READ,
        IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: limits.NODES_PER_BROWSE,
        IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall: limits.METHODS_PER_CALL,
        IDS.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall: limits.ITEMS_PER_CALL,
        IDS.Server_ServerCapabilities_MaxBrowseContinuationPoints: limits.BROWSE_POINTS_PER_SESSION,
        IDS.Server_ServerCapabilities_MaxArrayLength: limits.ELEMENTS,
        IDS.Server_ServerCapabilities_MaxSessions: 20,
    }
    async with Raw(plant.port) as raw:
        values = await raw.read(*(ua.NodeId(number) for number in advertised))
    assert [value.Value.Value for value in values] == list(advertised.values())
