"""What `inspect` tells, draws and lists, against NumPy, the renderer and the labels."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from conftest import GOLDEN, PLACED_KINDS, SMALL_DATABASE, layout, members, write_tar
from numpy.typing import NDArray
from PIL import Image
from test_bundle import arrays, write

from headpose_fast import (
    Bundle,
    BundleError,
    Database,
    inspect,
    load,
    open_database,
    prepare,
    render,
)
from headpose_fast.bundle.original import _DTYPE, _FIRST
from headpose_fast.cli.main import main
from headpose_fast.database.names import PANS, TILTS
from headpose_fast.sources.cache import SAMPLE_NAME
from headpose_fast.views.index import write_index
from headpose_fast.views.picture import write_picture

OLD = GOLDEN / "protocol0_python2.7_numpy1.16.6_train3_test2_5x4.pkl"


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have neither the user's cache folder nor a current folder with a database."""
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "no cache"))
    monkeypatch.chdir(tmp_path)


def small(path: Path, **options: object) -> Path:
    """Make a bundle of the small database, of eight photographs."""
    passes: dict[str, Any] = {"num_data_aug": 3, "num_data_aug_val": 2, "split": "unknown:5"}
    return prepare(SMALL_DATABASE, path, allow_incomplete=True, **{**passes, **options}).path


def old_pickle(bundle: Bundle) -> bytes:
    """Write what the original script writes, as Python 2.7 does it."""
    out, memo = b"", 13
    for array in bundle:
        shape = "".join(f"I{side}\n" for side in array.shape)
        if not out:
            out += _FIRST + shape.encode() + _DTYPE
        else:
            out += (
                f"g0\n(g1\n(I0\ntp{memo}\ng3\ntp{memo + 1}\nRp{memo + 2}\n(I1\n({shape}"
                f"tp{memo + 3}\ng10\nI00\n"
            ).encode()
            memo += 4
        out += f"S{repr(array.tobytes())[1:]}\np{memo}\ntp{memo + 1}\nb".encode()
        memo += 2
    return out + f"tp{memo}\n.".encode()


def zeros(count: int, side: int) -> Bundle:
    """Make a bundle of many samples to train with and one to test, black and straight ahead."""
    shapes = ((count, 3, side, side), (1, 3, side, side), (count, 2), (1, 2))
    return Bundle(*(np.zeros(shape, np.float32) for shape in shapes))


def bundle_file(path: Path, kind: str, bundle: Bundle) -> Path:
    if kind == "original":
        path.write_bytes(old_pickle(bundle))
        return path
    return write(path, kind, bundle)  # type: ignore[arg-type]


def odd_bundle() -> Bundle:
    """Make images and labels of which some are no finite numbers and no poses."""
    bundle = arrays(300, 40, 6, 5)
    random = np.random.RandomState(1)
    for labels in bundle[2:]:
        labels[:, 0] = random.choice(TILTS, len(labels)) / np.float32(90)
        labels[:, 1] = random.choice(PANS, len(labels)) / np.float32(90)
    bundle.trn_output[[3, 150, 299]] = [(np.nan, 0), (0.5, 0), (0, np.inf)]
    bundle.test_output[7, 0] = np.uint32(0x7FA00000).view(np.float32)  # A signalling NaN.
    bundle.trn_im[5, 1, 2, 3] = np.nan
    bundle.trn_im[200, 0] = -np.inf
    bundle.test_im[:] = np.inf
    return bundle


def poses_of(labels: NDArray[np.float32]) -> tuple[list[dict[str, int]], int]:
    """Tell poses and the number of other labels, row by row."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        tilt, pan = (round(x * 90, 2) if np.isfinite(x) else 1 for x in label)
        if tilt in TILTS and pan in PANS and (abs(tilt) < 90 or pan == 0):
            rows.setdefault((int(tilt), int(pan)), []).append(row)
    told = [
        {"tilt": tilt, "pan": pan, "samples": len(of), "first_row": of[0]}
        for (tilt, pan), of in sorted(rows.items())
    ]
    return told, len(labels) - sum(map(len, rows.values()))


def test_the_old_files_of_these_tests_are_those_of_python_2() -> None:
    assert old_pickle(arrays(3, 2, 4, 5)) == OLD.read_bytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [*PLACED_KINDS, "original"])
@pytest.mark.parametrize("block", [1 << 20, 500])
def test_facts_are_those_of_the_arrays(
    kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headpose_fast.bundle.placed_files._BLOCK_BYTES", block)
    monkeypatch.setattr("headpose_fast.bundle.original._CHUNK", block)
    bundle = odd_bundle()
    path = bundle_file(tmp_path / "bundle.pkl", kind, bundle)
    facts = inspect(path).facts()
    for name, array in zip(bundle._fields, bundle, strict=True):
        told, finite = facts["arrays"][name], array[np.isfinite(array)].astype(np.float64)
        assert told["shape"] == list(array.shape)
        assert told["not_finite"] == array.size - finite.size
        if finite.size:
            assert (told["minimum"], told["maximum"]) == (finite.min(), finite.max())
            assert told["mean"] == pytest.approx(finite.mean(), rel=1e-9)
        else:
            assert told["minimum"] is told["maximum"] is told["mean"] is None
    for part, labels in (("train", bundle.trn_output), ("test", bundle.test_output)):
        poses, others = poses_of(labels)
        assert facts["poses"][part] == poses
        assert facts["other_labels"][part] == others > 3
    assert (facts["kind"], facts["size"]) == (kind, path.stat().st_size)
    assert facts["options"] is facts["database"] is facts["published"] is facts["version"] is None
    assert "options, seed and database unknown" in str(inspect(path))
    assert "12,000 not finite" not in str(inspect(path))
    assert "3,600 not finite" in str(inspect(path))


def test_json_is_one_line_and_the_text_tells_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small(tmp_path / "bundle.pkl", seed=9)
    assert main(["inspect", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    told = json.loads(line)
    assert told == inspect(path).facts()
    assert err == ""
    digest = open_database(SMALL_DATABASE).digest
    assert (told["options"]["seed"], told["database"], told["published"]) == (9, digest, False)
    assert main(["inspect", str(path)]) == 0
    out, _ = capsys.readouterr()
    assert out == f"{inspect(path)}\n"
    assert "num_data_aug 3, num_data_aug_val 2, aspect_ratio 1, seed 9, test_persons [5]" in out
    assert f"database: {digest} (not the published one)" in out
    table = out.split("train samples by tilt")[1].splitlines()
    poses = {(p["tilt"], p["pan"]): p["samples"] for p in told["poses"]["train"]}
    pans = list(map(int, table[1].split()))
    for line in table[2 : 2 + len({tilt for tilt, _ in poses})]:
        tilt, *samples = line.split()
        for pan, count in zip(pans, samples, strict=True):
            assert count == str(poses.get((int(tilt), pan), "."))
    assert max(map(len, out.replace(str(path), "").splitlines()[3:])) <= 100


@dataclass
class Touch:
    """Would show that the pickle machine ran."""

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return Path.touch, (self.path,)


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    sign, path = tmp_path / "sign", tmp_path / "hostile.pkl"
    ours = (b"\x80\x02U\x1fheadpose-fast 1 any 1 1 1 1    0", b"")
    for protocol in range(6):
        code = pickle.dumps(Touch(sign), protocol)
        for start in (b"", ours[0], OLD.read_bytes()[:-1], _FIRST):
            path.write_bytes(start + code)
            with pytest.raises(BundleError, match=r"hostile\.pkl"):
                inspect(path)
        assert not sign.exists()
    pickle.loads(code)
    assert sign.exists()


def old_with(**changed: tuple[int, ...]) -> bytes:
    """Make a file as the original script's with arrays of other shapes."""
    zeros = {name: np.zeros(shape, np.float32) for name, shape in changed.items()}
    return old_pickle(arrays(3, 2, 4, 5)._replace(**zeros))


#: Files that are none, or what is done to one that is right.
UNUSABLE: dict[str, bytes | Callable[[bytes], bytes]] = {
    "empty": b"",
    "text": b"hello\n",
    "foreign": SMALL_DATABASE.read_bytes(),
    "cut": lambda content: content[: len(content) // 2],
    "cut in its trailer": lambda content: content[:-9],
    "damaged between the data": lambda content: content.replace(b"numpy", b"nunpy", 1),
    "damaged data": lambda content: content[:9000] + b"\xff" + content[9001:],
    "damaged trailer": lambda content: content.replace(b'"seed"', b'"sead"'),
    "old, cut": OLD.read_bytes()[:2000],
    "old, too few labels": old_with(trn_output=(2, 2)),
    "old, of three labels": old_with(test_output=(2, 3)),
    "old, of other images": old_with(test_im=(2, 3, 5, 4)),
    "old, grey": old_with(trn_im=(3, 1, 4, 5)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small(tmp_path_factory.mktemp("whole") / "bundle.pkl").read_bytes()


@pytest.mark.parametrize("what", [*UNUSABLE, "folder", "missing"])
def test_what_cannot_be_inspected_is_one_line(
    what: str, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.pkl"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        content = UNUSABLE[what]
        path.write_bytes(content if isinstance(content, bytes) else content(whole))
    with pytest.raises((BundleError, OSError), match=r"bad\.pkl"):
        inspect(path)
    before = list(tmp_path.iterdir())
    outputs = ["--index", str(tmp_path / "i.csv"), "--picture", str(tmp_path / "p.png")]
    assert main(["inspect", str(path), *outputs, "--json"]) == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith("headpose-fast: error: ")
    assert "bad.pkl" in line
    assert list(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_nothing_is_printed_that_a_terminal_obeys(
    whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[2J\a\u202eé.pkl"
    end = layout("any", 12, 8, 84, 84).length
    for old, new, status in (
        (b"", b"", 0),
        (b'"headpose_fast":"', '"headpose_fast":"é'.encode(), 0),
        (b'"headpose_fast":"', b'"headpose_fast":"\\u001b[2J', 1),
        (b'"database":"', b'"database":"\x1b[2J', 1),
        (b'"seed":0', b'"\x1b[2J":0', 1),
        (b'"aspect_ratio":1', b'"aspect_ratio":7', 1),
        (b'"test_persons":[5]', b'"test_persons":""', 1),
        (b'"seed":0', b'"seed":-1', 1),
    ):
        text = whole[end:].split(b"\n")[1].replace(old, new, 1)
        path.write_bytes(whole[:end] + b"\n" + text + b"\ncrc32 %08x\n" % crc32(text))
        for more in ([], ["--json"], ["--picture", str(tmp_path / "p.png")]):
            assert main(["inspect", str(path), *more]) == status
            out, err = capsys.readouterr()
            assert out.isascii()
            assert (out + err).replace("\n", "").isprintable()
            assert err.count("\n") == status


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
@pytest.mark.parametrize("kind", [*PLACED_KINDS, "original", "much behind"])
def test_a_file_is_read_in_pieces(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    if kind == "original":
        path.write_bytes(old_pickle(zeros(500, 84)))  # A zero byte is four characters.
    else:
        plan = layout("py3" if kind == "much behind" else kind, 1700, 1700, 84, 84)  # type: ignore[arg-type]
        with path.open("wb") as file:
            for offset, data in plan.skeleton:
                file.seek(offset)
                file.write(data)
            file.truncate(plan.length + (300 << 20 if kind == "much behind" else 0))
    program = """
import re, sys
from pathlib import Path
import headpose_fast.views.picture
from headpose_fast import BundleError, inspect
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    inspection = inspect(sys.argv[1])
    headpose_fast.views.picture.write_picture(inspection, sys.argv[1] + ".png")
except BundleError as error:
    print(error, file=sys.stderr)
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert ("its trailer is damaged" in done.stderr) == (kind == "much behind")
    assert int(done.stdout) * 1024 < 80 << 20 < path.stat().st_size / 2


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split": "known:1", "seed": 5},
        {"size": (168, 168), "pickle": "py3"},
        {"aspect_ratio": 0, "split": "unknown:1", "pickle": "py2"},
    ],
    ids=str,
)
def test_the_index_leads_to_every_sample(options: dict[str, Any], tmp_path: Path) -> None:
    path, index = small(tmp_path / "bundle.pkl", **options), tmp_path / "index.csv"
    command = ["inspect", str(path), "--index", str(index), "--input", str(SMALL_DATABASE)]
    assert main(command) == 0
    database = {(p.person, p.series, p.number): p for p in open_database(SMALL_DATABASE)}
    bundle = load(path)
    rows = listed(index)
    split = options.get("split", "unknown:5")
    assert ",".join(rows[0]) == (
        "array,row,person,series,number,tilt,pan,crop_x,crop_y,crop_width,crop_height"
    )
    places = [(row.pop("array"), row) for row in rows]
    assert [(array, int(row["row"])) for array, row in places] == [
        *(("trn", row) for row in range(len(bundle.trn_im))),
        *(("test", row) for row in range(len(bundle.test_im))),
    ]
    size = options.get("size")
    for array, told in places:
        at, person, series, number, tilt, pan, *crop = map(int, told.values())
        photograph = database[person, series, number]
        assert (photograph.tilt, photograph.pan) == (tilt, pan)
        held_out = series if split.startswith("known") else person
        assert (array == "test") == (held_out == int(split[-1]))
        label = getattr(bundle, f"{array}_output")[at]
        assert np.array_equal(label, np.array([tilt, pan], np.float32) / np.float32(90))
        sample = render(
            [photograph.jpeg],
            np.array([[crop]], np.int32),
            aspect_ratio=options.get("aspect_ratio", 1),
            size=size,
        )
        assert np.array_equal(sample[0, 0], getattr(bundle, f"{array}_im")[at])


def other_database(path: Path) -> Path:
    """Make a database that differs in one label."""
    files = members(SMALL_DATABASE)
    name = next(name for name in files if name.endswith(".txt"))
    return write_tar(path, {**files, name: files[name] + b"\n"})


def test_the_database_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, work = tmp_path / "cache", tmp_path / "work"
    cache.mkdir()
    work.mkdir()
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(cache))
    monkeypatch.chdir(work)
    path = small(Path("bundle.pkl"))
    write_index(inspect(path), "expected.csv", open_database(SMALL_DATABASE))
    expected = Path("expected.csv").read_bytes()

    def index(*arguments: str) -> str:
        """Return what goes wrong, in one line, or nothing if the index is right."""
        Path("i.csv").unlink(missing_ok=True)
        status = main(["inspect", "bundle.pkl", "--index", "i.csv", "--quiet", *arguments])
        assert status == (not Path("i.csv").exists())
        assert status or Path("i.csv").read_bytes() == expected
        return capsys.readouterr().err

    assert "name it with --input" in index()
    assert main(["inspect", "bundle.pkl", "--picture", "without.png"]) == 0
    here = Path("HeadPoseImageDatabase.tar")
    shutil.copy(SMALL_DATABASE, here)
    assert index() == ""
    assert main(["inspect", "bundle.pkl", "--picture", "with.png"]) == 0
    heights = [Image.open(name).height for name in ("without.png", "with.png")]
    assert heights[1] > heights[0] + 288
    capsys.readouterr()
    other_database(here)
    assert "name it with --input" in index()
    assert "made from a database other than" in index("--input", str(here))
    shutil.copy(SMALL_DATABASE, cache / SAMPLE_NAME)
    assert index() == ""
    here.write_bytes(b"damaged")
    assert index() == ""
    assert "HeadPoseImageDatabase.tar" in index("--input", str(here))
    assert "missing.tar" in index("--input", "missing.tar")
    shutil.copy(OLD, "bundle.pkl")
    assert "no trailer" in index()
    assert "no trailer" in index("--input", str(SMALL_DATABASE))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize("option", ["--index", "--picture"])
def test_nothing_is_replaced_that_should_stay(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, database = small(tmp_path / "bundle.png"), tmp_path / "database.png"
    shutil.copy(SMALL_DATABASE, database)
    (tmp_path / "link.png").symlink_to(path)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "existing.png").write_bytes(b"old")
    before = {entry.name: entry.lstat().st_mtime_ns for entry in tmp_path.iterdir()}

    def run(output: str) -> tuple[int, str]:
        arguments = [str(path), "--input", str(database), option, str(tmp_path / output)]
        status = main(["inspect", *arguments])
        return status, capsys.readouterr().err

    for output in (
        "bundle.png",
        "link.png",
        "database.png",
        "folder.png",
        "fifo.png",
        "none/a.png",
    ):
        status, err = run(output)
        assert (status, err.count("\n")) == (1, 1)
        assert output.split("/")[0] in err
    with monkeypatch.context() as patch:
        patch.setattr("headpose_fast.output._free_bytes", lambda _: 10)
        status, err = run("existing.png")
        assert status == 1
        assert "10 are free" in err
    assert {entry.name: entry.lstat().st_mtime_ns for entry in tmp_path.iterdir()} == before
    assert run("existing.png") == (0, "")
    assert len((tmp_path / "existing.png").read_bytes()) > 3


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        return np.asarray(image)


def found(part: NDArray[np.uint8], whole: NDArray[np.uint8]) -> bool:
    """Whether a picture is a part of another."""
    height, width, _ = part.shape
    row = part[0].tobytes()
    return any(
        np.array_equal(whole[y : y + height, at.start() // 3 :][:, :width], part)
        for y in range(len(whole) - height + 1)
        for at in re.finditer(re.escape(row), whole[y].tobytes())
    )


@pytest.mark.parametrize("size", [(84, 84), (96, 54), (224, 224), (16, 16)], ids=str)
def test_the_picture_shows_samples_in_true_colours(size: tuple[int, int], tmp_path: Path) -> None:
    options = {"aspect_ratio": int(size[0] == size[1]), "size": size}
    path = small(tmp_path / "bundle.pkl", **options)
    inspection, database = inspect(path), open_database(SMALL_DATABASE)
    picture = write_picture(inspection, tmp_path / "a.png", database)
    sheet = pixels(picture)
    # The first of each pose, and all crops of the photograph, which looks ahead.
    for array, row in (("trn", 0), ("trn", 1), ("trn", 5), ("trn", 9), ("test", 1)):
        sample = getattr(load(path), f"{array}_im")[row][::-1].transpose(1, 2, 0)
        shown = np.rint(255 * sample).astype(np.uint8)
        if size == (224, 224):
            shown = np.asarray(Image.fromarray(shown).reduce(2))
        elif size == (16, 16):
            shown = shown.repeat(4, axis=0).repeat(4, axis=1)
        assert found(shown, sheet), (array, row)
    assert write_picture(inspection, tmp_path / "b.png", database).read_bytes() == (
        picture.read_bytes()
    )
    assert max(sheet.shape) < 2500


@pytest.mark.parametrize("kind", ["any", "original"])
@pytest.mark.parametrize(
    "bundle", [arrays(1, 1, 1, 1), odd_bundle(), zeros(300_000, 1)], ids=["one", "odd", "many"]
)
def test_there_is_a_picture_of_every_file(kind: str, bundle: Bundle, tmp_path: Path) -> None:
    path = bundle_file(tmp_path / f"{'long ' * 40}.pkl", kind, bundle)
    sheet = pixels(write_picture(inspect(path), tmp_path / "sheet.png"))
    assert 960 < sheet.shape[1] < 2000


class Page(HTMLParser):
    """Collects text and pictures, and finds what is not closed."""

    def __init__(self, page: str) -> None:  # noqa: D107
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.jpegs: list[bytes] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102
        self.tags.add(tag)
        if tag == "img":
            kind, _, data = (dict(attrs)["src"] or "").partition(",")
            assert kind == "data:image/jpeg;base64"
            self.jpegs.append(base64.b64decode(data, validate=True))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:  # noqa: D102
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:  # noqa: D102
        self.text += f"{data}\n"


TAGS = {"b", "div", "figcaption", "figure", "small", "table", "td", "th", "tr"}


def test_a_database_shows_itself_in_a_notebook() -> None:
    small_database = open_database(SMALL_DATABASE)
    comment = b"\xff\xfe\x00\x0bJane Doe!"
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    block = exif.tobytes()
    mark = comment + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    photographs = [replace(p, file=p.jpeg[:2] + mark + p.jpeg[2:]) for p in small_database]
    with Image.open(io.BytesIO(photographs[0].jpeg)) as image:
        assert image.info["comment"] == b"Jane Doe!"
        assert image.getexif()[0x010E] == "Jane Doe"
    name = "<script>alert('&amp;')</script>"
    photographs[3] = replace(photographs[3], file=b"no JPEG", name=name)
    database = Database(Path(name), tuple(photographs))
    page = Page(database._repr_html_())
    assert page.tags == TAGS | {"img"}
    assert page.text.count(name) == 2
    assert database.digest in page.text
    assert "2,782 of the published photographs" in page.text
    assert len(page.jpegs) == 7
    for jpeg, photograph in zip(page.jpegs, [*photographs[:3], *photographs[4:]], strict=True):
        assert b"Jane" not in jpeg
        assert f"person {photograph.person}, {photograph.tilt:+d}" in page.text
        with (
            Image.open(io.BytesIO(jpeg)) as image,
            Image.open(io.BytesIO(photograph.jpeg)) as original,
        ):
            assert (image.size, set(image.info) - {"jfif"}, len(image.getexif())) == (
                (96, 72),
                {"jfif_density", "jfif_unit", "jfif_version"},
                0,
            )
            difference = np.asarray(image, np.float64) - np.asarray(original.resize((96, 72)))
            assert np.abs(difference).mean() < 9
    assert Page(Database(Path("none"), ())._repr_html_()).jpegs == []


def test_a_bundle_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    bundle = load(small(tmp_path / "bundle.pkl"))
    page = Page(bundle._repr_html_())
    assert page.tags == TAGS | {"img"}
    assert "float32 (12, 3, 84, 84)" in page.text
    tilt, pan = bundle.trn_output[11] * 90
    assert f"trn 11: {tilt:+.3g}, {pan:+.3g}" in page.text
    assert len(page.jpegs) == 8
    for jpeg, row in ((page.jpegs[0], 0), (page.jpegs[-1], 11)):
        sample = 255 * bundle.trn_im[row][::-1].transpose(1, 2, 0)
        with Image.open(io.BytesIO(jpeg)) as image:
            assert np.abs(np.asarray(image) - sample).mean() < 9
    assert len(Page(arrays(2, 1, 3, 4)._repr_html_()).jpegs) == 2
    assert len(Page(odd_bundle()._repr_html_()).jpegs) == 8
    empty = Bundle(*(array[:0] for array in bundle))
    assert Page(empty._repr_html_()).jpegs == []
