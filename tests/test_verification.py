"""The trailer, and what checking a file finds."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from conftest import SMALL_DATABASE, command, layout, members, write_tar

from headpose_fast import BundleError, load, open_database, prepare, verify
from headpose_fast.bundle.kinds import KINDS, Kind


def small(path: Path, kind: Kind = "any", **options: int) -> Path:
    return prepare(
        SMALL_DATABASE,
        path,
        pickle=kind,
        test_persons=[5],
        allow_incomplete=True,
        **{"num_data_aug": 2, "num_data_aug_val": 1, **options},  # type: ignore[arg-type]
    ).path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_just_written_is_right(kind: Kind, tmp_path: Path) -> None:
    path = small(tmp_path / "bundle.pkl", kind)
    assert not verify(path).rendered
    verified = verify(path, SMALL_DATABASE, workers=1)
    assert verified.rendered
    assert verified.samples == 12
    assert verified.trailer["options"] == {
        "num_data_aug": 2,
        "num_data_aug_val": 1,
        "aspect_ratio": 1,
        "seed": 0,
        "test_persons": [5],
        "test_series": [],
    }
    assert verified.trailer["database"] == open_database(SMALL_DATABASE).digest
    plain, checked = load(path), load(path, verify=True)
    assert all(np.array_equal(a, b) for a, b in zip(plain, checked, strict=True))


def test_the_trailer_is_what_the_documentation_says(tmp_path: Path) -> None:
    path = small(tmp_path / "bundle.pkl", "py2")
    content = path.read_bytes()
    plan = layout("py2", 8, 4, 84, 84)
    empty, text, end, rest = content[plan.length :].split(b"\n")
    assert (empty, rest) == (b"", b"")
    assert end == b"crc32 %08x" % crc32(text)
    trailer = json.loads(text)
    assert sorted(trailer) == [
        "arrays",
        "database",
        "format",
        "headpose_fast",
        "kind",
        "options",
    ]
    array = trailer["arrays"]["trn_im"]
    assert array["shape"] == [8, 3, 84, 84]
    assert (array["dtype"], array["text_blocks"]) == ("<f4", None)
    ((offset, rows),) = array["pieces"]
    assert rows == 8
    for row in (0, 7):
        sample = content[offset + row * 84672 :][:84672]
        assert sample == load(path).trn_im[row].tobytes()
        assert array["crc32"][8 * row :][:8] == f"{crc32(sample):08x}"


def data_of(path: Path, kind: Kind) -> list[range]:
    """The spans of a file that are not its skeleton."""
    if kind == "small":
        # Photographs and crops are in strings with a length of four bytes, and nothing else is.
        content, found, at = path.read_bytes(), [], 0
        while match := re.compile(rb"h\x00T(....)", re.DOTALL).search(content, at):
            at = match.end() + int.from_bytes(match[1], "little")
            found.append(range(match.end(), at))
        return found
    return [
        range(offset, offset + length)
        for spans in layout(kind, 4, 4, 84, 84).spans().values()
        for offset, length in zip(spans.offsets.tolist(), spans.lengths.tolist(), strict=True)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_or_missing_byte_is_found(kind: Kind, tmp_path: Path) -> None:
    """All bytes of the skeleton and the trailer, and some of all the data."""
    path = small(tmp_path / "bundle.pkl", kind, num_data_aug=1)
    content = bytearray(path.read_bytes())
    data = data_of(path, kind)
    inside = {at for span in data for at in span}
    chance = random.Random(0)
    places = [at for at in range(len(content)) if at not in inside]
    places += [chance.choice(span) for span in data for _ in range(9)]
    places += [edge for span in data for edge in (span[0], span[-1])]
    for at in places:
        bit = 1 << chance.randrange(8)
        content[at] ^= bit
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"bundle\.pkl: "):
            verify(path)
        try:
            load(path)
        except ValueError as error:
            assert "bundle.pkl" in str(error)
        content[at] ^= bit
    for end in [*range(0, len(content), 9973), *range(len(content) - 700, len(content))]:
        path.write_bytes(content[:end])
        with pytest.raises(BundleError, match=r"bundle\.pkl: "):
            verify(path)
    path.write_bytes(content)
    verify(path)


@pytest.mark.parametrize(
    "change",
    [
        ('{"format"', '{"forma"'),
        ('"options":{', '"options":[{}],"o":{'),
        ('"seed":0', '"sead":0'),
        ('"seed":0', '"seed":{}'),
        ('"seed":0', '"seed":0.5'),
        ('"test_persons":[5]', '"test_persons":5'),
        ('"num_data_aug":2', '"num_data_aug":99999999999'),
        ('"num_data_aug":2', '"num_data_aug":0'),
        ('"arrays":{', '"arrays":null,"a":{'),
        ('"crc32":"', '"crc32":"\u2028'),
        ('"database":"', '"database":"\\u001b[2J'),
        ('"database":"', '"database":"other'),
        ('"options":', '"x":' + "[" * 100_000 + "]" * 100_000 + ',"options":'),
    ],
)
def test_a_forged_trailer_is_an_error(change: tuple[str, str], tmp_path: Path) -> None:
    """Its own checksum is right."""
    path = small(tmp_path / "bundle.pkl")
    content = path.read_bytes()
    end = layout("any", 8, 4, 84, 84).length
    text = content[end:].split(b"\n")[1]
    forged = text.replace(change[0].encode(), change[1].encode(), 1)
    assert forged != text
    path.write_bytes(content[:end] + b"\n" + forged + b"\ncrc32 %08x\n" % crc32(forged))
    with pytest.raises(BundleError, match=r"^[ -~]*$"):
        verify(path, SMALL_DATABASE)


def test_damage_is_told_by_row(tmp_path: Path) -> None:
    path = small(tmp_path / "bundle.pkl")
    content = bytearray(path.read_bytes())
    spans = layout("any", 8, 4, 84, 84).spans()
    for name, span in (("trn_im", 3), ("test_im", 0), ("test_output", 0)):
        content[int(spans[name].offsets[span]) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        verify(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1].split(" (")[0] for line in lines] == [
        "trn_im row 3",
        "test_im row 0",
        "test_output rows 0 to 3",
    ]
    with pytest.raises(ValueError, match="trn_im row 3"):
        load(path, verify=True)
    done = command("verify", path)
    assert done.returncode == 1
    assert done.stderr.count("headpose-fast: error: ") == 3


def test_a_file_of_another_database_or_of_other_pixels_is_found(tmp_path: Path) -> None:
    path = small(tmp_path / "bundle.pkl")
    files = members(SMALL_DATABASE)
    name = next(name for name in files if name.endswith(".txt"))
    files[name] = files[name].replace(b"Face\n1", b"Face\n1", 1).rstrip() + b"\n \n"
    other = write_tar(tmp_path / "other.tar", files)
    with pytest.raises(BundleError, match="made from a database other than"):
        verify(path, other)

    # A file that is whole, but not what the database makes: one of another seed, told as this one.
    forged = small(tmp_path / "forged.pkl", seed=1)
    content = forged.read_bytes().replace(b'"seed":1', b'"seed":0')
    plan = layout("any", 8, 4, 84, 84)
    text = content[plan.length :].split(b"\n")[1]
    forged.write_bytes(content[: plan.length] + b"\n" + text + b"\ncrc32 %08x\n" % crc32(text))
    verify(forged)
    with pytest.raises(BundleError, match=r"trn_im row 0 .* is not what the database makes"):
        verify(forged, SMALL_DATABASE)


def test_the_command(tmp_path: Path) -> None:
    path = small(tmp_path / "bundle.pkl")
    done = command("verify", path)
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert "12 samples have the right checksums" in done.stderr
    done = command("verify", path, "--input", SMALL_DATABASE, "--workers", "2", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")
    assert command("verify").returncode == 2
    assert "usage: headpose-fast verify" in command("verify", "--help").stdout
    done = command("verify", SMALL_DATABASE)
    assert done.returncode == 1
    assert "not a bundle" in done.stderr
