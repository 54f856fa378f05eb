"""Samples for training: by key alone, equal to a bundle's, from pixels or photographs."""

# ruff: noqa: ANN401 (loaders have no common type)

from __future__ import annotations

import hashlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_DATABASE
from numpy.typing import NDArray
from PIL import Image

from headpose_fast import Database, DatabaseError, load, open_database, plan_crops, prepare, render
from headpose_fast.exports.table import write_table
from headpose_fast.sources.finding import download_path
from headpose_fast.training import (
    DEEPLENS,
    FACE,
    FORMS,
    HOPENET,
    POSES,
    PROTOCOLS,
    Draws,
    EpochSampler,
    Form,
    PixelStore,
    Recipe,
    Samples,
    batches,
    decode,
    draw,
    draws_of_plan,
    encode,
    folds,
    protocols,
    render_batch,
    score,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep pixels in a folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(folder))
    return folder


@pytest.fixture
def database() -> Database:
    return open_database(SMALL_DATABASE)


def samples(**options: Any) -> Samples:
    return Samples(SMALL_DATABASE, **options)


def equal(ours: Draws, theirs: Draws) -> bool:
    pairs: Any = zip(ours, theirs, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def one_of(draws: Draws, i: int) -> Draws:
    columns: Any = [column[i : i + 1] for column in draws[:5]]
    return Draws._make([*columns, draws.size])


RICH = Recipe(
    crop="loose", size=(20, 24), mirror=0.5, grey=0.3, gain=(0.7, 1.3), offset=(-0.1, 0.1)
)


@pytest.mark.parametrize("recipe", [DEEPLENS, FACE, HOPENET, RICH, Recipe(size=(96, 54))])
def test_a_key_decides_alone(database: Database, recipe: Recipe) -> None:
    keys = np.array([3, 0, 2**64 - 1, 80, 17, 3], np.uint64)
    together = draw(database, keys, seed=5, recipe=recipe)
    for i, key in enumerate(keys):
        alone = draw(database, [key], seed=5, recipe=recipe)
        assert equal(alone, one_of(together, i))
    if recipe != FACE:
        assert not equal(together, draw(database, keys, seed=6, recipe=recipe))


def test_bad_draws_are_errors(database: Database) -> None:
    with pytest.raises(ValueError, match="seed"):
        draw(database, [1], seed=-1)
    with pytest.raises(ValueError, match="negative"):
        draw(database, [-1])
    with pytest.raises(TypeError, match="whole numbers"):
        draw(database, [0.5])
    with pytest.raises(ValueError, match="no photographs"):
        draw([], [0])
    with pytest.raises(TypeError, match="whole numbers of 64 bits"):
        draw(database, [2**64])
    for wrong in ({"crop": "tight"}, {"size": (80, 84)}, {"gain": (2, 1)}):
        with pytest.raises(ValueError):
            Recipe(**wrong)
    for mirror, grey in ((1.5, 0), (-0.5, 0), (0, float("nan"))):
        with pytest.raises(ValueError, match="probabilities"):
            Recipe(mirror=mirror, grey=grey)
    with pytest.raises(ValueError, match="finite"):
        Recipe(offset=(0, float("nan")))


def test_an_epoch_of_a_plan_is_a_bundles_pass(database: Database, tmp_path: Path) -> None:
    prepared = prepare(
        SMALL_DATABASE,
        tmp_path / "bundle.pkl",
        num_data_aug=3,
        num_data_aug_val=2,
        test_persons=[5],
        allow_incomplete=True,
        seed=9,
        pickle="py3",
    )
    bundle = load(prepared.path)
    crops = plan_crops(
        *database.split({5}), num_data_aug=3, num_data_aug_val=2, aspect_ratio=1, seed=9
    )
    form = Form("float32", "bgr")
    for split, plan, images, labels in (
        ("train", crops.train, bundle.trn_im, bundle.trn_output),
        ("test", crops.test, bundle.test_im, bundle.test_output),
    ):
        for store in (True, False):
            found = samples(split=split, plan=plan, form=form, store=store)
            got, targets = found.arrays(range(len(images)))
            assert got.tobytes() == images.tobytes()
            assert targets.tobytes() == labels.tobytes()
            with pytest.raises(IndexError, match="epochs"):
                found.arrays([len(images)])


def test_a_store_has_the_pixels_that_pillow_decodes(database: Database, cache: Path) -> None:
    store = PixelStore.open(database)
    assert len(store) == len(database)
    for photograph, pixels in zip(database, store, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(photograph.jpeg))))
        assert not pixels.flags.writeable
    assert store.columns.tilts.tolist() == [photograph.tilt for photograph in database]
    written = store.path.stat().st_mtime_ns
    assert PixelStore.open(database).path.stat().st_mtime_ns == written
    again = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 1000
    assert np.array_equal(again[3], store[3])
    assert [path.name for path in cache.iterdir()] == [store.path.name]


def test_a_store_may_be_deleted_or_damaged(database: Database) -> None:
    path = PixelStore.open(database).path
    content = path.read_bytes()
    expected = samples().arrays(range(8))[0]
    sent = pickle.dumps(samples())
    for damaged in (None, b"", content[:-1], content[:1000], b"x" * len(content)):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        assert np.array_equal(pickle.loads(sent).arrays(range(8))[0], expected)
        assert path.read_bytes() == content
    assert PixelStore.open(database).damaged() == []
    path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    assert PixelStore.open(database).damaged() == [len(database) - 1]


def test_a_file_of_ones_own_is_not_replaced(database: Database, tmp_path: Path) -> None:
    own = tmp_path / "pixels"
    assert len(PixelStore.open(database, own)) == len(database)
    own.write_bytes(b"something else")
    with pytest.raises(ValueError, match="not the pixels"):
        PixelStore.open(database, own)
    assert own.read_bytes() == b"something else"


def test_photographs_and_pixels_render_the_same(database: Database) -> None:
    store = PixelStore.open(database)
    keys = np.arange(40)
    draws = draw(database, keys, recipe=RICH)
    indices = keys % len(database)
    jpegs = [photograph.jpeg for photograph in database]
    expected = render_batch(store, indices, draws)
    assert expected.shape == (40, 3, 24, 20)
    sources: list[Any] = [store, database, jpegs]
    for source, workers in itertools.product(sources, (1, 2, None)):
        assert np.array_equal(render_batch(source, indices, draws, workers=workers), expected)


def test_floats_of_draws_that_change_nothing_are_those_of_render(database: Database) -> None:
    crops = plan_crops(database, num_data_aug=2, seed=4).train
    expected = render([photograph.jpeg for photograph in database], crops).reshape(-1, 3, 84, 84)
    keys = np.arange(len(expected))
    draws, indices = draws_of_plan(crops, keys), keys % len(database)
    out = np.full(expected.shape, np.nan, np.float32)
    returned = render_batch(database, indices, draws, out, dtype="float32", channels="bgr")
    assert returned is out
    assert out.tobytes() == expected.tobytes()
    rgb = expected[:, ::-1]
    rounded = np.rint(np.float32(255) * rgb).astype(np.uint8)
    assert np.array_equal(render_batch(database, indices, draws), rounded)
    hwc = render_batch(database, indices, draws, layout="hwc")
    assert np.array_equal(hwc, rounded.transpose(0, 2, 3, 1))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    columns = [np.array(v, np.float32)[:, np.newaxis, np.newaxis] for v in (mean, std)]
    found = render_batch(database, indices, draws, dtype="float32", mean=mean, std=std)
    assert np.array_equal(found, (rgb - columns[0]) / columns[1])


def test_the_order_of_crops_in_memory_makes_no_difference(database: Database) -> None:
    draws = draw(database, range(8))
    turned = draws._replace(crops=np.asfortranarray(draws.crops))
    assert not turned.crops.flags.c_contiguous
    expected = render_batch(database, range(8), draws)
    assert np.array_equal(render_batch(database, range(8), turned), expected)


def test_bad_batches_are_errors(database: Database) -> None:
    draws = draw(database, range(3))
    for indices in ([0, 1, 8], [-1, 0, 1]):
        with pytest.raises(IndexError):
            render_batch(database, indices, draws)
    wrong: Any
    for wrong in ([0.9, 1, 2], [True, False, True], ["0", "1", "2"], [[0], [1], [2]], 0):
        with pytest.raises(TypeError, match="indices must be"):
            render_batch(database, wrong, draws)
    with pytest.raises(ValueError, match="at least 1 x 1"):
        render_batch(database, [0, 1, 2], draws._replace(size=(0, 84)))
    with pytest.raises(ValueError, match="shape"):
        render_batch(database, [0, 1, 2], draws, np.empty((3, 84, 84, 3), np.uint8))
    with pytest.raises(TypeError, match="uint8"):
        render_batch(database, [0, 1, 2], draws, np.empty((3, 3, 84, 84), np.float32))
    with pytest.raises(ValueError, match="belong together"):
        render_batch(database, [0, 1], draws)
    with pytest.raises(ValueError, match="mean and std"):
        render_batch(database, [0, 1, 2], draws, dtype="float32", mean=(0, 0, 0))
    with pytest.raises(ValueError, match="layout"):
        render_batch(database, [0, 1, 2], draws, layout="nchw")  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match="photograph 1: "):
        render_batch([database[0].jpeg, b"\xff\xd8", database[2].jpeg], [0, 1, 2], draws)
    draws.crops[1, 2] = 1000
    with pytest.raises(DatabaseError, match="is not inside the picture"):
        render_batch(database, [0, 1, 2], draws)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_all_poses_back(form: Any, mirrored: bool) -> None:
    tilt, pan = POSES.T
    label = encode(tilt, pan, form, mirrored=mirrored)
    assert len(label) == 93
    found = decode(label, form, mirrored=mirrored)
    if form == "grid":
        assert np.array_equal(encode(*found, form, mirrored=mirrored), label)
    else:
        assert np.allclose(found, (tilt, pan), atol=1e-4)
    one = encode(int(tilt[7]), int(pan[7]), form, mirrored=mirrored)
    assert np.array_equal(one, label[7])


def test_labels_are_what_they_are_called() -> None:
    tilt, pan = POSES.T.astype(np.float64)
    assert encode(30, -45, "degrees").tolist() == [30, -45]
    assert encode(30, -45, "units").tolist() == [np.float32(30) / 90, -0.5]
    assert encode(-90, 90, "unit_interval").tolist() == [0, 1]
    assert encode(tilt, pan, "class").tolist() == list(range(93))
    assert encode(-90, 90, "tilt_pan_classes").tolist() == [0, 12]
    # As Hopenet's loaders have it.
    bins = np.digitize([tilt, pan], np.arange(-99, 102, 3)) - 1
    assert np.array_equal(encode(tilt, pan, "hopenet_bins"), bins.T)
    for mirrored in (False, True):
        yaw = -pan if mirrored else pan
        matrices = encode(tilt, pan, "rotation", mirrored=mirrored)
        for matrix, x, y in zip(matrices, np.radians(tilt), np.radians(yaw), strict=True):
            about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
            about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
            assert np.allclose(matrix, np.array(about_y) @ about_x, atol=1e-6)


def test_the_grid_is_the_aws_jobs() -> None:
    """Its rule: an angle's place among two thresholds, sorted."""
    thresholds = [np.arcsin(a * 2 / 3 - 1) / np.pi * 2 for a in (1, 2)]

    def third(angle: float) -> int:
        return sorted([*thresholds, angle]).index(angle)

    for tilt, pan in POSES.tolist():
        assert encode(tilt, pan, "grid") == third(tilt / 90) + 3 * third(pan / 90)


def test_folds_divide_the_database(database: Database) -> None:
    counts = {"deeplens": 1, "known": 2, "unknown": 2, "random5": 5}
    for protocol in PROTOCOLS:
        found = folds(database, protocol)
        assert len(found) == counts[protocol]
        for fold in found:
            both = np.concatenate([fold.train, fold.test])
            assert sorted(both.tolist()) == list(range(len(database)))
        if protocol != "deeplens":
            tested = np.concatenate([fold.test for fold in found])
            assert sorted(tested.tolist()) == list(range(len(database)))
    for fold in folds(database, "unknown"):
        sides = [{database[i].person for i in side} for side in (fold.train, fold.test)]
        assert not sides[0] & sides[1]
        assert fold.name == f"unknown:{sides[1].pop()}"
    same, other = folds(database, "random5", seed=1), folds(database, "random5", seed=2)
    assert [f.test.tolist() for f in same] != [f.test.tolist() for f in other]
    with pytest.raises(ValueError, match="protocol"):
        folds(database, "leave-one-out")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fold of unknown must be one of 1, 5, not 2"):
        samples(protocol="unknown", fold=2)
    assert len(samples(protocol="unknown", fold=5, split="test")) == 4


def test_scores() -> None:
    true = [(0, 0), (30, 45), (-90, 0), (60, -15)]
    predicted = [(0, 0), (37, 38), (-80, 60), (60, -15)]
    found = score(predicted, true, [1, 1, 2, 2])
    assert (found.tilt_error, found.pan_error) == (17 / 4, 67 / 4)
    assert found.error == 42 / 4
    assert (found.tilt_accuracy, found.pan_accuracy, found.pose_accuracy) == (1, 0.75, 0.75)
    assert found.by_person[1].error == 14 / 4
    assert found.by_person[2].pose_accuracy == 0.5
    for wrong in ([], [(0, float("nan"))], [(1, 2, 3)]):
        with pytest.raises(ValueError):
            score(wrong, wrong)


def test_ranks_divide_each_epoch() -> None:
    for replicas, drop_last in itertools.product((1, 2, 3, 4), (False, True)):
        ranks = [
            EpochSampler(10, seed=3, num_replicas=replicas, rank=rank, drop_last=drop_last)
            for rank in range(replicas)
        ]
        for epoch in range(3):
            keys = [list(rank) for rank in ranks]
            assert [len(k) for k in keys] == [len(rank) for rank in ranks]
            assert not drop_last or len({len(k) for k in keys}) == 1
            together = sorted(itertools.chain(*keys))
            if drop_last:
                assert len(set(together)) == 10 // replicas * replicas
            else:
                assert together == list(range(10 * epoch, 10 * epoch + 10))
    orders = [EpochSampler(10, seed=seed).keys(epoch) % 10 for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert list(EpochSampler(4, shuffle=False)) == [0, 1, 2, 3]


def two_epochs(loader: Any) -> str:
    """Hash two epochs."""
    found = hashlib.sha256()
    for _ in range(2):
        for images, targets in loader:
            found.update(np.ascontiguousarray(images).tobytes())
            found.update(np.ascontiguousarray(targets).tobytes())
    return found.hexdigest()


def test_batches_depend_on_neither_workers_nor_store() -> None:
    hashes = {
        two_epochs(batches(samples(recipe=RICH, store=store), 3, workers=workers, prefetch=ahead))
        for store in (True, False)
        for workers, ahead in ((1, 0), (2, 2), (8, 5))
    }
    assert len(hashes) == 1


def test_a_loop_goes_on_where_it_was_stopped() -> None:
    data = samples(recipe=RICH)
    loader = batches(data, 3, sampler=EpochSampler(data, seed=data.seed))
    whole = [images for _ in range(3) for images, _ in loader]
    for stop in range(len(whole)):
        first = batches(data, 3)
        steps = (images for _ in range(3) for images, _ in first)
        taken = list(itertools.islice(steps, stop))
        state = first.state_dict() if taken else {"epoch": 0, "position": 0}
        steps.close()
        rest = batches(data, 3)
        rest.load_state_dict(state)
        while len(taken) < len(whole):
            taken += [images for images, _ in rest]
        assert all(np.array_equal(a, b) for a, b in zip(taken, whole, strict=True)), stop


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 0), (2, 2), (4, 9)])
def test_a_loop_that_was_left_goes_on_in_the_same_object(
    workers: int, prefetch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = samples(recipe=RICH)
    unbroken = batches(data, 1)
    whole = [batch for _ in range(2) for batch in unbroken]

    def check(found: list[Any]) -> None:
        assert len(found) == len(whole)
        for one, other in zip(found, whole, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    arrays = Samples.arrays
    for stop in range(1, len(whole) // 2 + 1):
        loader = batches(data, 1, workers=workers, prefetch=prefetch)
        found = []
        for batch in loader:
            found.append(batch)
            if len(found) == stop:
                break
        # Nor does an error lose anything.
        with monkeypatch.context() as patch:
            patch.setattr(Samples, "arrays", _broken)
            with pytest.raises(DatabaseError):
                list(loader)
        assert Samples.arrays is arrays
        while len(found) < len(whole):
            found += loader
        check(found)
    # Where the sampler was put meanwhile counts.
    sampler = EpochSampler(data, seed=data.seed)
    loader = batches(data, 1, sampler=sampler, workers=workers, prefetch=prefetch)
    next(iter(loader))
    sampler.load_state_dict({"epoch": 0, "position": 0})
    check([batch for _ in range(2) for batch in loader])
    loader.load_state_dict({"epoch": 0, "position": 0})
    next(iter(loader))
    sampler.load_state_dict({"epoch": 1, "position": 0})
    for one, other in zip(loader, whole[len(whole) // 2 :], strict=True):
        assert np.array_equal(one[0], other[0])


def _broken(*_: object) -> None:
    raise DatabaseError(["broken"])


def test_a_rest_that_fills_no_batch_is_left_out_once() -> None:
    data = samples()
    loader = batches(data, 4, drop_last=True)
    loader.load_state_dict({"epoch": 0, "position": len(data) - 3})
    assert list(loader) == []
    assert loader.state_dict() == {"epoch": 1, "position": 0}
    assert len(list(loader)) == len(loader) > 0


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_end_of_an_epoch_is_the_beginning_of_the_next(drop_last: bool) -> None:
    data = samples()
    size = 3
    whole, more = divmod(len(data), size)
    assert more
    loader = batches(data, size, drop_last=drop_last)
    states = [loader.state_dict() for _ in range(2) for _ in loader]
    within = [{"epoch": 0, "position": i * size} for i in range(1, whole + (not drop_last))]
    of_epoch = [*within, {"epoch": 1, "position": 0}]
    assert len(loader) == len(of_epoch)
    assert states[: len(loader)] == of_epoch
    assert loader.state_dict() == {"epoch": 2, "position": 0}
    resumed = batches(data, size, drop_last=drop_last)
    resumed.load_state_dict(states[len(loader) - 1])
    assert len(list(resumed)) == len(loader)
    sampler = EpochSampler(data)
    for past in (len(data), len(data) + 5):
        assert sampler.state_dict(taken=past) == {"epoch": 1, "position": 0}


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("headpose-fast")]


def test_no_thread_outlives_its_iterator(monkeypatch: pytest.MonkeyPatch) -> None:
    data = samples()
    for _ in batches(data, 1):
        break
    abandoned = iter(batches(data, 1))
    next(abandoned)
    assert threads()
    del abandoned
    assert not threads()

    loop = iter(batches(data, 1, prefetch=0, workers=1))
    next(loop)
    monkeypatch.setattr(Samples, "arrays", _broken)
    with pytest.raises(DatabaseError, match="broken"):
        list(loop)
    assert not threads()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_a_loop() -> None:
    source = (
        "import itertools, os, signal, sys, threading, time\n"
        "from headpose_fast.training import Samples, batches\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "loader = batches(Samples(sys.argv[1]), 2)\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    for _ in itertools.count():\n"
        "        list(loader)\n"
        "except KeyboardInterrupt:\n"
        # One whose start was interrupted can be listed without being alive.
        "    def left():\n"
        "        ours = (t for t in threading.enumerate() if t.name.startswith('headpose'))\n"
        "        return [t.name for t in ours if t.is_alive()]\n"
        "    latest = time.monotonic() + 5\n"
        "    time.sleep(0.1)\n"
        "    while left() and time.monotonic() < latest:\n"
        "        time.sleep(0.01)\n"
        "    print(left())\n"
    )
    began = time.monotonic()
    command = [sys.executable, "-c", source, str(SMALL_DATABASE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    assert time.monotonic() - began < 30


def test_a_kept_copy_needs_no_network() -> None:
    address = "https://example.invalid/database.tar.gz"
    kept = download_path(address)
    assert kept is not None
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(SMALL_DATABASE.read_bytes())
    found = Samples(address, download=False)
    for array, same in zip(found.arrays([0, 1]), samples().arrays([0, 1]), strict=True):
        assert np.array_equal(array, same)


@pytest.mark.skipif(os.name != "posix", reason="Windows asks for rights to make links")
def test_a_linked_table_names_photographs_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    written = write_table(
        tmp_path / "photographs" / "labels.csv", SMALL_DATABASE, allow_incomplete=True
    )
    elsewhere = tmp_path / "elsewhere"
    written.path.rename(elsewhere)
    written.path.symlink_to(elsewhere)
    found = Samples(written.path, protocol="unknown", fold=5)
    assert len(found) == len(samples(protocol="unknown", fold=5))
    assert pickle.loads(pickle.dumps(found)).arrays([0])[0].shape == (1, 3, 84, 84)


def test_only_the_fold_that_is_asked_for_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def divided(name: str, test: Any) -> protocols.Fold:
        made.append(name)
        return original(name, test)

    original = protocols._divided
    monkeypatch.setattr(protocols, "_divided", divided)
    samples(protocol="unknown", fold=5)
    assert made == ["unknown:5"]


def test_samples_refuse_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="workers"):
        samples().arrays([0], workers=2**62)
    with pytest.raises(TypeError, match="integer"):
        batches(samples(), 3, workers=None)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="not downloaded"):
        Samples("https://example.invalid/database.tar.gz", download=False)
    with pytest.raises(ValueError, match="split"):
        samples(split="validation")
    with pytest.raises(ValueError, match="form"):
        samples(target="euler")
    with pytest.raises(ValueError, match="plan"):
        samples(plan=np.zeros((2, 3, 4), np.int32))
    with pytest.raises(ValueError, match="fold"):
        samples(protocol="known")


def test_samples_are_sent_without_bytes() -> None:
    data = samples(recipe=HOPENET)
    sent = pickle.dumps(data)
    assert len(sent) < 4096
    again: Samples = pickle.loads(sent)
    assert len(again) == len(data)
    images, targets = data.arrays([1, 9, 300])
    others: tuple[NDArray[Any], NDArray[Any]] = again.arrays([1, 9, 300])
    assert np.array_equal(images, others[0])
    assert np.array_equal(targets, others[1])
    image, target = next(iter(data))
    assert np.array_equal(image, data.arrays([0])[0][0])
    assert target.shape == (2,)


def test_a_mirrored_sample_has_the_opposite_pan() -> None:
    plain, mirrored = (samples(recipe=Recipe(crop="face", size=(24, 24), mirror=p)) for p in (0, 1))
    keys = range(4)
    assert np.array_equal(plain.arrays(keys)[0][..., ::-1], mirrored.arrays(keys)[0])
    assert np.array_equal(plain.arrays(keys)[1] * [1, -1], mirrored.arrays(keys)[1])


def test_nothing_is_imported_before_it_is_used() -> None:
    source = (
        "import sys, headpose_fast, headpose_fast.training as t, headpose_fast.pipeline\n"
        "assert not [n for n in sys.modules if n.startswith('headpose_fast.training.')]\n"
        "t.Samples, t.batches, t.encode\n"
        "assert 'torch' not in sys.modules\n"
        "assert set(t.__all__) <= set(dir(t))\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
