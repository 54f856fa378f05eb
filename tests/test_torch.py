"""The dataset in PyTorch's DataLoader: the same samples, whoever makes them."""

# ruff: noqa: ANN401 (loaders have no common type)

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, SMALL_DATABASE

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install .[torch]")

from torch.utils.data import DataLoader  # noqa: E402 (if it is there)

from headpose_fast.training import (  # noqa: E402
    EpochSampler,
    Form,
    HeadPose,
    Recipe,
    Samples,
    batches,
    collate,
)

RICH = Recipe(crop="loose", size=(20, 24), mirror=0.5, grey=0.3, gain=(0.7, 1.3))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pixels in a folder of the test's own."""
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "cache"))


def dataset(**options: Any) -> HeadPose:
    return HeadPose(SMALL_DATABASE, recipe=RICH, target="degrees", **options)


def add(found: Any, loader: Any) -> None:
    """Hash an epoch, sample by sample."""
    for images, targets in loader:
        for image, target in zip(images, targets, strict=True):
            found.update(np.ascontiguousarray(image).tobytes())
            found.update(np.ascontiguousarray(target).tobytes())


def two_epochs(loader: Any) -> str:
    found = hashlib.sha256()
    for _ in range(2):
        add(found, loader)
    return found.hexdigest()


def loader(data: HeadPose, **options: Any) -> Any:
    return DataLoader(data, batch_size=3, sampler=EpochSampler(data), **options)


@pytest.fixture
def expected() -> str:
    return two_epochs(batches(Samples(SMALL_DATABASE, recipe=RICH, target="degrees"), 3))


def test_workers_change_nothing(expected: str) -> None:
    for store, workers in itertools.product((True, False), (0, 1, 4, 8)):
        assert two_epochs(loader(dataset(store=store), num_workers=workers)) == expected
    assert two_epochs(loader(dataset(), collate_fn=collate)) == expected
    assert two_epochs(loader(dataset(), collate_fn=collate, num_workers=2)) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="only spawn is there")
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_neither_do_ways_to_start_them(start: str, expected: str) -> None:
    for persistent in (False, True):
        options = {"multiprocessing_context": start, "persistent_workers": persistent}
        assert two_epochs(loader(dataset(), num_workers=2, **options)) == expected


def test_ranks_put_together_are_the_epoch(expected: str) -> None:
    data = dataset()
    for replicas in (1, 2, 4):
        samplers = [EpochSampler(data, num_replicas=replicas, rank=r) for r in range(replicas)]
        found = hashlib.sha256()
        for _ in range(2):
            ranks: list[Any] = [DataLoader(data, batch_size=1, sampler=s) for s in samplers]
            for samples in itertools.zip_longest(*ranks):
                add(found, (sample for sample in samples if sample is not None))
        assert found.hexdigest() == expected


def test_a_loop_goes_on_where_it_was_stopped() -> None:
    data = dataset()
    whole = list(itertools.chain.from_iterable([list(run) for run in [loader(data)] * 2]))
    for stop in range(3):
        sampler = EpochSampler(data)
        run: Any = DataLoader(data, batch_size=3, sampler=sampler, num_workers=2)
        taken = list(itertools.islice(run, stop))
        state = sampler.state_dict(taken=sum(len(images) for images, _ in taken))
        again = EpochSampler(data)
        again.load_state_dict(state)
        rest: Any = DataLoader(data, batch_size=3, sampler=again)
        while len(taken) < len(whole):
            taken += list(rest)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(taken, whole, strict=True))


def test_transforms() -> None:
    data = dataset(transform=lambda image: image.float().mean(), target_transform=lambda t: t[1])
    plain = dataset()
    assert data[5][0] == plain[5][0].float().mean()
    images, pans = next(iter(loader(data, collate_fn=collate)))
    assert images.shape == pans.shape == (3,)
    image, target = plain[5]
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 24, 20))
    assert target.dtype == torch.float32
    floats = dataset(form=Form("float32"))[5][0]
    assert floats.dtype == torch.float32


def test_it_is_sent_without_bytes() -> None:
    sent = pickle.dumps(dataset())
    assert len(sent) < 4096
    assert torch.equal(pickle.loads(sent)[7][0], dataset()[7][0])


def test_what_the_documentation_shows_can_be_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (shown,) = re.findall(
        r"^<!-- not run: [^\n]*PyTorch.*?^```python\n(.*?)^```$", page, re.M | re.S
    )
    shutil.copy(SMALL_DATABASE, tmp_path / "HeadPoseImageDatabase.tar.gz")
    command = [sys.executable, "-c", shown]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 < float(done.stdout) < 180, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes as Linux does")
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_leave_nothing_behind(start: str) -> None:
    cycles = int(os.environ.get("HEADPOSE_FAST_CYCLES", 20 if start == "fork" else 4))
    source = (
        "import gc, os, sys, threading, time\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from test_torch import dataset, loader\n"
        "def left():\n"
        "    pid = str(os.getpid())\n"
        "    children = open(f'/proc/{pid}/task/{pid}/children').read().split()\n"
        "    return len(children), threading.active_count()\n"
        "if __name__ == '__main__':\n"
        "    first = None\n"
        "    for _ in range(int(sys.argv[2])):\n"
        "        options = {'num_workers': 2, 'multiprocessing_context': sys.argv[1]}\n"
        "        run = iter(loader(dataset(), **options))\n"
        "        next(run)\n"
        "        del run\n"
        "        gc.collect()\n"
        # A thread that feeds a queue of multiprocessing is told to end, and not waited for.
        "        latest = time.monotonic() + 20\n"
        "        while threading.active_count() > 1 and time.monotonic() < latest:\n"
        "            time.sleep(0.01)\n"
        "        first = first or left()\n"
        "        assert left() == first, (left(), first)\n"
        "        assert threading.active_count() == 1, threading.enumerate()\n"
        "    print('well')\n"
    )
    script = Path(os.environ["HEADPOSE_FAST_CACHE"]).with_name("cycles.py")
    script.write_text(source)
    command = [sys.executable, str(script), start, str(cycles), str(ROOT / "tests")]
    limit = 300 + 20 * cycles
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    assert done.stdout == "well\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_take_little_memory_of_their_own(start: str, tmp_path: Path) -> None:
    """Beyond that of a dataset that makes batches of the same size out of nothing."""
    source = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np
import torch
from torch.utils.data import DataLoader
from headpose_fast.training import EpochSampler, HeadPose, Recipe
from test_torch import SMALL_DATABASE

RECIPE = Recipe(size=(224, 224), mirror=0.5)


def private():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))


class Empty(torch.utils.data.Dataset):
    def __getitems__(self, keys):
        made = torch.as_tensor(np.zeros((len(keys), 3, 224, 224), np.uint8))
        return [private() + 0 * len(list(zip(made, made)))] * len(keys)


class Measured(HeadPose):
    def __getitems__(self, keys):
        made = super().__getitems__(keys)
        return [private() + 0 * len(made)] * len(keys)


def same(found):
    return found


if __name__ == "__main__":
    measured = Measured(SMALL_DATABASE, recipe=RECIPE)
    options = {"num_workers": 1, "multiprocessing_context": sys.argv[1], "collate_fn": same}
    most = {}
    for name, dataset in [("empty", Empty()), ("measured", measured)] * 2:
        sampler = EpochSampler(64 * len(measured))
        loader = DataLoader(dataset, 32, sampler=sampler, **options)
        most[name] = max(max(batch) for batch in loader)
    print(most["measured"] - most["empty"])
"""
    script = tmp_path / "memory.py"
    script.write_text(source)
    command = [sys.executable, str(script), start, str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert int(done.stdout) < 5 * 1024, done.stderr
