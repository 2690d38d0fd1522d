"""The audit: who asked for what, from where, and what became of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.web import schema
from gateway.web.depend import AuditReader, Context
from gateway.web.encode import Json
from gateway.web.rows import check_row, record_row

router = APIRouter(prefix="/audit", tags=["audit"], default_response_class=Json)


class Record(schema.Shape):
    seq: int
    time: str | None
    user: str
    role: str
    origin: str = Field(description="local:<uid>, web:<address>, opcua:<address> or mqtt")
    command: str
    args: dict[str, Any] = Field(description="without secrets")
    status: str = Field(description="OPC UA StatusCode by name")
    message: str


class Audit(schema.Shape):
    records: list[Record]
    next: int | None = Field(description="`before` of the next page; null = this was the last one")


class Check(BaseModel):
    intact: bool
    records: int = Field(description="that were read")
    broken_at: int | None = Field(description="the first seq that does not fit")
    head: str = Field(description="the last hash: kept elsewhere, it shows whether records were cut off the end")


@router.get("", response_model=None, responses=schema.of(Audit))
async def records(
    context: Context,
    caller: AuditReader,  # noqa: ARG001 - asked for its permission
    before: Annotated[int | None, Query(ge=1, description="only records with a smaller seq")] = None,
    user: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="at most so many")] = 100,
) -> Json:
    """The newest records, newest first, page by page."""
    found = await context.audit.audit_log(limit, before, user)
    return Json({"records": [record_row(record) for record in found], "next": found[-1].seq if len(found) == limit else None})


@router.get("/verify", response_model=None, responses=schema.of(Check))
async def verify(context: Context, caller: AuditReader) -> Json:  # noqa: ARG001 - asked for its permission
    """Reads the whole chain: is any record changed, missing or out of place?"""
    return Json(check_row(await context.audit.audit_verify()))
