"""Archives that anybody may have made: every file of them is read or told, and none gets out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from paraspinal.core.archives import bounds
from paraspinal.core.archives import files as archives
from paraspinal.core.archives import tar as archive_tar
from paraspinal.core.archives import zip as archive_zip
from paraspinal.core.archives.bounds import Member
from paraspinal.core.errors import DataError, MachineError
from paraspinal.core.vocab import Reason

GIB = 1 << 30
FILES = {"a/IM1.dcm": b"one" * 1000, "a/IM2.dcm": random.Random(1).randbytes(5000), "b/readme": b"", "IM3": b"x" * 512}
TAR_KINDS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def make_zip(path: Path, files: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = 8) -> Path:
    """Write a zip archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content, method)
    return path


def make_tar(path: Path, files: Iterable[tuple[str, bytes]], mode: str = "w", fmt: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar archive."""
    with tarfile.open(path, mode, format=fmt) as archive:
        for name, content in files:
            add(archive, name, content)
    return path


def add(
    archive: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: object
) -> None:
    """Add one member of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in more.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def read(path: Path, max_bytes: int = GIB) -> list[Member]:
    """Read all members."""
    return list(archives.members(os.fsencode(path), max_bytes))


def until_fault(path: Path, max_bytes: int = GIB) -> tuple[list[Member], str]:
    """Read members up to the fault of the archive, which must come."""
    got, fault = read_on(path, max_bytes)
    assert fault is not None
    return got, fault


def read_on(path: Path, max_bytes: int = GIB) -> tuple[list[Member], str | None]:
    """Read members as far as that goes, and what stopped it."""
    got: list[Member] = []
    found = archives.members(os.fsencode(path), max_bytes)
    try:
        got.extend(found)
    except DataError as error:
        return got, f"{error.detail}" if error.reason is Reason.DICOM_UNREADABLE else error.reason
    return got, None


def contents(found: Iterable[Member]) -> dict[bytes, bytes | None]:
    return {member.name: member.content for member in found}


EXPECTED = {name.encode(): content for name, content in FILES.items()}


# What is sound


@pytest.mark.parametrize("suffix", [".zip", *TAR_KINDS])
def test_members_are_what_was_put_in(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    files = [*FILES.items()]
    made = make_zip(path, files) if suffix == ".zip" else make_tar(path, files, TAR_KINDS[suffix])
    assert archives.is_archive(os.fsencode(made))
    assert contents(read(made)) == EXPECTED


def test_names_decide_what_is_opened_and_the_first_bytes_how(tmp_path: Path) -> None:
    assert [n for n in (b"a.ZIP", b"a.tar", b"a.TGZ", b"a.tar.xz") if not archives.is_archive(n)] == []
    assert [n for n in (b"a.nii.gz", b"a.dcm", b"zip", b"a.7z", b"a.gz") if archives.is_archive(n)] == []
    packed = make_tar(tmp_path / "x.tar.gz", FILES.items(), "w:gz").rename(tmp_path / "x.tar")
    assert contents(read(packed)) == EXPECTED
    zipped = make_zip(tmp_path / "x.zip", FILES.items()).rename(tmp_path / "y.tar")
    assert contents(read(zipped)) == EXPECTED
    tar = make_tar(tmp_path / "PK.tar", [("PK/IM1.dcm", b"not a zip")])
    assert contents(read(tar)) == {b"PK/IM1.dcm": b"not a zip"}


def test_a_zip_behind_a_program_is_read(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", FILES.items())
    path.write_bytes(b"#!/bin/sh\nexit\n" * 100 + path.read_bytes())
    assert contents(read(path)) == EXPECTED


def test_zip64_and_stored_members_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("big.dcm", "w", force_zip64=True) as member:
        member.write(b"z" * 70000)
    assert contents(read(path)) == {b"big.dcm": b"z" * 70000}


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read(tmp_path: Path, fmt: int) -> None:
    name = "/".join(["folder"] * 20) + "/" + "n" * 90
    assert contents(read(make_tar(tmp_path / "x.tar", [(name, b"1"), ("short", b"2")], fmt=fmt))) == {
        name.encode(): b"1",
        b"short": b"2",
    }


def test_names_that_are_no_text_stay_apart(tmp_path: Path) -> None:
    odd = b"\xe4\xf6\xff.dcm"
    tar = make_tar(tmp_path / "x.tar", [(os.fsdecode(odd), b"1"), ("漢字.dcm", b"2")], fmt=tarfile.GNU_FORMAT)
    assert contents(read(tar)) == {odd: b"1", "漢字.dcm".encode(): b"2"}
    zipped = make_zip(tmp_path / "x.zip", [("xyz.dcm", b"1"), ("漢字.dcm", b"2")])
    zipped.write_bytes(zipped.read_bytes().replace(b"xyz", odd[:3]))
    assert contents(read(zipped)) == {odd: b"1", "漢字.dcm".encode(): b"2"}


def test_several_streams_and_padding_make_one_archive(tmp_path: Path) -> None:
    raw = make_tar(tmp_path / "x.tar", FILES.items()).read_bytes()
    for suffix, pack in ((".tar.gz", gzip.compress), (".tar.bz2", bz2.compress), (".tar.xz", lzma.compress)):
        path = tmp_path / f"parts{suffix}"
        path.write_bytes(pack(raw[:3000]) + b"\0" * 1536 + pack(raw[3000:]) + b"\0" * 512)
        assert contents(read(path)) == EXPECTED


def test_folders_are_no_files_and_windows_separators_are_understood(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "folder", kind=tarfile.DIRTYPE)
    assert read(tmp_path / "x.tar") == []
    path = make_zip(tmp_path / "x.zip", [("f/", b""), ("f\\g\\", b""), ("f\\IM1.dcm", b"1")])
    assert contents(read(path)) == {b"f/IM1.dcm": b"1"}


def test_only_what_is_wanted_is_inflated(tmp_path: Path) -> None:
    for path in (make_zip(tmp_path / "x.zip", FILES.items()), make_tar(tmp_path / "x.tgz", FILES.items(), "w:gz")):
        found = archives.members(os.fsencode(path), GIB, lambda name: name == b"IM3")
        assert contents(found) == {name: content if name == b"IM3" else None for name, content in EXPECTED.items()}


def test_ten_thousand_small_members_take_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"f{n // 100}/{n}.dcm", str(n).encode()) for n in range(10_000)]
    path = make_tar(tmp_path / "x.tar.gz", files, "w:gz")
    n_read = 0
    inside = archive_tar._Inflated.readinto

    def counted(self: archive_tar._Inflated, buffer: memoryview) -> int:
        nonlocal n_read
        got = inside(self, buffer)
        n_read += got
        return got

    monkeypatch.setattr(archive_tar._Inflated, "readinto", counted)
    assert contents(read(path)) == {name.encode(): content for name, content in files}
    assert n_read <= 10_000 * 1024 + 20 * 512
    assert contents(read(make_zip(tmp_path / "x.zip", files))) == {name.encode(): c for name, c in files}


# What is not


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_names_that_lead_out_of_the_folder_lead_nowhere(tmp_path: Path, suffix: str) -> None:
    evil = ["../../evil", "/etc/evil", "a/../../evil", "C:/evil", "~/evil", "", "evil", "evil"]
    target = tmp_path / "safe" / "in"
    target.mkdir(parents=True)
    path = tmp_path / "safe" / f"x{suffix}"
    if suffix == ".zip":
        with pytest.warns(UserWarning, match="Duplicate name"):
            make_zip(path, [(name or "@", str(n).encode()) for n, name in enumerate(evil)])
        path.write_bytes(path.read_bytes().replace(b"@", b"\0"))  # a NUL ends a name, here before it begins
    else:
        make_tar(path, [(name, str(n).encode()) for n, name in enumerate(evil)])
    found = read(path)
    assert [member.content for member in found] == [str(n).encode() for n in range(len(evil))]
    assert [member.name for member in found][-3:] == [b"\x001", b"evil", b"evil\x002"]
    before = set(tmp_path.rglob("*"))
    places = archives.extract([os.fsdecode(os.fsencode(path) + b"\0" + member.name) for member in found], target)
    assert [Path(place).read_bytes() for place in places] == [member.content for member in found]
    assert {Path(place).parent for place in places} == {target}
    assert set(tmp_path.rglob("*")) - before == {Path(place) for place in places}


def test_links_and_devices_are_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "soft", kind=tarfile.SYMTYPE, linkname=str(tmp_path / "secret"))
        add(archive, "hard", kind=tarfile.LNKTYPE, linkname="../secret")
        add(archive, "pipe", kind=tarfile.FIFOTYPE)
        add(archive, "null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
        add(archive, "IM1.dcm", b"good")
    link, pipe = zipfile.ZipInfo("soft"), zipfile.ZipInfo("pipe")
    link.external_attr, pipe.external_attr = 0o120777 << 16, 0o010777 << 16
    make_zip(tmp_path / "x.zip", [(link, b"/etc/passwd"), (pipe, b""), ("IM1.dcm", b"good")])
    for path, n_links in ((tmp_path / "x.tar", 2), (tmp_path / "x.zip", 1)):
        *special, image = read(path)
        assert image.content == b"good"
        assert all((m.content, m.reason) == (None, Reason.NOT_AN_IMAGE) for m in special)
        assert [m.detail for m in special[:n_links]] == [bounds.LINK] * n_links
        assert {m.detail for m in special[n_links:]} == {bounds.SPECIAL}


def test_a_member_that_states_less_or_more_than_it_holds_is_never_believed(tmp_path: Path) -> None:
    good = make_zip(tmp_path / "x.zip", [("bomb", b"\0" * 100_000), ("IM1.dcm", b"good")]).read_bytes()
    place = good.rindex(b"PK\x01\x02", 0, good.rindex(b"PK\x01\x02"))
    for stated in (10, 0, 99_999):
        path = tmp_path / f"{stated}.zip"
        path.write_bytes(good[: place + 24] + struct.pack("<L", stated) + good[place + 28 :])
        bomb, image = read(path)
        assert (bomb.content, bomb.detail) in ((None, bounds.FILE_DAMAGED), (b"", ""))
        assert len(bomb.content or b"") <= stated
        assert image.content == b"good"
    (tmp_path / "more.zip").write_bytes(good[: place + 24] + struct.pack("<L", 1 << 30) + good[place + 28 :])
    assert [len(member.content or b"") for member in read(tmp_path / "more.zip")] == [100_000, 4]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_bomb_stops_at_the_limit(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [("IM1.dcm", b"good"), *((f"zeros{n}", bytes(1 << 22)) for n in range(5))]
    path = tmp_path / f"x{suffix}"
    made = make_zip(path, files) if suffix == ".zip" else make_tar(path, files, TAR_KINDS[suffix])
    got, detail = until_fault(made, max_bytes=3 << 22)
    assert detail == bounds.TOO_BIG
    assert contents(got)[b"IM1.dcm"] == b"good"
    assert sum(len(member.content or b"") for member in got) <= 3 << 22
    monkeypatch.setattr(bounds, "RATIO_FLOOR_BYTES", 1 << 22)
    got, detail = until_fault(made)
    assert detail == bounds.BOMB
    assert contents(got)[b"IM1.dcm"] == b"good"
    monkeypatch.setattr(bounds, "RATIO_FLOOR_BYTES", 1 << 28)
    assert len(read(made)) == 6  # so little is no bomb yet


def test_a_bomb_takes_no_memory_to_speak_of(tmp_path: Path) -> None:
    one = make_zip(tmp_path / "x.zip", [("zeros", bytes(1 << 27))])
    many = make_tar(tmp_path / "x.tar.bz2", [("zeros", bytes(1 << 27))], "w:bz2")
    for path in (one, many):
        tracemalloc.start()
        until_fault(path, max_bytes=1 << 23)
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
        tracemalloc.stop()


def test_layers_of_archives_are_not_followed(tmp_path: Path) -> None:
    """The well-known bomb of 42 kilobytes holds archives of archives; here the first layer is handed over as it is."""
    layer = make_zip(tmp_path / "layer.zip", [(f"zeros{n}", bytes(1 << 20)) for n in range(16)]).read_bytes()
    for depth in range(3):
        layer = make_zip(tmp_path / f"{depth}.zip", [(f"{n}.zip", layer) for n in range(16)]).read_bytes()
    path = tmp_path / "2.zip"
    found = read(path)
    assert [member.name for member in found] == [f"{n}.zip".encode() for n in range(16)]
    assert sum(len(member.content or b"") for member in found) < 1 << 22


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """As in the bomb that lays many members over one block."""
    path = make_zip(tmp_path / "x.zip", [(f"{n}", random.Random(n).randbytes(100)) for n in range(3)])
    raw = bytearray(path.read_bytes())
    places = [i for i in range(len(raw)) if raw[i : i + 4] == b"PK\x01\x02"]
    raw[places[2] + 42 : places[2] + 46] = raw[places[1] + 42 : places[1] + 46]
    path.write_bytes(bytes(raw))
    assert until_fault(path) == ([], bounds.OVERLAPPING)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"{n}", b"1") for n in range(20)]
    monkeypatch.setattr(bounds, "MAX_MEMBERS", 7)
    for path in (make_zip(tmp_path / "x.zip", files), make_tar(tmp_path / "x.tar", files)):
        got, detail = until_fault(path)
        assert (len(got), detail) == (7, bounds.TOO_MANY)
    monkeypatch.setattr(archive_zip, "MAX_DIRECTORY_BYTES", 500)
    assert until_fault(tmp_path / "x.zip") == ([], bounds.TOO_MANY)


def test_a_member_too_large_is_told_and_the_rest_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_MEMBER_BYTES", 2_000_000)
    files = [("large", random.Random(0).randbytes(5_000_000)), ("IM1.dcm", b"good")]
    for path in (
        make_zip(tmp_path / "x.zip", files),
        make_tar(tmp_path / "x.tar", files),
        make_tar(tmp_path / "x.tgz", files, "w:gz"),
    ):
        large, image = read(path)
        assert (large.content, large.reason, large.detail) == (None, Reason.DICOM_UNREADABLE, bounds.FILE_TOO_LARGE)
        assert image.content == b"good"


def test_encryption_is_told(tmp_path: Path) -> None:
    raw = bytearray(make_zip(tmp_path / "x.zip", [("a", b"1" * 50), ("b", b"2" * 50)]).read_bytes())
    places = [i for i in range(len(raw)) if raw[i : i + 4] == b"PK\x01\x02"]
    raw[places[0] + 8] |= 1
    (tmp_path / "one.zip").write_bytes(bytes(raw))
    first, second = read(tmp_path / "one.zip")
    assert (first.content, first.reason, first.detail) == (None, Reason.DICOM_UNREADABLE, bounds.FILE_ENCRYPTED)
    assert second.content == b"2" * 50
    raw[places[1] + 8] |= 1
    (tmp_path / "all.zip").write_bytes(bytes(raw))
    assert until_fault(tmp_path / "all.zip") == ([], bounds.ENCRYPTED)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_bounds_are_not_opened(tmp_path: Path, method: int) -> None:
    (member,) = read(make_zip(tmp_path / "x.zip", [("IM1.dcm", b"1" * 1000)], method))
    assert (member.content, member.detail) == (None, bounds.FILE_METHOD)


def test_a_damaged_member_of_a_zip_leaves_the_others(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", [("a", random.Random(0).randbytes(999)), ("b", b"good")])
    raw = bytearray(path.read_bytes())
    raw[400] ^= 255
    path.write_bytes(bytes(raw))
    first, second = read(path)
    assert (first.content, first.reason, first.detail) == (None, Reason.DICOM_UNREADABLE, bounds.FILE_DAMAGED)
    assert second.content == b"good"


def test_a_cut_zip_is_refused_at_every_place(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "x.zip", FILES.items()).read_bytes()
    path = tmp_path / "cut.zip"
    for length in range(0, len(raw), 37):
        path.write_bytes(raw[:length])
        assert until_fault(path) == ([], bounds.DAMAGED)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_cut_tar_keeps_what_came_before_and_tells(tmp_path: Path, suffix: str) -> None:
    files = [(f"{n}", random.Random(n).randbytes(700)) for n in range(8)]
    raw = make_tar(tmp_path / f"x{suffix}", files, TAR_KINDS[suffix]).read_bytes()
    end = len(raw) if suffix != ".tar" else 8 * 3 * 512
    path = tmp_path / f"cut{suffix}"
    most = 0
    for length in range(0, end, 173):
        path.write_bytes(raw[:length])
        got, fault = read_on(path)
        assert fault in (bounds.CUT, bounds.DAMAGED) or (fault is None and len(got) == 8)  # the last zeros do not count
        assert [m.content for m in got] == [content for _, content in files[: len(got)]]
        most = max(most, len(got))
    assert most >= 7 or suffix in (".tar.bz2", ".tar.xz")  # these come in one large block


def test_a_tar_cut_between_two_files_is_told(tmp_path: Path) -> None:
    raw = make_tar(tmp_path / "x.tar", [("a", b"1" * 512), ("b", b"2")]).read_bytes()
    (tmp_path / "cut.tar").write_bytes(raw[:1024])
    assert until_fault(tmp_path / "cut.tar") == ([Member(b"a", b"1" * 512)], bounds.CUT)


def test_a_damaged_header_in_the_middle_is_told(tmp_path: Path) -> None:
    raw = bytearray(make_tar(tmp_path / "x.tar", [("a", b"1"), ("b", b"2"), ("c", b"3")]).read_bytes())
    raw[1024 + 5] ^= 1
    (tmp_path / "x.tar").write_bytes(bytes(raw))
    assert until_fault(tmp_path / "x.tar") == ([Member(b"a", b"1")], bounds.DAMAGED)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_an_extended_header_of_any_size_takes_no_memory(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 40
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    assert until_fault(tmp_path / "x.tar") == ([], bounds.DAMAGED)


def test_a_stated_size_takes_no_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.size = bounds.MAX_MEMBER_BYTES
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    tracemalloc.start()
    assert until_fault(tmp_path / "x.tar") == ([], bounds.CUT)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@pytest.mark.parametrize(
    "records", [b"99 path=short\n", b"x path=a\n", b"1 \n", b"-5 path=a\n", b"path", b"9 size=x\n"]
)
def test_damaged_extended_headers_are_told(tmp_path: Path, records: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "header", records, tarfile.XHDTYPE)
        add(archive, "IM1.dcm", b"1")
    assert until_fault(tmp_path / "x.tar")[1] == bounds.DAMAGED


def test_sparse_files_are_told_and_the_rest_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "old", b"1" * 600, tarfile.GNUTYPE_SPARSE)
        add(archive, "map", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", tarfile.XHDTYPE)
        add(archive, "new", b"1\n0\n512\n")
        add(archive, "IM1.dcm", b"good")
    old, new, image = read(tmp_path / "x.tar")
    for member in (old, new):
        assert (member.content, member.reason, member.detail) == (None, Reason.DICOM_UNREADABLE, bounds.FILE_SPARSE)
    assert image.content == b"good"


def test_xz_that_asks_for_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_tar(tmp_path / "x.tar.xz", FILES.items(), "w:xz")
    monkeypatch.setattr(archive_tar, "MAX_XZ_MEMORY", 1 << 16)
    assert until_fault(path) == ([], bounds.DAMAGED)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
@pytest.mark.parametrize(
    "start", [b"", b"garbage" * 400, b"\x1f\x8b" + b"g" * 900, b"BZh9" + b"g" * 900, b"PK\x03\x04"]
)
def test_garbage_is_refused(tmp_path: Path, name: str, start: bytes) -> None:
    (tmp_path / name).write_bytes(start)
    got, detail = until_fault(tmp_path / name)
    assert (got, detail in (bounds.DAMAGED, bounds.CUT)) == ([], True)


def test_no_change_of_bytes_makes_it_raise_anything_else(tmp_path: Path) -> None:
    rng = random.Random(3)
    for suffix in (".zip", ".tar", ".tar.gz", ".tar.xz"):
        path = tmp_path / f"x{suffix}"
        made = make_zip(path, FILES.items()) if suffix == ".zip" else make_tar(path, FILES.items(), TAR_KINDS[suffix])
        good = made.read_bytes()
        for _ in range(150):
            raw = bytearray(good)
            for _ in range(rng.randint(1, 8)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            path.write_bytes(bytes(raw))
            got, _ = read_on(path)
            assert all((member.content is None) == (member.reason is not None) for member in got)


# Where files are


def test_paths_of_members() -> None:
    member = b"/data/a.zip\0inner/IM1.dcm"
    assert archives.split(member) == (b"/data/a.zip", b"inner/IM1.dcm")
    assert archives.split(b"/data/IM1.dcm") == (b"/data/IM1.dcm", None)
    assert archives.split(b"/data/a.zip\0") == (b"/data/a.zip", b"")
    places = {
        b"/data/IM1.dcm": (b"/data", b"IM1.dcm"),
        member: (b"/data/a.zip/inner", b"IM1.dcm"),
        b"/data/a.zip\0IM1.dcm": (b"/data/a.zip", b"IM1.dcm"),
        b"/data/a.zip\0x/IM1.dcm\x002": (b"/data/a.zip/x", b"IM1.dcm"),
    }
    for path, (folder, name) in places.items():
        assert (archives.folder_of(path), archives.name_of(path)) == (folder, name)


def test_members_of_several_archives_and_files_are_laid_side_by_side(tmp_path: Path) -> None:
    one = make_zip(tmp_path / "one.zip", FILES.items())
    two = make_tar(tmp_path / "two.tar.gz", [("a", b"first"), ("a", b"second"), ("b", b"b")], "w:gz")
    plain = tmp_path / "plain.dcm"
    plain.write_bytes(b"plain")
    paths = [f"{two}\0a\x002", str(plain), f"{one}\0IM3", f"{two}\0a", f"{two}\0a\x002"]
    (tmp_path / "out").mkdir()
    places = archives.extract(paths, tmp_path / "out")
    assert [Path(place).read_bytes() for place in places] == [b"second", b"plain", b"x" * 512, b"first", b"second"]
    assert places[1] == str(plain)
    assert {Path(place).parent for place in places} == {tmp_path, tmp_path / "out"}


def test_extracting_reads_no_further_than_it_must(tmp_path: Path) -> None:
    raw = make_tar(tmp_path / "x.tar", [("a", b"1"), ("b", b"2"), ("c", b"3")]).read_bytes()
    (tmp_path / "x.tar").write_bytes(raw[:1024] + b"broken" * 100)
    (place,) = archives.extract([f"{tmp_path}/x.tar\0a"], tmp_path)
    assert Path(place).read_bytes() == b"1"


def test_what_is_gone_is_no_fault_of_the_data(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", FILES.items())
    for wanted in (f"{path}\0gone", f"{tmp_path}/gone.zip\0IM3"):
        with pytest.raises(MachineError, match="run ingest again") as caught:
            archives.extract([wanted], tmp_path)
        assert str(tmp_path) not in str(caught.value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("lost", b"1" * 99, zipfile.ZIP_BZIP2)
    with pytest.raises(DataError) as refused:
        archives.extract([f"{path}\0lost"], tmp_path)
    assert refused.value.detail == bounds.FILE_METHOD
