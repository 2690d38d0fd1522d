"""Values that must not be seen: where they may come from, and how they are hidden."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.settings.faults import Faults
from gateway.settings.files import SECRET_BYTES, read_text
from gateway.settings.node import BROKEN, Node

MASK: Final = "***"
_NAME: Final = re.compile(r"(?:^|_)(?:password|passwd|passphrase|token|secret|api_key|credential)s?$", re.IGNORECASE)
_USERINFO: Final = re.compile(r"(?<=://)([^/@:\s]*):([^/@\s]*)(?=@)")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.@-]{1,255}")


def is_secret(name: str) -> bool:
    """True for a key whose value nobody should see: password, token, api_key and the like."""
    return _NAME.search(name) is not None


def masked(text: str) -> str:
    """A text without the password of a URL."""
    return _USERINFO.sub(rf"\1:{MASK}", text)


def has_password(text: str) -> bool:
    """True for a URL with a password in it."""
    return _USERINFO.search(text) is not None


def reference(node: Node) -> tuple[str, Node] | None:
    """`file` or `credential` with its name, for {file: PATH} and {credential: NAME}."""
    if isinstance(node.value, dict) and len(node.value) == 1:
        ((kind, name),) = node.value.items()
        if kind in {"file", "credential"} and not isinstance(name.value, dict | list):
            return kind, name
    return None


def fetch(node: Node, key: str, env: Mapping[str, str], faults: Faults) -> Node:
    """The value that {file: PATH} or {credential: NAME} stands for, as a node; its last line break is not part of it."""
    found = reference(node)
    assert found is not None
    kind, name = found
    broken = Node(BROKEN, node.place, key=node.key)
    if name.value is BROKEN:
        return broken
    if kind == "file":
        path = Path(name.place.file).parent / name.text
    elif not _CREDENTIAL.fullmatch(name.text) or name.text in {".", ".."}:
        faults.add(name.place, key, f"{name.text[:60]!r} is not the name of a credential", "the name that LoadCredential= gives it")
        return broken
    elif "CREDENTIALS_DIRECTORY" not in env:
        faults.add(
            name.place,
            key,
            f"there is no credential {name.text}: CREDENTIALS_DIRECTORY is not set",
            f"add LoadCredential={name.text}:PATH to the unit",
        )
        return broken
    else:
        path = Path(env["CREDENTIALS_DIRECTORY"]) / name.text
    text = read_text(path, SECRET_BYTES, name.place, key, faults)
    if text is None:
        return broken
    text = text.removesuffix("\n").removesuffix("\r")
    return Node(text, node.place, text, f"{kind}:{name.text}", node.key)
