"""Clients that come to the OPC UA server's doors in order, or nearly so, and a server to come to."""

import asyncio

from asyncua import Client, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.model.tag import Tag
from support.certificates import URI

NS = 2
TAGS = [Tag(0, "a.x", sampling_interval_ns=10_000_000)]
PASSWORD = "violet anchor 7 moons"
POLICIES = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
}
MODES = {"Sign": ua.MessageSecurityMode.Sign, "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt}


async def secured(face, made, policy="Basic256Sha256", mode="SignAndEncrypt", user="ola", password=PASSWORD, uri=URI):
    """A client that has not connected yet."""
    client = Client(face.sink.url, timeout=5)
    client.application_uri = uri
    shown = CertProperties(made.der, "der")
    await client.set_security(
        POLICIES.get(policy, policy),
        shown,
        str(made.key_file),
        server_certificate=CertProperties(own_certificate(face), "der"),
        mode=MODES[mode],
    )
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    return client


def own_certificate(face):
    return face.sink._server.interior.admission.own.server.certificate


def gone(client):
    protocol = client.uaclient.protocol
    return protocol is None or protocol.transport is None or protocol.transport.is_closing()


async def refusal(client):
    """The code that a client is turned away with: of a service, or of the ERR message that ends the connection."""
    said = []
    protocol = client.uaclient

    async def connect():
        await client.connect_socket()
        receive = client.uaclient.protocol._process_received_message

        def listening(message):
            if isinstance(message, ua.ErrorMessage):
                said.append(message.Error.value)
            return receive(message)

        client.uaclient.protocol._process_received_message = listening
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await client.activate_session(username=client._username, password=client._password, certificate=client.user_certificate)

    try:
        await asyncio.wait_for(connect(), 5)
    except UaStatusCodeError as fault:
        said.append(fault.code)
    except (UaError, ConnectionError, TimeoutError, asyncio.CancelledError):
        pass
    else:
        raise AssertionError("it was let in")
    finally:
        protocol.disconnect_socket()
    return said[0] if said else None


async def opened(client):
    """Socket and channel, without a session."""
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client.uaclient
