"""What flows on a line: parts, the buffers between machines, supply, arrivals and outlets, and the line's books.

A part goes from hand to hand: where a machine waits at a buffer it is given the part itself, and where one stands blocked in front of a
full buffer its part is taken the moment a place is free (blocking after service). Mass is counted in whole shares of a raw part, so that
it closes exactly however parts are packed and cut.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Protocol

from simpy import Environment, Event, Timeout

from gateway.model.line import Edge

Steps = Generator[Event, Any, None]


class Part:
    """One thing on the line. units: shares of raw parts in it; form: what the last machine made; defective: truly so; found: judged so.

    born: when it entered, the mean over its units where several were packed into one.
    """

    __slots__ = ("born", "defective", "form", "found", "lot", "product", "reworks", "units")

    def __init__(self, born: float, units: int, product: int, lot: int) -> None:
        self.born = born
        self.units = units
        self.product = product
        self.lot = lot
        self.form = ""
        self.defective = False
        self.found = False
        self.reworks = 0

    def again(self) -> None:
        """Sent back: what was wrong is mended by the machine that works on it again, whose own defects remain possible."""
        self.reworks += 1
        self.defective = self.found = False


class Books:
    """The line's counts since `since`: what entered and left, work in progress and its integral, defects. Units are shares of raw parts."""

    def __init__(self, env: Environment, products: int, final: frozenset[str]) -> None:
        self.env = env
        self.final = final
        self.products = products
        self.wip = 0
        self.carried = 0.0  # unit-seconds that the parts inside were old when counting began
        self.begin(0, 0.0)

    def begin(self, inside: int, aged: float) -> None:
        """Count anew with `inside` units on the line that together are `aged` unit-seconds old."""
        self.at_start, self.wip, self.carried = inside, inside, aged
        self.area, self.since = 0.0, self.env.now
        self.began = self.since
        self.entered = self.good_units = self.scrap_units = self.lost = 0
        self.good = [0] * self.products
        self.defective = [0] * self.products  # rejected in their final form
        self.scrapped = [0] * self.products  # units rejected before
        self.made: dict[str, int] = {}
        self.created = self.detected = self.escaped = self.reworked = 0
        self.residence = 0.0
        self.lead: list[float] = []
        self.last_product = 0

    def enter(self, units: int) -> None:
        now = self.env._now
        self.area += self.wip * (now - self.since)
        self.since = now
        self.wip += units
        self.entered += units

    def leave(self, part: Part, good: bool) -> None:
        now = self.env._now
        units = part.units
        self.area += self.wip * (now - self.since)
        self.since = now
        self.wip -= units
        age = now - part.born
        self.residence += age * units
        product = part.product
        if good:
            self.good[product] += 1
            self.good_units += units
            self.lead.append(age)
            self.last_product = product
            self.escaped += part.defective
        else:
            self.scrap_units += units
            if part.form in self.final:
                self.defective[product] += 1
            else:
                self.scrapped[product] += units

    def wip_area(self) -> float:
        """Unit-seconds of work in progress until now."""
        return self.area + self.wip * (self.env.now - self.since)


class Taker(Protocol):
    """A machine that waits for parts."""

    def accept(self, buffer: "Buffer", part: Part) -> None: ...


class Giver(Protocol):
    """A machine or source that stands with a part in front of a full buffer."""

    def hand(self) -> Part:
        """Its part, which is the caller's from now on."""
        ...


class Target(Protocol):
    """Where parts go."""

    def offer(self, part: Part) -> bool:
        """Take it, or say no: no room."""
        ...

    def room(self) -> float: ...


class Inlet(Protocol):
    """Where a machine takes parts from."""

    takers: list[Taker]

    def take(self) -> Part | None: ...


class Buffer:
    """The places on one edge. area: the integral of its level until `since`, most: the highest level seen; empty_at, full_at: when it was
    so first, infinite before.
    """

    __slots__ = ("area", "capacity", "edge", "empty_at", "env", "full_at", "givers", "items", "most", "since", "takers")

    def __init__(self, env: Environment, edge: Edge) -> None:
        self.env, self.edge = env, edge
        self.capacity = float("inf") if edge.capacity is None else edge.capacity
        self.items: deque[Part] = deque()
        self.takers: list[Taker] = []
        self.givers: list[Giver] = []
        self.begin()

    def begin(self) -> None:
        now, level = self.env.now, len(self.items)
        self.area, self.since, self.most = 0.0, now, level
        self.empty_at, self.full_at = (float("inf") if level else now), (now if level >= self.capacity else float("inf"))

    def offer(self, part: Part) -> bool:
        if self.takers:
            self.takers[0].accept(self, part)
            return True
        level = len(self.items)
        if level >= self.capacity:
            return False
        now = self.env._now
        self.area += level * (now - self.since)
        self.since = now
        self.items.append(part)
        if level >= self.most:
            self.most = level + 1
            if level + 1 == self.capacity:
                self.full_at = now
        return True

    def take(self) -> Part | None:
        items = self.items
        if not items:
            return self.pull() if self.givers else None
        if self.givers:
            items.append(self.pull())
            return items.popleft()
        now = self.env._now
        self.area += len(items) * (now - self.since)
        self.since = now
        if len(items) == 1 and now < self.empty_at:
            self.empty_at = now
        return items.popleft()

    def pull(self) -> Part:
        """The part of who has been blocked here the longest."""
        return self.givers[0].hand()

    def room(self) -> float:
        return self.capacity + len(self.takers) - len(self.items)

    def mean(self, seconds: float) -> float:
        return (self.area + len(self.items) * (self.env.now - self.since)) / seconds if seconds else float(len(self.items))


class ReworkBuffer(Buffer):
    """Of an edge that leads back."""

    __slots__ = ("books",)

    def __init__(self, env: Environment, edge: Edge, books: Books) -> None:
        super().__init__(env, edge)
        self.books = books

    def offer(self, part: Part) -> bool:
        if not super().offer(part):
            return False
        self._mark(part)
        return True

    def pull(self) -> Part:
        part = super().pull()
        self._mark(part)
        return part

    def _mark(self, part: Part) -> None:
        part.again()
        self.books.reworked += 1


class Outlet:
    """The sink (good) or the reject bin: always room."""

    __slots__ = ("books", "good")

    def __init__(self, books: Books, good: bool) -> None:
        self.books, self.good = books, good

    def offer(self, part: Part) -> bool:
        self.books.leave(part, self.good)
        return True

    def room(self) -> float:
        return float("inf")


class Order:
    """Which product and lot the next raw part is of. lots: (product, quantity), over and over; limit: parts that are still to come."""

    __slots__ = ("left", "limit", "lot", "lots", "supplied", "units")

    def __init__(self, lots: list[tuple[int, int]], limit: int | None, units: int) -> None:
        self.lots, self.units = lots, units
        self.limit = float("inf") if limit is None else limit
        self.lot = 0
        self.left = lots[0][1] if lots else 0
        self.supplied = 0

    def skip(self, parts: int) -> None:
        """So many have been given before."""
        self.supplied = parts
        self.limit = max(self.limit - parts, 0)
        if not self.lots:
            return
        turns, rest = divmod(parts, sum(quantity for _, quantity in self.lots))
        self.lot = turns * len(self.lots)
        while rest > (here := self.lots[self.lot % len(self.lots)][1]):
            rest -= here
            self.lot += 1
        self.left = here - rest

    def part(self, now: float) -> Part | None:
        """None when all are made."""
        if self.limit <= 0:
            return None
        self.limit -= 1
        self.supplied += 1
        if not self.lots:
            return Part(now, self.units, 0, 0)
        if not self.left:
            self.lot += 1
            self.left = self.lots[self.lot % len(self.lots)][1]
        self.left -= 1
        return Part(now, self.units, self.lots[self.lot % len(self.lots)][0], self.lot)


class Supply:
    """An infinite source: a raw part whenever one is asked for, until the order is done."""

    __slots__ = ("books", "env", "order", "takers")

    def __init__(self, env: Environment, order: Order, books: Books) -> None:
        self.env, self.order, self.books = env, order, books
        self.takers: list[Taker] = []  # who waits here waits for ever

    def take(self) -> Part | None:
        part = self.order.part(self.env._now)
        if part is not None:
            self.books.enter(part.units)
        return part


class Arrivals:
    """A source with times between arrivals. An arrival that finds no room waits, and the next one is counted from then, or is lost."""

    def __init__(
        self, env: Environment, order: Order, books: Books, buffers: list[Buffer], between: Callable[[], float], lose: bool
    ) -> None:
        self.env, self.order, self.books, self.buffers = env, order, books, buffers
        self.between, self.lose = between, lose
        self.offered: Part | None = None
        self.signal: Event | None = None

    def run(self) -> Steps:
        env = self.env
        while True:
            yield Timeout(env, self.between())
            part = self.order.part(env.now)
            if part is None:
                return
            self.books.enter(part.units)
            if any(buffer.offer(part) for buffer in self.buffers):
                continue
            if self.lose:
                self._turn_away(part)
                continue
            self.offered, self.signal = part, Event(env)
            for buffer in self.buffers:
                buffer.givers.append(self)
            yield self.signal

    def hand(self) -> Part:
        for buffer in self.buffers:
            buffer.givers.remove(self)
        part = self.offered
        assert part is not None  # who stands at a buffer has one
        assert self.signal is not None
        self.offered = None
        self.signal.succeed()
        return part

    def _turn_away(self, part: Part) -> None:
        self.books.wip -= part.units
        self.books.entered -= part.units
        self.books.lost += 1
