"""What the server allows itself and its clients. Everything advertised below ServerCapabilities is enforced from the same numbers."""

from dataclasses import dataclass
from typing import Final

NODES_PER_READ: Final = 10_000
NODES_PER_WRITE: Final = 1_000
NODES_PER_BROWSE: Final = 1_000
NODES_PER_TRANSLATE: Final = 1_000
NODES_PER_REGISTER: Final = 1_000
NODES_PER_HISTORY_READ: Final = 100
NODES_PER_HISTORY_READ_EVENTS: Final = 10
HISTORY_POINTS_PER_SESSION: Final = 100
HISTORY_POINTS_BYTES: Final = 4 * 2**20  # of a session, for what they remember
HISTORY_TIMES: Final = 20_000  # in one ReadAtTimeDetails
HISTORY_VALUES: Final = 100_000  # in one response; the client's message size may make it fewer
HISTORY_EVENTS: Final = 1_000
WAITING_AT_ONCE: Final = 4  # requests of one connection that wait for disk or plant
METHODS_PER_CALL: Final = 100
ARGUMENT_LENGTH: Final = 10_000  # characters of a text, bytes, or elements of an array, in a Method's input argument
ITEMS_PER_CALL: Final = 10_000
BROWSE_POINTS_PER_SESSION: Final = 10
REFERENCES_PER_NODE: Final = 10_000
REFERENCES_LOOKED_AT: Final = 2_000_000  # by one Browse or TranslateBrowsePathsToNodeIds
BROWSE_BYTES: Final = 4 * 2**20  # of one answer: the rest is for BrowseNext
SUBSCRIPTIONS_PER_SESSION: Final = 20
SUBSCRIPTIONS: Final = 500
ABANDONED_SUBSCRIPTIONS: Final = 50  # of sessions that ended, waiting to be taken over
ITEMS_PER_SUBSCRIPTION: Final = 100_000
SAMPLED_PER_SUBSCRIPTION: Final = 1_000  # items on anything but a tag's Value: each is read one by one
SAMPLED_MS: Final = 250.0
SAMPLED_S: Final = 0.02  # what reading them takes of one publishing interval; the rest waits for the next
EVENT_ITEMS_PER_SUBSCRIPTION: Final = 200
EVENT_QUEUE: Final = (10, 1_000, 10_000)  # least, where the client leaves it to the server, most
EVENTS_PER_NOTIFICATION: Final = 1_000
EVENT_QUEUES_BYTES: Final = 128 * 2**20  # all queued events of the server
SELECT_CLAUSES: Final = 256
BROWSE_PATH_NAMES: Final = 16
FILTER_ELEMENTS: Final = 128
FILTER_OPERANDS: Final = 1_024
FILTER_WORK: Final = (4_000, 40_000)  # operands of all where clauses of a subscription, and of the server; a pattern counts as ten
FILTER_LITERAL: Final = 4_096  # characters, bytes, elements of an array
REFRESHES_IN_A_ROW: Final = 5  # ConditionRefresh, for each subscription: so many at once,
REFRESH_EVERY_S: Final = 1.0  # and one more after each such time
REFRESH_CHUNK: Final = 50  # conditions looked at in one go, whoever asked
PUBLISH_REQUESTS_PER_SESSION: Final = 32
VALUES_PER_NOTIFICATION: Final = 30_000
RETRANSMIT_MESSAGES: Final = 64
RETRANSMIT_BYTES: Final = 8 * 2**20
SESSION_TIMEOUT_MS: Final = (5_000.0, 600_000.0)
SIGN_INS: Final = 16  # that wait for their turn at once
SIGN_IN_FAILURES: Final = 5  # of a session that is not activated yet
SPARE_CONNECTIONS: Final = (10, 5)  # beyond the sessions: in all, and of one address
CHANNEL_S: Final = 10.0  # a connection without a secure channel is closed after that
ACTIVATION_S: Final = 30.0  # a connection without an activated session is closed after that
STRANGER_BYTES: Final = 128 * 1024  # of a message before anybody has signed in
WAITING_MESSAGES: Final = 64  # of one connection; its socket is not read while there are more
AT_ONCE: Final = 16  # of Publish requests in one piece that are taken as they come; the others have their turn like any request
OPEN_BYTES: Final = 16_384  # of an OpenSecureChannel message, with a chain of certificates in it
CHANNEL_LIFETIME_MS: Final = (10_000, 3_600_000)
RECEIVE_BUFFER_BYTES: Final = 65_535
SMALLEST_BUFFER_BYTES: Final = 8_192  # Part 6, 7.1.2.3
MESSAGE_BYTES: Final = 4 * 2**20
ELEMENTS: Final = 100_000  # of all arrays in one request
NESTING: Final = 100  # of Variants and ExtensionObjects in one another (Part 6, 5.2.2.16)
BESIDE_BYTES: Final = 16_384  # a larger request is decoded beside the event loop, likewise the answer to one
BREATH_S: Final = 0.005  # what a request does in one go before the others have their turn
CHUNKS: Final = MESSAGE_BYTES // SMALLEST_BUFFER_BYTES
UNREAD_BYTES: Final = 16 * 2**20  # what may wait in a socket's write buffer for a client that does not read


@dataclass(frozen=True, slots=True)
class Limits:
    """The ones that a configuration may change."""

    sessions: int = 50
    publishing_ms: tuple[float, float] = (10.0, 3_600_000.0)
