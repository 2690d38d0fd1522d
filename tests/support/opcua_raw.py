"""An OPC UA client that says what it is told to: frames and bodies byte by byte, over a plain socket without security."""

import asyncio
import struct
from types import TracebackType
from typing import Any, Self

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_from_binary, nodeid_from_binary, nodeid_to_binary, struct_from_binary, struct_to_binary

WITHIN_S = 15.0
CHUNK = 60_000


class Refused(Exception):
    """A ServiceFault with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(ua.status_codes.get_name_and_doc(code)[0])
        self.code = code


class Ended(Exception):
    """The server ended the connection, with this code of an ERR message or without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__("closed" if code is None else ua.status_codes.get_name_and_doc(code)[0])
        self.code = code


def hello(receive: int = 65_535, send: int = 65_535) -> bytes:
    body = struct.pack("<IIIII", 0, receive, send, 0, 0) + struct.pack("<i", -1)
    return b"HELF" + struct.pack("<I", 8 + len(body)) + body


def text(content: bytes | None) -> bytes:
    """A String or ByteString (Part 6, 5.2.2.4)."""
    return struct.pack("<i", -1) if content is None else struct.pack("<i", len(content)) + content


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, limit=2**24)


async def said(reader: asyncio.StreamReader) -> int | None:
    """What the server says last: the code of an ERR message, after whatever else it sent; None where it just closed."""
    try:
        data = await asyncio.wait_for(reader.read(), WITHIN_S)
    except ConnectionError:
        return None
    while len(data) >= 12:
        kind, size = data[:3], struct.unpack_from("<I", data, 4)[0]
        if kind == b"ERR":
            return int(struct.unpack_from("<I", data, 8)[0])
        data = data[size:]
    return None


class Raw:
    """`async with Raw(port) as raw`: with a session that is activated; session=False: a channel alone."""

    def __init__(self, port: int, *, session: bool = True, name: str | None = "raw", timeout_ms: float = 60_000.0) -> None:
        self.port, self._session, self._name, self._timeout_ms = port, session, name, timeout_ms
        self.channel = self.token = self.sequence = self.request = 0
        self.auth = ua.NodeId()

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await connect(self.port)
        try:
            await self.open()
            if self._session:
                await self.sign_in()
        except BaseException:
            self.writer.transport.abort()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.transport.abort()

    async def open(self) -> None:
        """HEL and OPN."""
        self.writer.write(hello())
        await self.frame()
        request = ua.OpenSecureChannelRequest()
        request.Parameters = ua.OpenSecureChannelParameters(
            0, ua.SecurityTokenRequestType.Issue, ua.MessageSecurityMode.None_, b"", 3_600_000
        )
        self.writer.write(self.opening(struct_to_binary(request)))
        _, body = await self.frame()
        answer = Buffer(body[4:])
        struct_from_binary(ua.AsymmetricAlgorithmHeader, answer)
        struct_from_binary(ua.SequenceHeader, answer)
        opened = struct_from_binary(ua.OpenSecureChannelResponse, answer)
        self.channel, self.token = opened.Parameters.SecurityToken.ChannelId, opened.Parameters.SecurityToken.TokenId

    def opening(
        self, body: bytes, *, policy: bytes = b"http://opcfoundation.org/UA/SecurityPolicy#None", shown: bytes | None = None
    ) -> bytes:
        """An OpenSecureChannel message; shown: the sender's certificate."""
        whole = struct.pack("<I", 0) + text(policy) + text(shown) + text(None if shown is None else b"\x00" * 20) + self._head() + body
        return b"OPNF" + struct.pack("<I", 8 + len(whole)) + whole

    async def create(self, timeout_ms: float | None = None) -> ua.CreateSessionResult:
        request = ua.CreateSessionRequest()
        request.Parameters.SessionName = self._name
        request.Parameters.RequestedSessionTimeout = self._timeout_ms if timeout_ms is None else timeout_ms
        request.Parameters.EndpointUrl = f"opc.tcp://127.0.0.1:{self.port}/edgetwin"
        made: ua.CreateSessionResult = (await self.ask(request)).Parameters
        return made

    async def sign_in(self) -> None:
        self.auth = (await self.create()).AuthenticationToken
        await self.activate()

    async def activate(self) -> None:
        request = ua.ActivateSessionRequest()
        request.Parameters.UserIdentityToken = ua.AnonymousIdentityToken("anonymous")
        await self.ask(request)

    # --- frames ---

    def _head(self) -> bytes:
        self.sequence += 1
        self.request += 1
        return struct.pack("<II", self.sequence, self.request)

    def message(self, body: bytes, kind: bytes = b"MSGF") -> bytes:
        """One chunk."""
        whole = struct.pack("<II", self.channel, self.token) + self._head() + body
        return kind + struct.pack("<I", 8 + len(whole)) + whole

    def chunks(self, body: bytes) -> bytes:
        """A message of any size (Part 6, 6.7.2)."""
        parts = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)] or [b""]
        frames = []
        for place, part in enumerate(parts):
            frames.append(self.message(part, b"MSGF" if place == len(parts) - 1 else b"MSGC"))
            self.request -= place < len(parts) - 1
        return b"".join(frames)

    def header(
        self, *, addition: bytes = b"\x00\x00\x00", timestamp: int = 0, diagnostics: int = 0, audit: bytes | None = None, hint: int = 0
    ) -> bytes:
        """A RequestHeader (Part 4, 7.33)."""
        return (
            nodeid_to_binary(self.auth)
            + struct.pack("<qII", timestamp, self.request + 1, diagnostics)
            + text(audit)
            + struct.pack("<I", hint)
            + addition
        )

    def body_of(self, kind: int | str, params: bytes, **header: Any) -> bytes:
        """A request with parameters as given; kind: the encoding's number, or the service's name."""
        number = kind if isinstance(kind, int) else getattr(ua.ObjectIds, f"{kind}Request_Encoding_DefaultBinary")
        return b"\x01\x00" + struct.pack("<H", number) + self.header(**header) + params

    def encoded(self, request: Any) -> bytes:
        """A request of the library's, in this session's name."""
        request.RequestHeader.AuthenticationToken, request.RequestHeader.RequestHandle = self.auth, self.request + 1
        return bytes(struct_to_binary(request))

    async def frame(self) -> tuple[bytes, bytes]:
        """The next one: type and what follows its size. Raises Ended."""
        try:
            head = await asyncio.wait_for(self.reader.readexactly(8), WITHIN_S)
            body = await asyncio.wait_for(self.reader.readexactly(struct.unpack_from("<I", head, 4)[0] - 8), WITHIN_S)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Ended(None) from None
        if head[:3] == b"ERR":
            raise Ended(struct.unpack_from("<I", body)[0])
        return head[:4], body

    async def answer(self) -> tuple[int, bytes]:
        """The next whole message: number of its request, and its body. Raises Ended."""
        pieces = []
        while True:
            kind, body = await self.frame()
            pieces.append(body[16:])
            if kind[3:] == b"F":
                return struct.unpack_from("<I", body, 12)[0], b"".join(pieces)

    # --- services ---

    async def raw(self, body: bytes) -> bytes:
        """The answer's body. Raises Refused, Ended."""
        self.writer.write(self.chunks(body))
        asked = self.request
        while True:
            request, got = await self.answer()
            if request == asked:
                check(got)
                return got

    async def ask(self, request: Any) -> Any:
        """The library's answer to the library's request. Raises Refused, Ended."""
        return decoded(await self.raw(self.encoded(request)))

    async def ask_raw(self, kind: int | str, params: bytes, **header: Any) -> bytes:
        """Parameters as given. Raises Refused, Ended."""
        return await self.raw(self.body_of(kind, params, **header))

    async def read(self, *nodes: ua.NodeId) -> list[ua.DataValue]:
        request = ua.ReadRequest()
        request.Parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds.Value) for node in nodes]
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        return list((await self.ask(request)).Results)


def check(body: bytes) -> None:
    """Raises Refused where that is a ServiceFault."""
    (result,) = struct.unpack_from("<I", body, 4 + 8 + 4)
    if result & 0x8000_0000:
        raise Refused(result)


def decoded(body: bytes) -> Any:
    buffer = Buffer(body)
    kind = ua.extension_objects_by_typeid.get(nodeid_from_binary(buffer.copy()))
    return struct_from_binary(kind, Buffer(body)) if kind is not None else extensionobject_from_binary(Buffer(body))
