# mypy: disallow-untyped-calls=False
# (the library's policy classes carry no types)
"""CreateSession and ActivateSession (Part 4, 5.6.2 and 5.6.3): a session belongs to its client's certificate, to the security of the
channel that it was made on, and to who has signed in; it moves to another channel only with all of them.
"""

from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import SessionState
from cryptography import x509

from gateway.contracts import SignInRefused
from gateway.model.command import Caller
from gateway.wire.opcua import identity, limits, trust
from gateway.wire.opcua.channel import Channel
from gateway.wire.opcua.face import Credentials
from gateway.wire.opcua.sessions import Session
from gateway.wire.opcua.trust import Untrusted

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

_codes: Final = ua.StatusCodes
_SHORTEST_NONCE: Final = 32  # Part 4, 5.6.2.2
_LOCALES: Final = 10  # that are kept of what a client prefers


async def create(interior: "Interior", channel: Channel, params: ua.CreateSessionParameters, peer: Any, sockname: Any) -> Any:
    """(session, CreateSessionResult). Raises ServiceError, Untrusted."""
    policy = channel.security_policy
    if not channel.offered:
        raise ServiceError(_codes.BadSecurityPolicyRejected)
    if channel.secure:
        _check_client(channel, params)
    await interior.make_room()
    session = interior.create_session(peer, external=True)
    session.channel = (policy.URI, policy.Mode, channel.certificate)
    session.secured, session.client_certificate = channel.secure, channel.certificate
    session.security_mode, session.security_policy_uri = policy.Mode, str(policy.URI)
    result = await session.create_session(params, sockname)
    result.ServerCertificate = channel.own.server.certificate
    if channel.secure:
        result.ServerSignature.Signature = policy.asymmetric_cryptography.signature(channel.certificate + bytes(params.ClientNonce or b""))
        result.ServerSignature.Algorithm = policy.AsymmetricSignatureURI
    return session, result


def _check_client(channel: Channel, params: ua.CreateSessionParameters) -> None:
    """The certificate is the channel's, and made for this application. Raises ServiceError, Untrusted."""
    try:
        given, _ = trust.parse(params.ClientCertificate or b"")
    except Untrusted:
        raise ServiceError(_codes.BadSecurityChecksFailed) from None
    if trust.der_of(given) != channel.certificate:
        raise ServiceError(_codes.BadSecurityChecksFailed)
    if len(params.ClientNonce or b"") < _SHORTEST_NONCE:
        raise ServiceError(_codes.BadNonceInvalid)
    trust.check_uri(given, str(params.ClientDescription.ApplicationUri or ""))


async def activate(interior: "Interior", channel: Channel, session: Session, params: ua.ActivateSessionParameters, peer: Any) -> Any:
    """ActivateSessionResult; the session's caller is who signed in. Raises ServiceError."""
    policy = channel.security_policy
    moves = session.carrier is None or session.carrier.channel is not channel
    if session.channel != (policy.URI, policy.Mode, channel.certificate) or (moves and not session.is_activated()):
        raise ServiceError(_codes.BadSecurityChecksFailed)
    if moves and not channel.secure and session.host != _host(peer):
        raise ServiceError(_codes.BadSecurityChecksFailed)
    nonce = session.nonce or b""
    if channel.secure:
        _check_signature(channel, params.ClientSignature, nonce)
    try:
        wanted = await _credentials(interior, channel, params, nonce, f"opcua:{_host(peer)}")
        caller = await _sign_in(interior, wanted, f"opcua:{_host(peer)}")
    except ServiceError:
        session.failures += 1
        if session.failures >= limits.SIGN_IN_FAILURES and not session.is_activated():
            await session.close_session()
        raise
    if session.state is SessionState.Closed:  # meanwhile
        raise ServiceError(_codes.BadSessionClosed)
    if session.nonce != nonce:  # somebody else was faster with it
        raise ServiceError(_codes.BadSecurityChecksFailed)
    if moves and caller.user != session.caller.user:
        raise ServiceError(_codes.BadIdentityChangeNotSupported)
    result = session.activate_session(ua.ActivateSessionParameters(), None)
    session.caller, session.failures = caller, 0
    session.mechanism = "UserName" if wanted.user else "X509" if wanted.certificate else "Anonymous"
    session.locale_ids = list(params.LocaleIds or session.locale_ids)[:_LOCALES]
    return result


def _check_signature(channel: Channel, signature: ua.SignatureData, nonce: bytes) -> None:
    """Over the certificate that this channel was opened with, and the last nonce. Raises ServiceError."""
    policy = channel.security_policy
    client = x509.load_der_x509_certificate(channel.certificate)

    def verify(_: x509.Certificate, data: bytes, given: bytes) -> None:
        policy.asymmetric_cryptography.verify(data, given)

    data = bytes(policy.host_certificate or b"") + nonce
    if signature.Algorithm != policy.AsymmetricSignatureURI or not identity.signed(client, verify, data, signature):
        raise ServiceError(_codes.BadApplicationSignatureInvalid)


async def _credentials(
    interior: "Interior", channel: Channel, params: ua.ActivateSessionParameters, nonce: bytes, origin: str
) -> Credentials:
    """What the client brings; recorded where that is nothing that could be asked about. Raises ServiceError."""
    policy, admission = channel.security_policy, interior.admission
    offered = admission.tokens(policy.URI, policy.Mode)
    try:
        return identity.credentials(
            params.UserIdentityToken, params.UserTokenSignature, offered, channel.own.server, nonce, admission.now_s()
        )
    except ServiceError as unfit:
        interior.face.count("sign_ins_failed")
        await interior.face.unfit_token(origin, int(unfit.code))
        raise


async def _sign_in(interior: "Interior", wanted: Credentials, origin: str) -> Caller:
    """Raises ServiceError, which does not say what was wrong."""
    try:
        if wanted == Credentials():
            return await interior.face.sign_in(wanted, origin)
        async with interior.admission.turn():
            return await interior.face.sign_in(wanted, origin)
    except SignInRefused:
        interior.face.count("sign_ins_failed")
        code = _codes.BadUserAccessDenied if wanted.user else _codes.BadIdentityTokenRejected
        raise ServiceError(code) from None


def _host(peer: Any) -> str:
    return str(peer[0] if isinstance(peer, tuple) else peer)
