"""Ray and S3 together: shards in a bucket, photographs in a bucket, a network that fails."""

# ruff: noqa: ANN401 (Ray need not be there, so its objects are of no known type)

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import photographs
import pytest
from clusters import running_cluster
from conftest import SMALL_DATABASE
from stores import Network, Store, set_environment
from stores import server as server

import headpose_fast
from headpose_fast import _core, prepare
from headpose_fast.database import objects

#: Shards of 12 MB, so of two parts.
OPTIONS: dict[str, Any] = {
    "test_persons": [5],
    "allow_incomplete": True,
    "num_data_aug": 120,
    "num_data_aug_val": 2,
    "shards": 4,
}
SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))


@pytest.fixture(scope="module")
def the_network(server: int) -> Network:
    return Network(server)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder for temporary files that tasks have."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def cluster(
    the_network: Network, temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Give a cluster of two nodes, which reach the store through the network, as all tests do.

    The tests share a connection to it.
    """
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, tmp_path_factory.mktemp("aws"))
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{the_network.port}")
        objects._client.cache_clear()
        with running_cluster(2, env_vars={"TMPDIR": str(temporary)}) as cluster:
            import ray

            ray.init(cluster.address, log_to_driver=False)
            try:
                yield cluster
            finally:
                ray.shutdown()
                objects._client.cache_clear()


@pytest.fixture
def store(cluster: Any, server: int) -> Store:  # noqa: ARG001 (it has the credentials)
    return Store(server)


@pytest.fixture
def network(the_network: Network) -> Iterator[Network]:
    """Give the network for a test that makes it fail."""
    the_network.cuts = 0
    yield the_network
    the_network.cut_at, the_network.outage, the_network.pause = None, 0, 0
    the_network.cut_every = None


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the shards and index that one process makes in a folder."""
    folder = tmp_path_factory.mktemp("expected")
    prepare(SMALL_DATABASE, folder / "of.json", **OPTIONS)
    return {f"data/{path.name}": path.read_bytes() for path in folder.iterdir()}


def make(store: Store, **options: Any) -> headpose_fast.Prepared:
    address = f"s3://{store.bucket}/data/of.json"
    return prepare(SMALL_DATABASE, address, ray=True, **{**OPTIONS, **options})


def require_nothing_left(store: Store, temporary: Path) -> None:
    assert store.unfinished() == []
    assert list(temporary.glob("headpose-fast-*")) == []


def test_a_bucket_gets_what_a_folder_gets_and_nothing_is_made_again(
    store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    store.keep_versions()
    prepared = make(store)
    assert prepared.address == f"s3://{store.bucket}/data/of.json"
    assert (prepared.shards_found, prepared.size) == (0, sum(map(len, expected.values())))
    assert store.contents() == expected
    before = store.versions()
    assert make(store).shards_found == 4
    after = store.versions()
    assert {key for key in expected if before[key] == after[key]} >= {*expected} - {"data/of.json"}
    require_nothing_left(store, temporary)


def test_a_network_that_fails_now_and_then(
    network: Network, store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    network.cut_at, network.outage = network.sent + (18 << 20), 1
    make(store)
    assert network.cuts > 0
    assert store.contents() == expected
    require_nothing_left(store, temporary)


def test_photographs_in_a_bucket_through_a_network_that_fails(
    network: Network, store: Store, tmp_path: Path
) -> None:
    local = photographs.write_table(tmp_path / "local.csv", 40, 12, photographs.SIZES[:4])
    header, *lines = local.read_text().splitlines()
    for line in lines:
        name = line.partition(",")[0]
        body = (tmp_path / name).read_bytes()
        store.client.put_object(Bucket=store.bucket, Key=f"faces/{name}", Body=body)
    away = tmp_path / "away.csv"
    away.write_text("\n".join([header, *(f"s3://{store.bucket}/faces/{line}" for line in lines)]))
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    options: dict[str, Any] = {"num_data_aug": 2, "num_data_aug_val": 1, "shards": 3}
    prepare(local, tmp_path / "here", **options)
    # Tasks fetch more of them than that.
    network.cut_every = 10
    prepare(away, tmp_path / "there", ray=True, **options)
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("here", "there")
    )
    assert there == here
    assert network.cuts > 0


def test_ctrl_c_aborts_uploads_and_leaves_finished_shards(
    cluster: Any, network: Network, store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    network.pause = 0.01
    begin = network.sent
    job = [*SMALL, "--num-data-aug", "120", "--num-data-aug-val", "2", "--shards", "4", "--quiet"]
    job += ["--output", f"s3://{store.bucket}/data/of.json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "headpose_fast", *job, "--ray", cluster.address],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    # Two at most are complete then.
    while network.sent < begin + (26 << 20) or not store.unfinished():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "headpose-fast: stopped by SIGINT\n")
    require_nothing_left(store, temporary)
    left = store.contents()
    assert 1 <= len(left) < 4
    assert left.items() <= expected.items()
    network.pause = 0
    assert make(store).shards_found == len(left)
    assert store.contents() == expected


#: What a node's Pythons do first, and what is said of it.
OTHERS = {
    "other version": (
        "import headpose_fast._core; headpose_fast._core.__version__ = '0.0.7'",
        r"a node .* has headpose-fast 0\.0\.7, the others VERSION: all need the same",
    ),
    "other modules": (
        "import sys, types; sys.modules['headpose_fast'] = types.ModuleType('headpose_fast')",
        r"a node .* cannot read its task: .*No module named 'headpose_fast.*: all need "
        "headpose-fast VERSION",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_node_with_another_version(
    other: str, cluster: Any, store: Store, tmp_path: Path
) -> None:
    first, expected = OTHERS[other]
    (tmp_path / "sitecustomize.py").write_text(first)
    package = Path(headpose_fast.__file__).parent.parent
    node = cluster.add_node(num_cpus=2, env_vars={"PYTHONPATH": f"{tmp_path}:{package}"})
    try:
        # It is the only node with two CPUs.
        with pytest.raises(ValueError, match=expected.replace("VERSION", _core.__version__)) as e:
            make(store, workers=2)
    finally:
        cluster.remove_node(node)
    assert type(e.value) is ValueError
    assert "\n" not in str(e.value)
    assert store.keys() == []
