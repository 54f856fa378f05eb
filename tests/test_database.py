"""Names, labels, archives and folders."""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from conftest import GOLDEN, SMALL_DATABASE, members, unpack, write_tar
from hypothesis import given
from hypothesis import strategies as st

from headpose_fast import Database, DatabaseError, FaceBox, Limits, open_database
from headpose_fast.database.names import PANS, TILTS, parse_label

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()
LABEL = b"person01100-90+0.jpg\n\nFace\n192\n237\n126\n94\n"


def label(stem: str) -> bytes:
    return LABEL.replace(b"person01100-90+0", stem.encode())


def database(*stems: str) -> dict[str, bytes]:
    files = {}
    for stem in stems:
        files[f"{stem[:8].capitalize()}/{stem}.jpg"] = JPEG + stem.encode()
        files[f"{stem[:8].capitalize()}/{stem}.txt"] = label(stem)
    return files


def problems(tmp_path: Path, files: dict[str, bytes]) -> tuple[str, ...]:
    with pytest.raises(DatabaseError) as caught:
        open_database(write_tar(tmp_path / "bad.tar", files))
    return caught.value.problems


def test_every_angle_is_read(tmp_path: Path) -> None:
    poses = [(tilt, pan) for tilt in TILTS for pan in (PANS if abs(tilt) < 90 else (0,))]
    assert len(poses) == 93
    stems = [f"person07{1 + i % 2}{i:02}{t:+}{p:+}" for i, (t, p) in enumerate(poses)]
    opened = open_database(write_tar(tmp_path / "db.tar", database(*stems)))
    assert [p.name for p in opened] == sorted(
        (f"Person07/{stem}.jpg" for stem in stems), key=lambda name: name[17:20]
    )
    assert {(p.number, p.tilt, p.pan) for p in opened} == {
        (i, *pose) for i, pose in enumerate(poses)
    }
    assert {(p.person, p.series) for p in opened} == {(7, 1), (7, 2)}
    assert all(p.face == FaceBox(192, 237, 126, 94) for p in opened)
    assert opened[0].jpeg == JPEG + stems[0].encode()


def test_order_is_person_series_number(tmp_path: Path) -> None:
    stems = ["person16200+0+0", "person02101+0+15", "person16101+0+15", "person02200+0+0"]
    opened = open_database(write_tar(tmp_path / "db.tar", database(*stems)))
    assert [(p.person, p.series, p.number) for p in opened] == [
        (2, 1, 1),
        (2, 2, 0),
        (16, 1, 1),
        (16, 2, 0),
    ]
    assert opened.persons == (2, 16)
    train, test = opened.split({16})
    assert [p.person for p in train] == [2, 2]
    assert [p.person for p in test] == [16, 16]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("above", ["", "./", "HeadPoseImageDatabase/", "a/b c/"])
def test_archives_of_any_kind_and_depth(tmp_path: Path, suffix: str, above: str) -> None:
    files = {above + name: content for name, content in members(SMALL_DATABASE).items()}
    mode = "w" if suffix == "tar" else "w:gz"
    opened = open_database(write_tar(tmp_path / f"db.{suffix}", files, mode))
    assert [p.jpeg for p in opened] == [p.jpeg for p in open_database(SMALL_DATABASE)]


@pytest.mark.parametrize("above", [".", "HeadPoseImageDatabase"])
def test_a_folder_is_read_like_an_archive(tmp_path: Path, above: str) -> None:
    unpack(SMALL_DATABASE, tmp_path / above)
    opened = open_database(tmp_path)
    assert [(p.person, p.series, p.number, p.tilt, p.pan, p.face, p.jpeg) for p in opened] == [
        (p.person, p.series, p.number, p.tilt, p.pan, p.face, p.jpeg)
        for p in open_database(SMALL_DATABASE)
    ]


def test_a_folder_of_one_person_is_a_database(tmp_path: Path) -> None:
    unpack(SMALL_DATABASE, tmp_path)
    assert open_database(tmp_path / "Person05").persons == (5,)


def test_copies_further_down_are_not_read(tmp_path: Path) -> None:
    for above in (".", "backup"):
        unpack(SMALL_DATABASE, tmp_path / above)
    assert len(open_database(tmp_path)) == 8
    assert len(open_database(tmp_path / "backup")) == 8


def test_folders_above_may_have_any_name(tmp_path: Path) -> None:
    files = {f"K\udcf6pfe\n/{n}": c for n, c in database("person01146+0+0").items()}
    assert len(open_database(write_tar(tmp_path / "db.tar", files))) == 1


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(DatabaseError, match=r"pipe\.tar: .*not a file"):
        open_database(tmp_path / "pipe.tar")


def test_the_older_distribution_is_read(tmp_path: Path) -> None:
    stem = "personne03146+0+0"
    files = {f"Personne03/{stem}.jpg": JPEG, f"Personne03/{stem}.txt": label(stem)}
    (photograph,) = open_database(write_tar(tmp_path / "db.tar", files))
    assert (photograph.person, photograph.series, photograph.number) == (3, 1, 46)


def test_strangers_are_passed_over(tmp_path: Path) -> None:
    files = database("person01146+0+0") | {
        "README.txt": b"hello",
        "Front/personne01146+0+0.jpg": b"jpeg",
        "Person01/Thumbs.db": b"",
        "Person01/._person01100-90+0.jpg": b"",
        "Person01/person01100-90+0.jpg.bak": b"",
        "Person01/personne01147+0+15.jpg": b"",
        "Person1/person01100-90+0.jpg": b"",
        "/Person02/person02100-90+0.jpg": b"",
        "../Person02/person02100-90+0.jpg": b"",
    }
    path = write_tar(tmp_path / "db.tar", files)
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            link = tarfile.TarInfo("Person01/person01100-90+0.jpg")
            link.type, link.linkname = kind, "Person01/person01146+0+0.jpg"
            archive.addfile(link)
    assert [p.name for p in open_database(path)] == ["Person01/person01146+0+0.jpg"]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    for name, content in database("person01146+0+0").items():
        path = tmp_path / "db" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for kind in ("jpg", "txt"):
        link = tmp_path / "db" / "Person01" / f"person01147+0+15.{kind}"
        link.symlink_to(f"person01146+0+0.{kind}")
    (tmp_path / "db" / "Person02").symlink_to("Person01", target_is_directory=True)
    assert len(open_database(tmp_path / "db")) == 1


def test_a_photograph_needs_a_label_and_a_label_a_photograph(tmp_path: Path) -> None:
    files = database("person01100-90+0", "person01101-60-90")
    del files["Person01/person01100-90+0.txt"], files["Person01/person01101-60-90.jpg"]
    assert problems(tmp_path, files) == (
        "Person01/person01100-90+0.jpg: the photograph has no label (.txt) beside it",
        "Person01/person01101-60-90.txt: the label has no photograph (.jpg) beside it",
    )


def test_two_files_for_one_person_series_and_number(tmp_path: Path) -> None:
    files = database("person01100-90+0") | {
        "copy/" + name: content for name, content in database("person01100-60-90").items()
    }
    (problem,) = problems(tmp_path, files)
    assert "Person01/person01100-90+0.jpg and copy/Person01/person01100-60-90.jpg" in problem
    assert "two files for one person, series and number" in problem


def test_a_label_of_another_pose_is_an_error(tmp_path: Path) -> None:
    files = {
        "Person01/person01100-90+0.jpg": b"",
        "Person01/person01100+90+0.txt": label("person01100+90+0"),
    }
    (problem,) = problems(tmp_path, files)
    assert (
        problem
        == "Person01/person01100+90+0.txt: the label is beside Person01/person01100-90+0.jpg"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Person01/person02146+0+0.jpg", "person 02 in the folder of person 01"),
        ("Person00/person00146+0+0.jpg", "people are numbered from 01"),
        ("Person01/person01346+0+0.jpg", "series 3"),
        ("Person01/person01193+0+0.jpg", "number 93"),
        ("Person01/person01146+45+0.jpg", "tilt +45 is not one of"),
        ("Person01/person01146-0+0.jpg", "tilt -0 is not one of"),
        ("Person01/person01146+0+20.jpg", "pan +20 is not one of"),
        ("Person01/person01146+90+15.jpg", "at tilt +90 pan must be +0"),
    ],
)
def test_malformed_names_are_errors(tmp_path: Path, name: str, reason: str) -> None:
    (problem,) = problems(tmp_path, {name: b""})
    assert problem.startswith(f"{name}: ")
    assert reason in problem


def test_all_problems_are_reported_and_the_message_is_bounded(tmp_path: Path) -> None:
    files = {f"Person01/person011{i:02}+0+0.jpg": b"" for i in range(50)}
    with pytest.raises(DatabaseError) as caught:
        open_database(write_tar(tmp_path / "bad.tar", files))
    assert len(caught.value.problems) == 50
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 30 more such problems"


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"README.txt": b""})
    assert "bad.tar" in problem
    assert "Person01/person01100-90+0.jpg" in problem


@pytest.mark.parametrize(
    "content",
    [
        LABEL,
        LABEL.replace(b"\n", b"\r\n"),
        LABEL.replace(b"\n", b"\r"),
        LABEL.replace(b"\n", b" \t\n"),
        LABEL.rstrip(),
        LABEL + b"\n\n  \n",
    ],
)
def test_line_ends_and_trailing_blanks_are_accepted(content: bytes) -> None:
    assert parse_label(content, "person01100-90+0.jpg") == FaceBox(192, 237, 126, 94)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 lines instead of 7"),
        (LABEL[:-3], "6 lines instead of 7"),
        (LABEL + b"1\n", "8 lines instead of 7"),
        (LABEL.replace(b"192", b"19.2"), "line 4 (centre x) is '19.2', not a whole number"),
        (LABEL.replace(b"237", b""), "line 5 (centre y) is ''"),
        (LABEL.replace(b"126", b"1 26"), "line 6 (width) is '1 26'"),
        (LABEL.replace(b"94", b"9" * 10), "line 7 (height) is '9999999999'"),
        (LABEL.replace(b"Face", b"Hand"), "lines 2 and 3"),
        (LABEL.replace(b"\n\nFace", b"\nFace\n"), "lines 2 and 3"),
        (LABEL.replace(b"-90", b"-60"), "line 1 names another picture, 'person01100-60+0.jpg'"),
        (b"\xff" + LABEL, "byte 0 is not ASCII"),
    ],
)
def test_malformed_labels_are_errors(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_label(content, "person01100-90+0.jpg")


@given(st.binary(max_size=200))
def test_no_label_crashes(content: bytes) -> None:
    try:
        face = parse_label(content, "a.jpg")
    except ValueError as error:
        assert str(error)
    else:
        assert content.startswith(b"a.jpg")
        assert all(isinstance(value, int) for value in face)


@given(st.tuples(*[st.integers(-999, 99999)] * 4), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_whole_numbers_are_read(values: tuple[int, int, int, int], end: str) -> None:
    text = end.join(["a.jpg", "", "Face", *map(str, values), ""])
    assert parse_label(text.encode(), "a.jpg") == FaceBox(*values)


def test_what_is_no_archive_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "HeadPoseImageDatabase.tar.gz"
    for content in (b"<html>404</html>" * 100, SMALL_DATABASE.read_bytes()[:70_000]):
        path.write_bytes(content)
        with pytest.raises(DatabaseError, match=path.name):
            open_database(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.tar"):
        open_database(tmp_path / "missing.tar")


@pytest.mark.parametrize("damage", ["truncated", "checksum", "data"])
def test_a_damaged_gzip_is_an_error_that_names_the_file(tmp_path: Path, damage: str) -> None:
    path = write_tar(tmp_path / "db.tar.gz", members(SMALL_DATABASE), "w:gz")
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[-9:]
    elif damage == "checksum":
        content[-6] ^= 1
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"db\.tar\.gz"):
        open_database(path)


def test_zeros_behind_gzip_data_are_passed_over_and_nothing_else(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "db.tar.gz", members(SMALL_DATABASE), "w:gz")
    content = path.read_bytes()
    path.write_bytes(content + bytes(100_000))
    assert len(open_database(path)) == 8
    # Archives may be compressed in parts, one behind the other.
    unpacked = gzip.decompress(content)
    path.write_bytes(gzip.compress(unpacked[:99_999]) + gzip.compress(unpacked[99_999:]))
    assert len(open_database(path)) == 8
    path.write_bytes(content + b"more")
    with pytest.raises(DatabaseError, match=r"db\.tar\.gz: .*something else follows"):
        open_database(path)


def test_a_tar_file_that_was_cut_between_two_members_is_an_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "db.tar", database("person01100-90+0", "person01101-60-90"))
    with tarfile.open(path) as archive:
        end = archive.getmembers()[2].offset
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DatabaseError, match=r"db\.tar: not a complete tar archive"):
        open_database(path)


def first_header(path: Path, form: int, **changes: object) -> Path:
    """Write a tar file whose first header is peculiar, and a whole database behind it."""
    with tarfile.open(path, "w", format=form) as archive:
        info = tarfile.TarInfo("Person02/person02100-90+0.jpg")
        for name, value in changes.items():
            setattr(info, name, value)
        archive.addfile(info)
        for name, content in database("person01146+0+0").items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_a_size_that_is_absurd_is_an_error(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for size, reason in (
            (6 << 30, r"person02100-90\+0\.jpg: 6442450944 bytes are more than the"),
            (8**20, "bytes are more than the|size overflow"),
            (-512, "its size is not a whole number|bytes are more than the|size overflow"),
        ):
            path = first_header(tmp_path / "db.tar", form, size=size)
            with pytest.raises(DatabaseError, match=rf"db\.tar: .*({reason})"):
                open_database(path)


def test_sparse_members_are_errors(tmp_path: Path) -> None:
    old = first_header(tmp_path / "old.tar", tarfile.GNU_FORMAT, type=tarfile.GNUTYPE_SPARSE)
    # As GNU tar writes a file of 4096 zeros: one part, empty and at its end, and the real size.
    header = bytearray(old.read_bytes())
    header[386:410] = b"%011o\0%011o\0" % (4096, 0)
    header[483:495] = b"%011o\0" % 4096
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    old.write_bytes(header)
    records = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1"}
    pax = first_header(tmp_path / "pax.tar", tarfile.PAX_FORMAT, pax_headers=records)
    for path in (old, pax):
        with pytest.raises(DatabaseError, match=rf"{path.name}: Person02/.*\.jpg: a sparse member"):
            open_database(path)


def test_contiguous_members_are_regular_ones(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "db.tar", database("person01146+0+0"))
    content = bytearray(path.read_bytes())
    assert content[156:157] == b"0"
    content[156:157] = b"7"
    content[148:156] = b"%06o\0 " % (int(content[148:154], 8) + 7)
    path.write_bytes(content)
    assert len(open_database(path)) == 1


def test_long_names_and_extended_headers_are_read_up_to_a_limit(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for length, fits in ((5_000, True), (2_000_000, False)):
            path = tmp_path / "db.tar"
            with tarfile.open(path, "w", format=form) as archive:
                for name, content in database("person01146+0+0").items():
                    info = tarfile.TarInfo("a" * length + "/" + name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
            if fits:
                assert len(open_database(path)) == 1
            else:
                with pytest.raises(DatabaseError, match=r"db\.tar: .* is longer than a megabyte"):
                    open_database(path)


def test_a_bomb_ends_early_in_little_memory(tmp_path: Path) -> None:
    """6 GB of zeros in 6 MB, as one photograph, as many, and as a stranger."""
    chunk = gzip.compress(bytes(100 << 20))
    head = {}
    for name, size in (
        ("Person01/person01146+0+0.jpg", 6 << 30),
        ("README.txt", 6 << 30),
        ("Person01/person01146+0+0.jpg", 30 << 20),
    ):
        info = tarfile.TarInfo(name)
        info.size = size
        head[name, size] = info.tobuf()
    for (name, size), header in head.items():
        path = tmp_path / "bomb.tar.gz"
        if size == 6 << 30:
            path.write_bytes(gzip.compress(header) + chunk * 60)
        else:
            path.write_bytes(gzip.compress(header + bytes(size)) * 200)
        code = (
            "import sys, headpose_fast\n"
            "try: headpose_fast.open_database(sys.argv[1])\n"
            "except headpose_fast.DatabaseError as error: print(error)\n"
            "else: sys.exit('it was read')\n"
            "if sys.platform == 'linux':\n"
            "    lines = open('/proc/self/status').read().splitlines()\n"
            "    print(*[line.split()[1] for line in lines if line.startswith('VmHWM')])\n"
            "else: print(0)\n"
        )
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        reason, kilobytes = done.stdout.splitlines()
        assert "bytes are more than the" in reason or "it unpacks to more than" in reason, name
        assert time.monotonic() - began < 10
        assert int(kilobytes) < 500_000


def test_every_limit_holds(tmp_path: Path) -> None:
    files = database("person01146+0+0") | {f"stranger{i}": b"" for i in range(9)}
    path = write_tar(tmp_path / "db.tar.gz", files, "w:gz")
    size, unpacked = path.stat().st_size, len(gzip.decompress(path.read_bytes()))
    exact = Limits(
        members=11,
        archive_bytes=size,
        unpacked_bytes=unpacked,
        photograph_bytes=len(files["Person01/person01146+0+0.jpg"]),
        photograph_pixels=64 * 40,
        label_bytes=len(files["Person01/person01146+0+0.txt"]),
    )
    folder = tmp_path / "folder"
    (folder / "Person01").mkdir(parents=True)
    for name in list(files)[:2]:
        (folder / name).write_bytes(files[name])
    for source in (path, folder):
        assert len(open_database(source, exact)) == 1
        for field, value in dataclasses.asdict(exact).items():
            if field == "expansion" or (source == folder and field in _OF_ARCHIVES):
                continue
            less = dataclasses.replace(exact, **{field: value - 1})
            with pytest.raises(DatabaseError, match=r"more than .* allowed"):
                open_database(source, less)


#: Limits that a folder cannot exceed.
_OF_ARCHIVES = ("members", "archive_bytes", "unpacked_bytes")


def test_messages_keep_to_a_line_and_to_printable_text(tmp_path: Path) -> None:
    name = "ev\x1b[31mil\n/Person01/person01146+0+0.jpg"
    (problem,) = problems(tmp_path, {name: JPEG})
    assert problem.startswith(r"ev\x1b[31mil\n/Person01/person01146+0+0.jpg: the photograph has no")
    path = tmp_path / "bad.tar"
    path.write_bytes(b"BZh91AY&SY" + bytes(range(256)) * 20)
    with pytest.raises(DatabaseError) as caught:
        open_database(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "Person01").mkdir(mode=0)
    with pytest.raises(PermissionError):
        open_database(tmp_path)


def test_missing_photographs_are_listed_briefly(tmp_path: Path) -> None:
    numbers = [n for n in range(93) if n not in (3, 4, 5, 17)]
    stems = [f"person{p:02}{s}{n:02}+0+0" for p in range(1, 16) for s in (1, 2) for n in numbers]
    opened = open_database(write_tar(tmp_path / "db.tar", database(*stems)))
    assert len(opened.missing()) == 30
    assert opened.missing()[15, 2] == [3, 4, 5, 17]
    with pytest.raises(DatabaseError, match=r": person 01 series 1: missing 03-05, 17\n"):
        opened.require_complete(())


def test_the_real_database_is_complete(real_database: Database) -> None:
    assert len(real_database) == 2790
    assert real_database.missing() == {}
    real_database.require_complete((5, 10, 15))
    faces = [photograph.face for photograph in real_database]
    assert (min(f.cx for f in faces), max(f.cx for f in faces)) == (31, 342)
    assert (min(f.cy for f in faces), max(f.cy for f in faces)) == (20, 275)
    assert (min(f.width for f in faces), max(f.width for f in faces)) == (45, 159)
    assert (min(f.height for f in faces), max(f.height for f in faces)) == (17, 155)
