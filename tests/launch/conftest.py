"""Decoded data, shared by all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.data.conftest import make_folder
from tests.tracking.templates import shared_folder

if TYPE_CHECKING:
    from tests.ray_cluster import Cluster

__all__ = ["RayNode", "cache_dir", "make_folder", "ray_node"]


class RayNode(NamedTuple):
    """A Ray cluster and the one node of it that takes workers."""

    cluster: Cluster
    node: Any


@pytest.fixture(scope="package")
def ray_node() -> Iterator[RayNode]:
    """A Ray cluster with two CPUs for workers, started by the first test that wants it."""
    from tests.ray_cluster import ray_cluster

    with ray_cluster() as cluster:
        yield RayNode(cluster, cluster.add_node(n_cpus=2))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where decoded data sets go."""
    folder = shared_folder(tmp_path_factory) / "cache"
    folder.mkdir(exist_ok=True)
    return folder
