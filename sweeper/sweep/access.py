"""Who may reach MLflow's UI: this machine alone, or others with a password."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeper.errors import InputError

__all__ = ["LOOPBACK", "PASSWORD_VARIABLE", "USER", "Access", "plan_access", "sign_in_environment"]

LOOPBACK = "127.0.0.1"
USER = "admin"
"""The one user that MLflow's UI knows when other machines may reach it."""
PASSWORD_VARIABLE = "SWEEPER_UI_PASSWORD"  # noqa: S105  # a name
MIN_PASSWORD = 12
"""Characters: what MLflow asks of the passwords it stores."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where a server listens, and to whom it answers."""

    host: str = LOOPBACK
    """Address that it listens on."""
    names: tuple[str, ...] = (LOOPBACK, "localhost")
    """Names and addresses, without port, under which it may be asked for; requests for others are refused."""
    password: str | None = field(default=None, repr=False)
    """What it asks for; None where only this machine reaches it."""

    @property
    def address(self) -> str:
        """An address of this machine that reaches it."""
        return LOOPBACK if self.host in ("0.0.0.0", LOOPBACK) else self.host  # noqa: S104  # compared, not bound


def plan_access(host: str, more_names: Sequence[str], environment: Mapping[str, str] = os.environ) -> Access:
    """What `sweeper ui --host HOST --allow-name NAME` asks for.

    Args:
        host: IPv4 address to listen on; `0.0.0.0` is every one of this machine.
        more_names: Further names under which browsers ask for it.
        environment: Holds the password where one is needed.

    Raises:
        InputError: Not an address, or one that other machines reach without a password in the environment.
    """
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise InputError(f"--host: given {host!r}; allowed: an IPv4 address, such as {LOOPBACK} or 0.0.0.0") from None
    own = () if address.is_unspecified else (host,)
    names = tuple(dict.fromkeys((LOOPBACK, "localhost", *own, *more_names)))
    if address.is_loopback:
        return Access(host=host, names=names)
    password = environment.get(PASSWORD_VARIABLE, "")
    if len(password) < MIN_PASSWORD:
        given = "is not set" if not password else f"has {len(password)} characters"
        raise InputError(
            f"--host {host}: other machines could reach it, and {PASSWORD_VARIABLE} {given}; set it to a password of "
            f"{MIN_PASSWORD} characters or more, with which the user {USER!r} then signs in"
        )
    if importlib.util.find_spec("flask_wtf") is None:
        raise InputError(f"--host {host}: signing in needs a package that is missing; pip install 'sweeper[auth]'")
    return Access(host=host, names=tuple(dict.fromkeys((*names, socket.gethostname()))), password=password)


def sign_in_environment(access: Access, folder: Path) -> dict[str, str]:
    """What MLflow's server needs to ask for the password. Its one user is made anew at each start, in `folder`."""
    assert access.password is not None
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {USER}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": access.password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }
