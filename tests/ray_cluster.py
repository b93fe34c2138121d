"""A real Ray cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.tracking.mlflow_server import free_port

LOOPBACK = "127.0.0.1"
SETTINGS = {
    # Else Ray replaces 127.0.0.1 by an address of the machine's network.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # On a machine that tests keep busy, a node that is slow is not a node that is lost: it has 30 s for each of 8
    # answers. One that is gone refuses the connection, and is known to be lost after 8 s.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "30000",
    "RAY_health_check_failure_threshold": "8",
    "RAY_gcs_rpc_server_connect_timeout_s": "60",
    "RAY_gcs_server_request_timeout_seconds": "240",
    "RAY_py_gcs_connect_timeout_s": "240",
    "RAY_worker_register_timeout_seconds": "240",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_memory_usage_threshold": "1.0",
    "RAY_worker_niceness": "0",  # else 15, with which a worker hardly begins where other tests run
}
# Ray reads some of them when it is imported, here and in the processes that tests start.
os.environ.update(SETTINGS)
ray = pytest.importorskip("ray")

OBJECT_STORE_BYTES = 80 << 20


class Cluster:
    """Nodes that are processes of this machine; all their traffic is on 127.0.0.1.

    Args:
        takes_jobs: The head has the server for `ray job`, which needs `ray[default]`.
    """

    def __init__(self, *, takes_jobs: bool = False) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        self._cluster: Any = RayCluster()
        server: dict[str, Any] = {"dashboard_host": LOOPBACK, "dashboard_port": free_port()} if takes_jobs else {}
        # Else the agents of two heads on this machine want one port.
        self.head = self.add_node(include_dashboard=takes_jobs, dashboard_agent_listen_port=0, **server)
        # Checked before anything connects: no test talks to an address beyond this machine.
        address = ray._private.services.canonicalize_bootstrap_address(self.address)
        assert address.startswith(f"{LOOPBACK}:"), address

    @property
    def address(self) -> str:
        """For `--address`."""
        return str(self._cluster.address)

    @property
    def job_address(self) -> str:
        """For `ray job submit --address`."""
        return f"http://{self.head.webui_url}"

    def add_node(self, *, n_cpus: int = 0, **arguments: Any) -> Any:
        """Add a node; returns when the cluster has it."""
        return self._cluster.add_node(
            num_cpus=n_cpus, object_store_memory=OBJECT_STORE_BYTES, node_ip_address=LOOPBACK, **arguments
        )

    def kill_node(self, node: Any) -> None:
        """SIGKILL what makes up a node, as if its machine were gone: what is above goes first, and reports nothing."""
        for process in _processes_of(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


@contextmanager
def ray_cluster(*, takes_jobs: bool = False) -> Iterator[Cluster]:
    """A cluster whose head has no CPUs for workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        cluster = Cluster(takes_jobs=takes_jobs)
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.close()


def workers_on(node: Any) -> list[psutil.Process]:
    """The worker processes on a node."""
    return [process for process in _processes_of(node) if "sweeper.launch.worker" in _command(process)]


def _processes_of(node: Any) -> list[psutil.Process]:
    """Its raylet, the actors' processes below it, and what these have started, from top to bottom."""
    (raylet,) = node.all_processes[ray._private.ray_constants.PROCESS_TYPE_RAYLET]
    try:
        process = psutil.Process(raylet.process.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
