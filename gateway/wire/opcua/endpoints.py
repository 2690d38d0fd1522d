"""What the server says of its doors: EndpointDescriptions (Part 4, 7.14) and how to sign in at each (7.42)."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyNone

from gateway.wire.opcua.policies import ENCRYPT_LEVEL, MODES, NONE, POLICIES, Policy

TRANSPORT: Final = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
PATH: Final = "/edgetwin"
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.%]{2,60}")


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """One policy and mode that is served."""

    policy: Policy
    mode: ua.MessageSecurityMode

    @property
    def level(self) -> int:
        """EndpointDescription.securityLevel: encryption counts first."""
        return self.policy.level + (ENCRYPT_LEVEL if self.mode == ua.MessageSecurityMode.SignAndEncrypt else 0)


def doors(security: Iterable[str], *, insecure: bool) -> list[Door]:
    """Best first. security: policies by name, with both modes, or `policy/mode`."""
    found = {}
    for word in security:
        policy, _, mode = word.partition("/")
        for name in [mode] if mode else MODES:
            found[policy, name] = Door(POLICIES[policy], MODES[name])
    if insecure:
        found["None", "None"] = Door(NONE, ua.MessageSecurityMode.None_)
    return sorted(found.values(), key=lambda door: door.level, reverse=True)


def token_policies(door: Door, *, anonymous: bool) -> list[ua.UserTokenPolicy]:
    """How to sign in at that door. A password is encrypted at each of them, a user's certificate signs at each."""
    policy = POLICIES["Basic256Sha256"] if door.policy is NONE else door.policy
    known = (("username", ua.UserTokenType.UserName), ("certificate", ua.UserTokenType.Certificate))
    offered = [
        ua.UserTokenPolicy(PolicyId=f"{word}_{policy.name}", TokenType=kind, SecurityPolicyUri=policy.cls.URI) for word, kind in known
    ]
    if anonymous:
        nobody = ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous, SecurityPolicyUri=SecurityPolicyNone.URI)
        offered.insert(0, nobody)
    return offered


def describe(
    open_doors: Sequence[Door], application: ua.ApplicationDescription, certificate: bytes, *, anonymous: bool
) -> list[ua.EndpointDescription]:
    """Of each door, best first; EndpointUrl is the application's until somebody asks (`addressed`)."""
    return [
        ua.EndpointDescription(
            EndpointUrl=application.DiscoveryUrls[0],
            Server=application,
            ServerCertificate=certificate,
            SecurityMode=door.mode,
            SecurityPolicyUri=door.policy.cls.URI,
            UserIdentityTokens=token_policies(door, anonymous=anonymous),
            TransportProfileUri=TRANSPORT,
            SecurityLevel=door.level,
        )
        for door in open_doors
    ]


def address(asked: str | None, sockname: Any, otherwise: str) -> str:
    """The endpoint's URL as this client reaches it: by the host and port that it says it used (there may be a NAT or a container in
    between), else by those that its socket came in at.
    """
    try:
        parts = urlsplit(asked or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host and port and parts.scheme == "opc.tcp" and _HOST.fullmatch(host):
        return f"opc.tcp://{_bracketed(host)}:{port}{PATH}"
    if isinstance(sockname, tuple) and len(sockname) >= 2:
        return f"opc.tcp://{_bracketed(str(sockname[0]))}:{sockname[1]}{PATH}"
    return otherwise


def addressed(endpoints: Sequence[ua.EndpointDescription], url: str, profiles: Sequence[str] | None) -> list[ua.EndpointDescription]:
    """Part 4, 5.4.4: for a client that reaches the server by that URL and speaks one of those transports (any, where it names none)."""
    if profiles and TRANSPORT not in profiles:
        return []
    return [dataclasses.replace(one, EndpointUrl=url, Server=dataclasses.replace(one.Server, DiscoveryUrls=[url])) for one in endpoints]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
