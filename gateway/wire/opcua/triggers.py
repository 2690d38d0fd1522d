"""SetTriggering (Part 4, 5.12.1.6 and 5.12.5): which item's notification lets go what other items have sampled."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

_GOOD: Final = 0
_BAD_ITEM: Final = 0x8042_0000  # BadMonitoredItemIdInvalid


class Triggers:
    """The links of one subscription, by item id. known(id) says whether there is such an item."""

    def __init__(self, known: Callable[[int], bool]) -> None:
        self._known = known
        self._links: dict[int, dict[int, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._links)

    @property
    def triggering(self) -> Collection[int]:
        """The items that let others go."""
        return self._links.keys()

    def add(self, triggering: int, linked: Sequence[int]) -> list[int]:
        """A StatusCode for each link. A link that is there already stays."""
        good = [item for item in linked if self._known(item)]
        if good:
            self._links.setdefault(triggering, {}).update(dict.fromkeys(good))
        return [_GOOD if self._known(item) else _BAD_ITEM for item in linked]

    def remove(self, triggering: int, linked: Iterable[int]) -> list[int]:
        """A StatusCode for each link; BadMonitoredItemIdInvalid for one that is not there."""
        links = self._links.get(triggering, {})
        results = [_GOOD if links.pop(item, 0) is None else _BAD_ITEM for item in linked]
        if not links:
            self._links.pop(triggering, None)
        return results

    def forget(self, item: int) -> None:
        """The item is deleted, with every link from and to it."""
        if self._links:
            self._links.pop(item, None)
            for linked in self._links.values():
                linked.pop(item, None)
            self._links = {triggering: linked for triggering, linked in self._links.items() if linked}

    def freed_by(self, fired: Sequence[int]) -> list[int]:
        """The items whose queues these let go, each once."""
        return list(dict.fromkeys(item for triggering in fired for item in self._links.get(triggering, ())))
