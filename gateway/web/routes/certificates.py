"""Certificates of OPC UA: the gateway's own, and those of applications and authorities that it trusts or has refused."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import quality
from gateway.model.command import Command
from gateway.web import schema
from gateway.web.depend import Anyone, Context
from gateway.web.encode import Json
from gateway.web.routes.commands import Body, perform, refused, validated

router = APIRouter(tags=["certificates"], default_response_class=Json)

Thumbprint = Annotated[str, Path(max_length=100, description="SHA-1 or SHA-256 in hex, or eight digits of it at least")]


class NewCertificate(BaseModel):
    """A certificate to trust."""

    model_config = ConfigDict(extra="forbid")

    certificate: str = Field(max_length=20_000, description="PEM")
    issuer: bool = Field(default=False, description="an authority that only completes chains, and makes nobody trusted")


class Place(BaseModel):
    model_config = ConfigDict(extra="forbid")

    issuer: bool = Field(default=False, description="an authority that only completes chains, and makes nobody trusted")


class Certificate(schema.Shape):
    place: Literal["own", "trusted", "issuers", "rejected"]
    subject: str
    issuer: str
    thumbprint: str = Field(description="SHA-1, the CertificateId of OPC UA")
    sha256: str
    application_uri: str | None
    authority: bool
    valid_from: str
    valid_to: str
    file: str


class Certificates(schema.Shape):
    certificates: list[Certificate]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


_OUTCOME: Final = schema.of(schema.Outcome)


@router.get("/certificates", response_model=None, responses=schema.of(Certificates))
async def certificates(context: Context, caller: Anyone) -> Json:
    """All of them, place by place. Permission cert:trust."""
    outcome = await context.commands.execute(Command("cert.list", {}, caller))
    if quality.word(outcome.status) == "bad":
        raise refused("cert.list", outcome)
    return Json(dict(outcome.result))


@router.post(
    "/certificates",
    response_model=None,
    responses=_OUTCOME,
    openapi_extra=_body(NewCertificate),
)
async def add(context: Context, caller: Anyone, body: Body) -> Json:
    """Trust a certificate that you have as a file. 409: it is none."""
    return await perform(context, caller, "cert.trust", validated(NewCertificate, body).model_dump())


@router.post("/certificates/renew", response_model=None, responses=_OUTCOME)
async def renew(context: Context, caller: Anyone) -> Json:
    """A new certificate and key for this gateway: its clients and servers have to trust it anew."""
    return await perform(context, caller, "cert.renew", {})


@router.post(
    "/certificates/{thumbprint}/trust",
    response_model=None,
    responses=_OUTCOME,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": Place.model_json_schema()}}}},
)
async def trust(context: Context, caller: Anyone, thumbprint: Thumbprint, body: Body) -> Json:
    """Trust one that was refused. 404: there is none of that thumbprint."""
    return await perform(context, caller, "cert.trust", {"thumbprint": thumbprint} | validated(Place, body).model_dump())


@router.post("/certificates/{thumbprint}/reject", response_model=None, responses=_OUTCOME)
async def reject(context: Context, caller: Anyone, thumbprint: Thumbprint) -> Json:
    """Trust one no more: its sessions end. 404: there is none of that thumbprint."""
    return await perform(context, caller, "cert.reject", {"thumbprint": thumbprint})
