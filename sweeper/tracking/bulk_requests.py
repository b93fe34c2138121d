"""Histories of a metric of many runs in one request to an MLflow server.

MLflow's client asks for one run and metric at a time: 20,000 requests for 1,000 runs of 20 metrics. The server has a
route for its own comparison of runs, `metrics/get-history-bulk`, which gives whole histories of up to 100 runs, and at
most 25,000 rows. (`metrics/get-history-bulk-interval`, which is public, gives a sample of each history, by several
queries a run.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

__all__ = ["MAX_RUNS", "Rows", "read_bulk"]

MAX_RUNS = 100
_MAX_ROWS = 25_000
_ROUTE = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"

Rows: TypeAlias = list[dict[str, Any]]
"""Each with key, value, timestamp, step and run_id."""


def read_bulk(uri: str, run_ids: Sequence[str], metric: str) -> Iterator[tuple[Sequence[str], Rows | None]]:
    """The histories of a metric of some runs, in pieces: runs and their rows.

    Rows are None where they must be asked for run by run: the history of one run alone is too long, or the server has
    no such route.

    Args:
        uri: The server's address.
        run_ids: At most `MAX_RUNS`.
        metric: Its name as MLflow has it.

    Raises:
        MlflowException: The server refused.
        RequestException: It cannot be reached.
    """
    parameters = {"run_id": list(run_ids), "metric_key": metric, "max_results": _MAX_ROWS}
    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    response = http_request(credentials, _ROUTE, "GET", params=parameters)  # type: ignore[no-untyped-call]
    if response.status_code in (404, 405):
        yield run_ids, None
        return
    rows: Rows = verify_rest_response(response, _ROUTE).json()["metrics"]
    if len(rows) < _MAX_ROWS:
        yield run_ids, rows
    elif len(run_ids) == 1:
        yield run_ids, None
    else:  # some were left out
        half = len(run_ids) // 2
        yield from read_bulk(uri, run_ids[:half], metric)
        yield from read_bulk(uri, run_ids[half:], metric)
