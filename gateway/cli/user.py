"""People who may sign in: their roles and passwords, and one-time links to the web page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import daemon, people, show
from gateway.cli.failure import WRONG, Failure
from gateway.cli.options import AsJson, Name, Url
from gateway.cli.people import Config, PasswordStdin

app = typer.Typer(help="People who use the gateway.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="Name of the user.", show_default=False)]
Role = Annotated[str, typer.Option("--role", help="viewer, operator, engineer, manager or admin.")]
CertificateFile = Annotated[
    Path | None, typer.Option("--certificate", help="X.509 certificate (PEM or DER) that the user may sign in with.", show_default=False)
]


@app.command()
def add(
    user: User,
    role: Role = "viewer",
    certificate: CertificateFile = None,
    password: Annotated[bool, typer.Option(help="Whether to ask for a password; needed without --certificate.")] = True,
    password_stdin: PasswordStdin = False,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Add a user. The password is asked twice; it has 12 characters at least."""
    _known(role)
    place = people.place(url, name, config)
    args = {"user": user, "role": role}
    if certificate is not None:
        args["certificate"] = _thumbprint(certificate)
    if password or password_stdin:
        args["password"] = people.password(from_stdin=password_stdin)
    people.told(place.command("user.add", args), f"{user} is added as {role}", as_json=as_json)


@app.command("list")
def list_(config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Everybody, with role and state."""
    users = people.place(url, name, config).users()
    if as_json:
        show.document({"users": users})
    elif not users:
        show.note("there are no users yet: `edgetwin user add NAME --role admin` makes the first one")
    else:
        show.table(("user", "role", "signs in by", "state"), ((row["user"], row["role"], _ways(row), _state(row)) for row in users))


@app.command()
def passwd(
    user: User, password_stdin: PasswordStdin = False, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False
) -> None:
    """Give a user another password; the user is signed out everywhere."""
    place = people.place(url, name, config)
    args = {"user": user, "password": people.password(from_stdin=password_stdin)}
    people.told(place.command("user.passwd", args), f"{user} has another password, and is signed out", as_json=as_json)


@app.command()
def role(
    user: User,
    role: Annotated[str, typer.Argument(help="viewer, operator, engineer, manager or admin.", show_default=False)],
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Give a user another role; the user is signed out everywhere."""
    outcome = people.place(url, name, config).command("user.role", {"user": user, "role": role})
    people.told(outcome, f"{user} is {role} now, and is signed out", as_json=as_json)


@app.command()
def certificate(
    user: User,
    file: Annotated[Path | None, typer.Argument(help="PEM or DER; none without it.", show_default=False)] = None,
    config: Config = None,
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Set, or without FILE take away, the certificate that a user signs in with over OPC UA."""
    thumbprint = "" if file is None else _thumbprint(file)
    outcome = people.place(url, name, config).command("user.certificate", {"user": user, "certificate": thumbprint})
    people.told(outcome, f"{user}: certificate {thumbprint or 'none'}", as_json=as_json)


@app.command()
def disable(user: User, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Keep a user out, at once and everywhere."""
    people.told(people.place(url, name, config).command("user.disable", {"user": user}), f"{user} is disabled", as_json=as_json)


@app.command()
def enable(user: User, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Let a user in again."""
    people.told(people.place(url, name, config).command("user.enable", {"user": user}), f"{user} is enabled", as_json=as_json)


@app.command()
def remove(user: User, config: Config = None, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """Remove a user, whose records in the audit stay."""
    people.told(people.place(url, name, config).command("user.remove", {"user": user}), f"{user} is removed", as_json=as_json)


@app.command()
def unlock(user: User, url: Url = None, name: Name = None, as_json: AsJson = False) -> None:
    """End the delay after too many failed sign-ins at once; it ends by itself within 15 minutes."""
    people.told(people.place(url, name, None).command("user.unlock", {"user": user}), f"{user} may try again", as_json=as_json)


@app.command()
def link(
    user: Annotated[str, typer.Option("--user", help="Name for the audit.")] = "admin",
    role: Role = "admin",
    url: Url = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Make a link that signs in to the web page once, within ten minutes."""
    gateway = daemon.find(url, name)
    made = gateway.post("/session/links", {"user": user, "role": role})
    web = gateway.get("/status").get("urls", {}).get("web", gateway.url)
    if as_json:
        show.document({**made, "url": web + made["path"]})
    else:
        show.line(web + made["path"])


def _known(role: str) -> None:
    """Failure before anybody has typed a password twice for nothing."""
    from gateway.access.roles import ROLES

    if role not in ROLES:
        raise Failure(WRONG, f"{role!r} is no role: {', '.join(ROLES)}")


def _thumbprint(file: Path) -> str:
    """SHA-256 of the certificate's DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        content = file.read_bytes()
        found = x509.load_pem_x509_certificate(content) if content.startswith(b"-----") else x509.load_der_x509_certificate(content)
    except OSError as error:
        raise Failure(WRONG, f"{file}: {error.strerror}") from None
    except ValueError:
        raise Failure(WRONG, f"{file}: this is no X.509 certificate") from None
    return found.fingerprint(SHA256()).hex()


def _ways(row: dict[str, Any]) -> str:
    return ", ".join(way for way, there in (("password", row["password"]), ("certificate", row["certificate"])) if there)


def _state(row: dict[str, Any]) -> str:
    if row["disabled"]:
        return "disabled"
    return f"locked for {row['locked_s']:.0f} s" if row["locked_s"] else "enabled"
