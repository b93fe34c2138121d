"""Whether the tracker lets this user write, asked before a sweep begins: a sweep that nobody may track is no sweep.

A server is asked for what a driver does first, in a way that changes nothing: an experiment is created without a name,
or given a tag that it has. A server that is out of reach says nothing, and the recorder will try again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import AccessError
from sweeper.masking import without_passwords
from sweeper.tracking.denied import access_error

__all__ = ["check_may_write"]

_ANSWER_SECONDS = 5
_STUDY_TAG = "sweeper.study"
_MAY_WRITE = (
    "SELECT CASE WHEN to_regclass('runs') IS NULL THEN has_schema_privilege(current_schema(), 'CREATE') "
    "ELSE has_table_privilege(to_regclass('runs'), 'INSERT') END, current_user"
)


def check_may_write(uri: str, name: str) -> None:
    """See that the tracker accepts this user, and lets the user write to the experiment of a study.

    Args:
        uri: The tracking URI.
        name: Of the study, and its experiment.

    Raises:
        AccessError: It does not.
    """
    if uri.startswith(("http://", "https://")):
        _ask_server(uri, name)
    elif uri.startswith("postgresql"):
        _ask_database(uri)


def _ask_server(uri: str, name: str) -> None:
    from mlflow.exceptions import MlflowException  # seconds, and only for servers

    try:
        found = _request(uri, "GET", "experiments/get-by-name", experiment_name=name)
        if found is None:
            _request(uri, "POST", "experiments/create", name="")
        else:
            experiment = found["experiment"]
            tags = {tag["key"]: tag["value"] for tag in experiment.get("tags", ())}
            value = tags.get(_STUDY_TAG, name)
            experiment_id = experiment["experiment_id"]
            _request(
                uri, "POST", "experiments/set-experiment-tag", experiment_id=experiment_id, key=_STUDY_TAG, value=value
            )
    except (MlflowException, OSError, LookupError, ValueError) as error:  # out of reach, or no MLflow
        if denied := access_error(error, uri):
            raise denied from error


def _request(uri: str, method: str, route: str, **parameters: str) -> Any:
    """The answer to a request; None where the server knows what is asked for to be missing or wrong."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    path = f"/api/2.0/mlflow/{route}"
    arguments = {"params" if method == "GET" else "json": parameters}
    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    response = http_request(  # type: ignore[no-untyped-call]
        credentials, path, method, timeout=_ANSWER_SECONDS, max_retries=0, **arguments
    )
    if response.status_code in (400, 404):
        return None
    return verify_rest_response(response, path).json()


def _ask_database(uri: str) -> None:
    try:
        url = make_url(uri)
        arguments = {"connect_timeout": _ANSWER_SECONDS} if "psycopg" in url.get_dialect().driver else {}
        with create_engine(url, poolclass=NullPool, connect_args=arguments).connect() as connection:
            may_write, account = connection.execute(text(_MAY_WRITE)).one()
    except (SQLAlchemyError, ImportError, ValueError) as error:  # out of reach, or said where it is opened
        if denied := access_error(error, uri):
            raise denied from error
        return
    if not may_write:
        raise AccessError(
            f"MLflow's database {without_passwords(uri)} lets the account {account!r} only read; name one that may "
            "write in MLFLOW_TRACKING_URI"
        )
