"""The documentation of the API as one plain page, made from the OpenAPI document: no script, no address outside the gateway."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

_VERBS = ("get", "post", "put", "patch", "delete")


def page(document: Mapping[str, Any], stream: str, openapi_url: str, style_url: str) -> str:
    """HTML of all operations in the order of the document; stream: the words on the WebSocket."""
    title = escape(f"{document['info']['title']} API {document['info']['version']}")
    operations = "".join(
        _operation(verb, path, methods[verb]) for path, methods in document["paths"].items() for verb in _VERBS if verb in methods
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="{escape(style_url)}"></head><body class="docs"><main><h1>{title}</h1>'
        f'<p>{_prose(document["info"].get("description", ""))} As a document: <a href="{escape(openapi_url)}">OpenAPI</a>. '
        "Live values: WebSocket <code>/api/v1/stream</code>. Errors are problem documents (RFC 9457).</p>"
        f"{operations}<section><h2>Stream</h2><pre>{escape(stream)}</pre></section></main></body></html>"
    )


def _operation(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields = [_parameter(each) for each in operation.get("parameters", ())]
    required = body.get("required", ())
    fields += [_field(name, "body", schema, name in required) for name, schema in body.get("properties", {}).items()]
    table = f'<div class="scroll"><table><tr><th>name<th>in<th>type<th>meaning</tr>{"".join(fields)}</table></div>' if fields else ""
    meaning = _prose(operation.get("description", "") or operation.get("summary", ""))
    return f"<section><h2><b>{verb.upper()}</b> <code>{escape(path)}</code></h2><p>{meaning}</p>{table}</section>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    return _field(parameter["name"], parameter["in"], parameter.get("schema", {}), parameter.get("required", False))


def _field(name: str, place: str, schema: Mapping[str, Any], required: bool) -> str:
    need = " *" if required else ""
    return (
        f"<tr><td><code>{escape(name)}</code>{need}<td>{place}<td>{escape(_type(schema))}<td>{_prose(schema.get('description', ''))}</tr>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(kind for kind in map(_type, schema["anyOf"]) if kind != "null")
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}, repeatable"
    return str(schema.get("type") or schema.get("$ref", "any").rpartition("/")[2])


def _prose(text: str) -> str:
    """Words as HTML: what stands between backticks is code."""
    return re.sub(r"(`+)(.+?)\1", r"<code>\2</code>", escape(text), flags=re.DOTALL)
