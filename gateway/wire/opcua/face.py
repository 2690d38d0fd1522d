"""What a server of ours is told about the things it shows: plain values and a few questions, so that no other room needs the protocol
library.

Node keys: an int is a numeric identifier of namespace 0, a str a string identifier of the gateway's own namespace (index 2).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.model.command import Caller
from gateway.model.tag import TagTable
from gateway.wire.opcua.beat import Machine
from gateway.wire.opcua.methods import Argument, Method
from gateway.wire.opcua.occurrences import EventType, Occurrence

if TYPE_CHECKING:
    from gateway.wire.opcua.past import Past

Key = int | str


class NodeClass(IntEnum):
    """Part 3, 8.29."""

    OBJECT = 1
    VARIABLE = 2
    METHOD = 4
    OBJECT_TYPE = 8
    VARIABLE_TYPE = 16


class Builtin(IntEnum):
    """Part 6, 5.1.2: the built-in types that our nodes and events use."""

    BOOLEAN = 1
    SBYTE = 2
    BYTE = 3
    INT16 = 4
    UINT16 = 5
    INT32 = 6
    UINT32 = 7
    INT64 = 8
    UINT64 = 9
    FLOAT = 10
    DOUBLE = 11
    STRING = 12
    DATE_TIME = 13
    GUID = 14
    BYTE_STRING = 15
    NODE_ID = 17
    STATUS_CODE = 19
    QUALIFIED_NAME = 20
    LOCALIZED_TEXT = 21
    EXTENSION_OBJECT = 22


@dataclass(frozen=True, slots=True)
class Range:
    """Part 8, 5.6.2."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class EuInformation:
    """Part 8, 5.6.4."""

    unit_id: int
    symbol: str
    name: str


@dataclass(frozen=True, slots=True)
class EnumValue:
    """Part 3, 8.39 (EnumValueType)."""

    value: int
    name: str


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Part 5, 12.16 (ModelChangeStructureDataType). verb: 1 added, 2 deleted, 4 reference added, 8 reference deleted."""

    affected: Key
    affected_type: int
    verb: int


@dataclass(frozen=True, slots=True)
class Text:
    """Part 3, 8.5 (LocalizedText) with its locale. None for a part that is not there."""

    text: str | None
    locale: str | None = "en"


@dataclass(frozen=True, slots=True)
class TimeZone:
    """Part 3, 8.28 (TimeZoneDataType)."""

    offset_min: int
    in_offset: bool = True


Scalar = bool | int | float | str | bytes | Text
Structure = Range | EuInformation | EnumValue | ModelChange | TimeZone | Argument
Content = Scalar | Structure | tuple[Scalar, ...] | tuple[EnumValue, ...] | tuple[ModelChange, ...] | tuple[Argument, ...] | None
"""By Builtin: a DateTime is unix ns, a NodeId a Key (0 the null one), a StatusCode its number, a QualifiedName its text, a LocalizedText a
Text, or its text alone, which is of the locale "en", a Guid its 16 bytes.
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A Variable's value. type is of the scalar; None as content is a null value. Times 0 = none."""

    content: Content
    type: Builtin = Builtin.STRING
    status: int = 0
    source_ns: int = 0
    server_ns: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference says of its other end (Part 4, 7.30).

    standard: the BrowseName is of namespace 0, as for properties of the standard's types.
    """

    key: Key
    node_class: NodeClass
    name: str
    type_definition: Key  # 0 of what has none: Methods and types
    standard: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    type: int  # ReferenceType, namespace 0
    forward: bool
    target: Target


@dataclass(frozen=True, slots=True)
class Node:
    """An Object, a Variable where read is given, a Method where method is (Part 3, 5.5 to 5.7). references hold everything but
    HasTypeDefinition.
    """

    target: Target
    references: Sequence[Reference]
    description: str = ""
    data_type: int = 0  # namespace 0
    array: bool = False
    read: Callable[[], Reading] | None = None
    writable: bool = False  # AccessLevel: by somebody
    write_role: str = ""  # who may write it, at least
    event_notifier: int = 0  # of an Object (Part 3, 8.59): 1 SubscribeToEvents, 4 HistoryRead
    sampling_ms: float = 0.0
    method: Method | None = None
    historizing: bool = False  # its history is kept, and served (Part 3, 5.6.2)
    edition: Callable[[], object] | None = None  # the same object for as long as the value cannot be another
    eu_range: Range | None = None  # what a percent deadband is of, where it is no tag (Part 8, 6.2)


class Columns(Protocol):
    """The tags' live columns, row = tag_id."""

    @property
    def tags(self) -> TagTable: ...
    @property
    def version(self) -> int: ...
    @property
    def value(self) -> NDArray[np.float64]: ...
    @property
    def status(self) -> NDArray[np.uint32]: ...
    @property
    def source_ns(self) -> NDArray[np.int64]: ...
    @property
    def received_ns(self) -> NDArray[np.int64]: ...
    @property
    def text(self) -> Any: ...


class Space(Protocol):
    """The nodes of the gateway's namespace, made when asked for."""

    def node(self, key: str) -> Node | None:
        """The node, or None where there is none of that identifier."""

    def tag_id(self, key: str) -> int | None:
        """The tag whose Variable has this identifier."""

    def roots(self) -> Sequence[Reference]:
        """What hangs below the standard's Objects folder."""

    def notifiers(self, source: Key) -> Collection[Key]:
        """The Objects that report events of that source, itself among them; the Server object apart, which reports all."""

    def below_server(self) -> Sequence[Reference]:
        """HasNotifier: the Objects whose events the Server object reports, which are all of ours."""

    def types(self) -> Mapping[int, Sequence[Reference]]:
        """HasSubtype: the gateway's own types, by the type of the standard that they are a kind of."""

    def namespaces(self) -> Sequence[Reference]:
        """HasComponent: what the server says of the gateway's namespace, below Server.Namespaces."""

    def method(self, owner: Key, method: Key) -> Method | None:
        """The Method of an Object by its own identifier there, or by that in the Object's type (Part 4, 5.11.2)."""


# --- subscriptions ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """DataChangeFilter (Part 4, 7.22.2)."""

    trigger: int = 1  # 0 Status, 1 StatusValue, 2 StatusValueTimestamp
    deadband_type: int = 0  # 0 none, 1 absolute, 2 percent of EURange
    deadband: float = 0.0


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """What a client asks of one MonitoredItem on a tag's Value (Part 4, 7.21)."""

    client_handle: int
    sampling_ms: float
    queue_size: int
    discard_oldest: bool
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class ItemResult:
    status: int
    sampling_ms: float = 0.0
    queue_size: int = 0


class Mode(IntEnum):
    """Part 4, 7.23 (MonitoringMode)."""

    DISABLED = 0
    SAMPLING = 1
    REPORTING = 2


class Items(Protocol):
    """The MonitoredItems of one subscription that stand on tags."""

    def __len__(self) -> int: ...
    def __contains__(self, item_id: int) -> bool: ...

    def create(self, item_id: int, tag_id: int, request: ItemRequest, mode: Mode, stamps: int, now_ns: int) -> ItemResult:
        """stamps: 0 source, 1 server, 2 both, 3 neither (Part 4, 7.40)."""

    def modify(self, item_id: int, request: ItemRequest, stamps: int) -> ItemResult: ...
    def set_mode(self, item_id: int, mode: Mode, now_ns: int) -> int: ...
    def delete(self, item_id: int) -> int: ...

    def trigger(self, item_ids: Collection[int], fired: Callable[[list[int]], None]) -> None:
        """From now on exactly these items say, by their ids, that they have queued something (Part 4, 5.12.1.6)."""

    def free(self, item_ids: Collection[int]) -> None:
        """What these items have only sampled so far is reported with the next message."""

    def sample(self, now_ns: int) -> None:
        """Queues what new items first report, and what is due of items that sample slower than their tag changes.

        Called after items were made or woken up, and at the publishing timer.
        """

    def refresh(self, now_ns: int) -> None:
        """Queues the current value of every item, changed or not."""

    def handles(self) -> Iterable[tuple[int, int]]:
        """The client's handle of each item, by the item's identifier."""

    def ready(self) -> bool:
        """Whether anything waits to be reported."""

    def polled(self) -> bool:
        """Whether sample() has something to do from time to time."""

    def told(self, queued: Callable[[], None]) -> None:
        """From now on queued() is called whenever a value is queued."""

    def take(self, limit: int) -> list[bytes | memoryview]:
        """Bodies of DataChangeNotifications with at most limit values in all, oldest first; they leave the queues."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user identity token says (Part 4, 7.41): a name and password, a user's certificate (DER, its signature checked), or nothing
    at all, which is the anonymous one.
    """

    user: str = ""
    password: str = ""
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody was turned away at the channel. origin as in Caller; thumbprint: SHA-1 of the certificate shown, empty where it was none;
    status: the StatusCode that was answered.
    """

    origin: str
    subject: str
    thumbprint: str
    why: str
    status: int


class Face(Protocol):
    """All that the server asks of its owner."""

    @property
    def space(self) -> Space: ...
    @property
    def columns(self) -> Columns: ...

    def open_subscription(self) -> tuple[Machine, Items]: ...

    async def sign_in(self, credentials: Credentials, origin: str) -> Caller:
        """Who comes in with these (Part 4, 5.6.3). Raises SignInRefused."""

    async def unfit_token(self, origin: str, status: int) -> None:
        """For the audit: a UserIdentityToken that does not decrypt, is signed by another or of another time, or is not offered."""

    async def signed_out(self, caller: Caller, why: str) -> None:
        """For the audit: the end of a session that somebody had signed in to."""

    async def turned_away(self, refusal: Refusal) -> None:
        """For the audit; called once a minute at most for each certificate."""

    def watched(self, expires_s: float) -> None:
        """Called every few seconds while the server runs. expires_s: when its certificate ends, UTC seconds since 1970."""

    def allowed(self, caller: Caller, permission: str) -> bool:
        """Whether that role has that permission, for example `alarm:ack`."""

    async def set_tag(self, tag_id: int, content: bool | float | str, caller: Caller) -> int:
        """Ask for a change of a writable tag; the StatusCode is the answer."""

    def retained(self) -> Iterable[Occurrence]:
        """The present state of every condition that a client should know of (Part 9, 5.5.7, ConditionRefresh)."""

    def event_types(self) -> Sequence[EventType]:
        """The EventTypes of the gateway's own namespace."""

    @property
    def past(self) -> "Past":
        """What was."""

    def service_level(self) -> int:
        """Part 4, 6.6.2.4.2: 255 healthy, 200 and below degraded, 1 no data."""

    def now_ns(self) -> int: ...
    def count(self, name: str, n: int = 1) -> None: ...
