"""The layouts of kinds whose places follow from counts, their loaders, and real interpreters."""

from __future__ import annotations

import itertools
import os
import pickle
import pickletools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FETCHED, GOLDEN, PLACED_KINDS, Load, digest, layout, python3, python27
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_fast import Bundle, load
from headpose_fast.bundle.kinds import Kind

#: Train and test samples, height and width: several pieces of images, labels that need padding.
COUNTS = (205, 4, 84, 84)


def arrays(train: int, test: int, height: int, width: int) -> Bundle:
    random = np.random.RandomState(train)
    shapes = ((train, 3, height, width), (test, 3, height, width), (train, 2), (test, 2))
    return Bundle(*(random.random_sample(shape).astype("<f4") for shape in shapes))


def write(path: Path, kind: Kind, bundle: Bundle, *, fill: bytes = b"") -> Path:
    """Write a bundle by the layout alone, backwards, as any other writer could."""
    train, _, height, width = bundle.trn_im.shape
    plan = layout(kind, train, len(bundle.test_im), height, width)
    content = bytearray(plan.length)
    for offset, data in reversed(plan.skeleton):
        content[offset : offset + len(data)] = data
    for array, place in zip(bundle, plan.arrays, strict=True):
        for first, rows, offset, length in reversed(place.pieces):
            data = plan.kind.encode(place, array[first : first + rows])
            assert len(data) == length
            content[offset : offset + length] = data
    path.write_bytes(content + fill)
    return path


def write_old(path: Path, bundle: Bundle) -> Path:
    """Write what the original script writes, with the pickle machine of Python 2.7."""
    python27("1.16.6")
    np.savez(path.with_suffix(".npz"), *bundle)
    source = (
        "import sys, pickle, numpy as np\n"
        "z = np.load(sys.argv[1])\n"
        "a = tuple(z['arr_%d' % i] for i in range(4))\n"
        "f = open(sys.argv[2], 'wb')\n"
        "pickle.dump(a, f)\n"
        "f.close()\n"
    )
    subprocess.run(
        [FETCHED / "python27" / "python2.7", "-c", source, path.with_suffix(".npz"), path],
        check=True,
    )
    return path


def load_in(interpreter: tuple[str, Load], kind: Kind, path: Path) -> dict[str, Any]:
    """Load a bundle in an interpreter as the kind is meant to be loaded there."""
    name, bare_load = interpreter
    if kind == "py3" and name.startswith("python2"):
        pytest.skip("kind py3 is not for Python 2")
    latin1 = ["latin1"] if kind == "py2" and name.startswith("python3") else []
    return bare_load(path, *latin1)


@pytest.mark.parametrize("kind", PLACED_KINDS)
def test_every_interpreter_loads_every_kind_it_is_for(
    kind: Kind, interpreter: tuple[str, Load], tmp_path: Path
) -> None:
    expected = arrays(*COUNTS)
    path = write(tmp_path / "bundle.pkl", kind, expected, fill=b"bytes behind the STOP")
    result = load_in(interpreter, kind, path)
    assert [a["sha256"] for a in result["arrays"]] == [digest(array) for array in expected]
    for loaded, array in zip(result["arrays"], expected, strict=True):
        assert loaded["shape"] == list(array.shape)
        assert loaded["dtype"] == "<f4"
        assert loaded["c_contiguous"]
        assert loaded["writable"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
@pytest.mark.parametrize("kind", PLACED_KINDS)
def test_loading_needs_little_more_than_the_arrays(
    kind: Kind, interpreter: tuple[str, Load], tmp_path: Path
) -> None:
    # Large enough for what an interpreter needs besides to be small against it.
    path = write(tmp_path / "bundle.pkl", kind, arrays(4000, 40, 84, 84))
    result = load_in(interpreter, kind, path)
    assert result["needed"] <= 1.2 * result["bytes"], result


@pytest.mark.parametrize("kind", PLACED_KINDS)
def test_load_gives_the_arrays_of_every_kind(kind: Kind, tmp_path: Path) -> None:
    expected = arrays(*COUNTS)
    loaded = load(write(tmp_path / "bundle.pkl", kind, expected, fill=b"more"))
    assert isinstance(loaded, Bundle)
    for array, wanted in zip(loaded, expected, strict=True):
        assert np.array_equal(array, wanted)
        assert array.dtype == np.float32
        assert type(array) is np.ndarray
        assert array.flags.carray


def test_load_gives_the_arrays_of_the_golden_file_of_python_2() -> None:
    expected = arrays(3, 2, 4, 5)
    path = GOLDEN / "protocol0_python2.7_numpy1.16.6_train3_test2_5x4.pkl"
    for array, wanted in zip(load(path), expected, strict=True):
        assert np.array_equal(array, wanted)


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99)
)
@settings(deadline=None)
def test_text_keeps_every_bit(train: int, test: int, height: int, width: int, seed: int) -> None:
    random = np.random.RandomState(seed)
    # Any bits at all, signs and not-a-numbers included.
    bundle = Bundle(
        *(
            np.frombuffer(random.bytes(4 * int(np.prod(array.shape))), "<f4").reshape(array.shape)
            for array in layout("any", train, test, height, width).arrays
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "bundle.pkl", "any", bundle)
        with path.open("rb") as file:
            bare = pickle.load(file)
        for ours, theirs, array in zip(load(path), bare, bundle, strict=True):
            assert ours.tobytes() == theirs.tobytes() == array.tobytes()


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    bundle = arrays(3, 2, 5, 4)
    path = write(tmp_path / "bundle.pkl", "any", bundle)
    content = bytearray(path.read_bytes())
    content[layout("any", 3, 2, 5, 4).arrays[0].pieces[0].offset + 7] |= 0x80
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bundle\.pkl: damaged between byte"):
        load(path)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 7, 54, 96), (120, 3, 84, 84)])
def test_load_gives_the_arrays_of_the_original_script(
    shape: tuple[int, int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = arrays(*shape)
    path = write_old(tmp_path / "old.pkl", expected)
    for chunk in (1 << 24, 1001):
        monkeypatch.setattr("headpose_fast.bundle.original._CHUNK", chunk)
        for array, wanted in zip(load(path), expected, strict=True):
            assert np.array_equal(array, wanted)
            assert array.flags.carray
    content = path.read_bytes()
    for end in (*range(0, min(len(content), 2000), 37), len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match=r"old\.pkl"):
            load(path)


def test_mapped_arrays_may_be_changed_and_the_file_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "bundle.pkl", "py3", arrays(*COUNTS))
    before = path.read_bytes()
    bundle = load(path)
    bundle.trn_im[:] = 0
    assert not bundle.trn_im.any()
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="Windows truncates no mapped file")
def test_arrays_in_memory_outlive_a_file_that_is_truncated(tmp_path: Path) -> None:
    expected = arrays(*COUNTS)
    path = write(tmp_path / "bundle.pkl", "py3", expected)
    bundle = load(path, mmap=False)
    os.truncate(path, 0)
    for one, other in zip(bundle, expected, strict=True):
        assert np.array_equal(one, other)
        assert one.flags.writeable
        assert one.flags.c_contiguous


@given(
    st.sampled_from(PLACED_KINDS),
    st.integers(1, 500),
    st.integers(1, 500),
    st.integers(1, 60),
    st.integers(1, 60),
)
@settings(deadline=None)
def test_a_layout_covers_the_file_without_gap_or_overlap(
    kind: Kind, train: int, test: int, height: int, width: int
) -> None:
    plan = layout(kind, train, test, height, width)
    spans = [(offset, offset + len(data)) for offset, data in plan.skeleton]
    for array in plan.arrays:
        spans += [(piece.offset, piece.offset + piece.length) for piece in array.pieces]
        rows = [range(piece.first_row, piece.first_row + piece.rows) for piece in array.pieces]
        assert [row for piece in rows for row in piece] == list(range(array.shape[0]))
        if kind == "py3":
            assert array.pieces[0].offset % 64 == 0
    spans.sort()
    assert spans[0][0] == 0
    assert spans[-1][1] == plan.length
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("kind", PLACED_KINDS)
def test_rows_stand_where_the_layout_says(kind: Kind, tmp_path: Path) -> None:
    bundle = arrays(*COUNTS)
    content = write(tmp_path / "bundle.pkl", kind, bundle).read_bytes()
    plan = layout(kind, *COUNTS)
    offsets = plan.arrays[0].row_offsets()
    assert offsets.shape == (COUNTS[0],)
    for row in (0, 48, 49, 50, 204):
        data = plan.kind.encode(plan.arrays[0], bundle.trn_im[row : row + 1])
        assert content[int(offsets[row]) :].startswith(data)


def test_the_pickles_use_few_names_and_the_right_protocols(tmp_path: Path) -> None:
    for kind in PLACED_KINDS:
        content = write(tmp_path / "bundle.pkl", kind, arrays(3, 2, 4, 4)).read_bytes()
        names, protocols = set(), set()
        # pickletools decodes strings as ASCII, so raw pieces are looked at as the text they hide.
        plan = layout(kind, 3, 2, 4, 4)
        blank = bytearray(content)
        for array in plan.arrays:
            for _, _, offset, length in array.pieces:
                blank[offset : offset + length] = b"A" * length
        for opcode, argument, _ in pickletools.genops(bytes(blank)):
            if opcode.name == "GLOBAL":
                names.add(argument)
            protocols.add(opcode.proto)
        numpy = {
            "any": {"array", "bitwise_and", "bitwise_or", "empty", "multiply", "ndarray"},
            "py2": {"dtype", "empty", "ndarray"},
            "py3": {"dtype", "ndarray"},
        }[kind]
        others = {"operator setitem", "__builtin__ slice"} if kind == "py2" else set()
        assert names == {f"numpy {name}" for name in numpy} | others
        assert max(protocols) == (4 if kind == "py3" else 2)


class Boom:
    """Would show that loading ran code of the file's choice."""

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return (pytest.fail, ("the file ran code",))


@pytest.mark.parametrize("protocol", range(6))
def test_load_runs_nothing_and_refuses_other_pickles(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "other.pkl"
    for other in (Boom(), (1, 2), tuple(arrays(2, 1, 2, 2))):
        path.write_bytes(pickle.dumps(other, protocol))
        with pytest.raises(ValueError, match=r"other\.pkl: not "):
            load(path)


@pytest.mark.parametrize("kind", PLACED_KINDS)
def test_load_refuses_what_is_cut_or_changed(kind: Kind, tmp_path: Path) -> None:
    path = write(tmp_path / "bundle.pkl", kind, arrays(3, 2, 5, 4))
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match=r"bundle\.pkl"):
            load(path)
    plan = layout(kind, 3, 2, 5, 4)
    skeleton = [offset + i for offset, data in plan.skeleton for i in range(len(data))]
    for at in skeleton:
        changed = bytearray(content)
        changed[at] ^= 0x21
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"bundle\.pkl"):
            load(path)


def test_a_header_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.pkl"
    for counts, reason in (
        ("2000000000 2000000000 99999 99999", "ends early"),
        ("9999999999 1 1 1", "first line is invalid"),
        ("1 0 1 1", "first line is invalid"),
    ):
        header = f"headpose-fast 1 any {counts}".encode()
        path.write_bytes(b"\x80\x02U" + bytes([len(header)]) + header + b"0" + b"x" * 1000)
        with pytest.raises(ValueError, match=reason):
            load(path)
    path.write_bytes(b"\x80\x02U" + bytes([28]) + b"headpose-fast 2 any 1 1 1 10")
    with pytest.raises(ValueError, match="newer headpose-fast"):
        load(path)


def test_python3_reads_py2_only_with_latin1(tmp_path: Path) -> None:
    """What the documentation says of kind `py2`, and why `any` is the default."""
    path = write(tmp_path / "bundle.pkl", "py2", arrays(3, 2, 5, 4))
    with pytest.raises(AssertionError, match="UnicodeDecodeError"):
        python3(None)(path)
