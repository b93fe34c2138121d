"""What is said where an MLflow server, or MLflow's database, denies access: what was refused, by whom, what to set.

Imports no MLflow: it takes seconds, and is there where one of its errors is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from sweeper.denials import denial_of
from sweeper.errors import AccessError
from sweeper.masking import without_passwords

__all__ = ["access_error"]

_STATUSES = {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 403, "PERMISSION_DENIED": 403}
"""HTTP status of MLflow's codes of errors that are denials."""
_SET = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)"
_ASKED = "/api/2.0/mlflow/experiments/search"
_ANSWER_SECONDS = 10.0
_MAX_WORDS = 200
"""Of an answer: a proxy may answer with a page."""


def access_error(error: BaseException, uri: str) -> AccessError | None:
    """The error to raise for one that says that access is denied; None where it says something else.

    Args:
        error: As MLflow, requests or SQLAlchemy raised it.
        uri: The tracking URI.
    """
    where = without_passwords(uri)
    if not uri.startswith(("http://", "https://")):
        denial = denial_of(error)
        if denial is None:
            return None
        return AccessError(
            f"MLflow's database {where} denies access: {without_passwords(denial)}; see to user and password in "
            "MLFLOW_TRACKING_URI, and to what this account may do"
        )
    for cause in _chain(error):
        status = _status_of(cause)
        if status == 401:
            return AccessError(f"the MLflow server {where} {_unauthenticated(uri)}")
        if status == 403:
            refused, words = _request_of(cause), without_passwords(_words_of(cause))
            return AccessError(
                f"the MLflow server {where} refuses {_account(uri)} the request {refused}: {words or 'forbidden'} (403)"
                f"; have the server's administrator grant it, or {_SET} to an account that may"
            )
        # MLflow 3.17 that keeps passwords in mind (`auth_cache_ttl_seconds`) stumbles over any token.
        if status is not None and status >= 500 and _uses_token() and _wants_password(uri):
            return AccessError(f"the MLflow server {where} {_unauthenticated(uri)}")
    return None


def _uses_token() -> bool:
    """Whether MLflow shows a token: it prefers a name with a password."""
    from mlflow.utils.credentials import read_mlflow_creds

    given = read_mlflow_creds()
    return bool(os.environ.get("MLFLOW_TRACKING_TOKEN")) and not (given.username and given.password)


def _wants_password(uri: str) -> bool:
    """Whether a server asks whoever shows nothing for a name and a password, and so knows no tokens."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    credentials.token = None
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            credentials, _ASKED, "GET", params={"max_results": 1}, timeout=_ANSWER_SECONDS, max_retries=0
        )
    except MlflowException:
        return False
    status: int = answer.status_code
    scheme: str = answer.headers.get("WWW-Authenticate", "")
    return status == 401 and scheme.lower().startswith("basic")


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__


def _status_of(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return status
    # The second is what urllib3 makes of an answer that it would ask for again.
    answered = re.search(r"failed with error code (\d{3})\b|too many (\d{3}) error responses", str(error))
    return int(answered[1] or answered[2]) if answered else _STATUSES.get(str(getattr(error, "error_code", "")))


def _unauthenticated(uri: str) -> str:
    from mlflow.utils.credentials import read_mlflow_creds

    given = read_mlflow_creds()
    if given.username and given.password:
        return f"does not accept the user name {given.username!r} with this password (401); {_SET} to what it accepts"
    if _uses_token():
        return f"does not accept the token of MLFLOW_TRACKING_TOKEN (401); {_SET} to what it accepts"
    if urlsplit(uri).password:
        return (
            f"does not accept user and password of its address (401); take them out of MLFLOW_TRACKING_URI and {_SET}"
        )
    lacks = {"MLFLOW_TRACKING_USERNAME": given.username, "MLFLOW_TRACKING_PASSWORD": given.password}
    missing = " and ".join(name for name, value in lacks.items() if not value)
    return f"asks for a user name and a password (401), and there is no {missing}; {_SET}"


def _account(uri: str) -> str:
    from mlflow.utils.credentials import read_mlflow_creds

    if _uses_token():
        return "the account of MLFLOW_TRACKING_TOKEN"
    user = read_mlflow_creds().username or urlsplit(uri).username
    return f"the account {user!r}" if user else "who gives no user name"


def _request_of(error: BaseException) -> str:
    """Such as `runs/create`."""
    request: Any = getattr(error, "request", None)
    found = re.search(r"endpoint (\S+)", str(error))
    path = found[1] if found else urlsplit(str(getattr(request, "url", "") or "")).path
    return "/".join(re.sub(r"^/?(?:ajax-)?api/[\d.]+/(?:mlflow/)?", "", path).split("/")[:2]) or path


def _words_of(error: BaseException) -> str:
    """What the server said of it, in one line."""
    text = str(error)
    for before in ("Response body: ", "Response text: ", "PERMISSION_DENIED: "):
        text = text.partition(before)[2] or text
    return " ".join(text.strip("'").split())[:_MAX_WORDS]
