"""Ray clusters whose nodes are processes of this machine, for tests."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def running_cluster(nodes: int, env_vars: dict[str, str] | None = None) -> Iterator[Any]:
    """Run a cluster of nodes with a CPU each; their processes get `env_vars`."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install .[ray]")
    if sys.platform != "linux":
        pytest.skip("nodes are simulated on Linux only")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "env_vars": env_vars}
    head = {**node, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes - 1):
            cluster.add_node(**node)
        yield cluster
    finally:
        cluster.shutdown()
