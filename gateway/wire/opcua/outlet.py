"""Where the messages of subscriptions go: the Publish requests of a session, or nowhere."""

from dataclasses import dataclass
from typing import Final, Protocol

BYTES_PER_VALUE: Final = 40  # of the widest record


@dataclass(frozen=True, slots=True)
class Message:
    """What answers one Publish request. body: the encoded NotificationMessage."""

    subscription_id: int
    available: tuple[int, ...]
    more: bool
    body: bytes


class Outlet(Protocol):
    """Where a session's Publish requests wait: its connection."""

    def queued(self) -> bool: ...
    def answer(self, message: Message) -> None:
        """Use up the oldest request."""

    def room_for(self) -> int:
        """How many values the client takes in one message, at BYTES_PER_VALUE each."""

    def waiting(self) -> int:
        """How many requests wait."""

    def lasting_s(self) -> float:
        """How long a request will wait at least if nobody answers it; 0 where none does."""


class Nowhere:
    """The outlet of a subscription whose session is closed: it waits for somebody to take it over, or for its end."""

    def queued(self) -> bool:
        return False

    def answer(self, message: Message) -> None:
        """Nobody asked."""

    def room_for(self) -> int:
        return 1

    def waiting(self) -> int:
        return 0

    def lasting_s(self) -> float:
        return 0.0
