"""Reads of many tags at once (Part 4, 5.10.2): a request body seen before is answered by gathering the columns, without decoding it
again.
"""

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.model.batch import Rows
from gateway.model.tag import TagTable, TagType
from gateway.wire.opcua import limits
from gateway.wire.opcua.encode import data_values
from gateway.wire.opcua.face import Face
from gateway.wire.opcua.requests import read_request

_REMEMBERED: Final = 8
_REMEMBERED_BYTES: Final = 8 * 2**20
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request body asks for. table: tag_ids hold for this one only."""

    table: TagTable
    tags: Rows
    stamps: int


class Reads:
    """The plans of one connection; the rights of a session do not change what it may read in this version."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._bytes = 0

    def answer(self, body: bytes) -> bytes | None:
        """Results and diagnostics of a ReadResponse, or None where the request is not for tags' Values alone."""
        plan = self._plans.get(body)
        view = self._face.columns
        if plan is None or plan.table is not view.tags:
            plan = self._plan(body)
            if plan is None:
                return None
            self._remember(bytes(body), plan)
        received = view.received_ns[plan.tags]
        values = data_values(
            view.tags.type[plan.tags],
            plan.stamps,
            view.value[plan.tags],
            view.status[plan.tags],
            view.source_ns[plan.tags],
            np.where(received == 0, self._face.now_ns(), received),
            [view.text.get(tag) for tag in plan.tags.tolist()] if (view.tags.type[plan.tags] == TagType.TEXT).any() else None,
        )
        return struct.pack("<i", plan.tags.size) + values + _NO_DIAGNOSTICS

    def _plan(self, body: bytes) -> Plan | None:
        wanted = read_request(body)
        if wanted is None or not wanted.keys or len(wanted.keys) > limits.NODES_PER_READ:
            return None
        if wanted.stamps not in (0, 1, 2, 3) or not wanted.max_age >= 0:
            return None
        tags = [self._face.space.tag_id(key) for key in wanted.keys]
        known = [tag for tag in tags if tag is not None]
        return Plan(self._face.columns.tags, np.array(known, np.intp), wanted.stamps) if len(known) == len(tags) else None

    def _remember(self, body: bytes, plan: Plan) -> None:
        if len(body) > _REMEMBERED_BYTES:
            return
        self._plans[body] = plan
        self._bytes += len(body)
        while len(self._plans) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            oldest, _ = self._plans.popitem(last=False)
            self._bytes -= len(oldest)
