"""Archives in the input: the same stacks as from a folder, and a row for whatever is wrong with them."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import enhanced, instance, outcome, pixels, run, save, series, settings_for
from pydicom.uid import DeflatedExplicitVRLittleEndian

from paraspinal.core.archives import bounds
from paraspinal.core.archives import files as archives
from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest.reading import archive_file
from paraspinal.stages.ingest.reading.archive_file import read_archive
from paraspinal.stages.ingest.reading.dicom_file import read_dicom
from paraspinal.stages.ingest.reading.walk import Found
from paraspinal.stages.ingest.stacking.stack_store import Piece
from paraspinal.stages.ingest.stacking.stacks import pixel_hash

GOOD = ("ok", None, 6)


def images(folder: Path, n: int = 6, **tags: Any) -> dict[str, bytes]:
    """A series as file names and contents; only its files, nothing stays in ``folder``."""
    found = {}
    for path in save(series(n, **tags), folder):
        found[path.name] = path.read_bytes()
        path.unlink()
    folder.rmdir()
    return found


def pack(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write an archive by the suffix of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:" if path.suffix == ".tar" else f"w:{path.suffix[1:]}") as tar:
            for name, content in files:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def found(path: Path) -> Found:
    """The archive as the walk finds it."""
    state = path.stat()
    return Found(os.fsencode(path), state.st_size, state.st_mtime_ns)


def details(rows: Iterable[Row]) -> dict[tuple[str, str | None, str | None], int]:
    """Number of files by (status, reason, detail)."""
    return {(row["status"], row["reason_code"], row["detail"]): row["n_files"] for row in rows}


def mixed(folder: Path) -> None:
    """A small exam with everything that needs care: copies, an enhanced file, strangers, a broken slice."""
    save(series(6, SeriesNumber=1), folder / "a")
    save([*series(4, SeriesNumber=2), *series(4, SeriesNumber=2)], folder / "b", DeflatedExplicitVRLittleEndian)
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(4)]
    kinds = [{"image_type": ["DERIVED", "PRIMARY", "DIXON", word]} for word in ("WATER", "FAT")]
    volumes = [(np.stack([pixels((n, k)) for k in range(4)]), places, kind) for n, kind in enumerate(kinds)]
    save([enhanced(volumes, SeriesNumber=3)], folder / "c")
    broken = save(series(5, SeriesNumber=4), folder / "d")[2]
    broken.write_bytes(broken.read_bytes()[:-100])
    for name, content in {"readme.txt": b"", ".DS_Store": b"x", "notes": b"hello", "b/empty.dcm": b""}.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_an_archive_gives_the_stacks_of_the_folder_it_was_made_of(tmp_path: Path, suffix: str) -> None:
    mixed(tmp_path / "plain" / "in")
    root = tmp_path / "plain" / "in"
    files = [(str(p.relative_to(root)), p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()]
    pack(tmp_path / "packed" / "in" / f"exam{suffix}", files)
    plain_summary, plain = run(tmp_path / "plain")
    private = tmp_path / "packed" / "private"  # the same key, so that names can be compared
    private.mkdir(mode=0o700)
    shutil.copy2(tmp_path / "plain" / "private" / "identity.key", private)
    packed_summary, packed = run(tmp_path / "packed")
    assert packed_summary.n_files == plain_summary.n_files == len(files)
    assert outcome(packed) == outcome(plain)

    def shown(rows: list[Row]) -> list[Row]:
        return sorted(({k: v for k, v in r.items() if k != "stack_id" or r["subject"]} for r in rows), key=str)

    assert shown(packed) == shown(plain)


def test_members_are_read_as_files_are(tmp_path: Path) -> None:
    mixed(tmp_path / "in")
    paths = sorted(p for p in (tmp_path / "in").rglob("*.dcm") if p.stat().st_size)
    packed = pack(tmp_path / "x.tar.gz", [(str(p), p.read_bytes()) for p in paths])
    own, *reads = read_archive(found(packed), 1 << 30)
    assert own == (os.fsencode(packed), packed.stat().st_size, packed.stat().st_mtime_ns, None, None)
    assert len(reads) == len(paths)
    for path, (name, size, _, _, record) in zip(paths, reads, strict=True):
        plain = read_dicom(os.fsencode(path), path.stat().st_size, True)
        assert record is not None
        assert (name, size) == (os.fsencode(packed) + b"\0" + os.fsencode(path), packed.stat().st_size)
        offset = plain.values["pixel_offset"]
        hashed = pixel_hash(Piece(os.fsencode(path), None, offset, plain.values.get("pixel_sha256")))
        assert record.values.pop("pixel_sha256") == hashed
        plain.values.pop("pixel_sha256", None)
        assert record == plain


def test_a_copy_in_an_archive_is_left_out_without_opening_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = images(tmp_path / "x")
    save(series(6), tmp_path / "in" / "plain")
    pack(tmp_path / "in" / "copy.zip", files.items())
    opened = 0
    inside = archive_file.members

    def counted(*args: Any) -> Any:
        nonlocal opened
        opened += 1
        return inside(*args)

    monkeypatch.setattr(archive_file, "members", counted)
    _, rows = run(tmp_path)
    assert outcome(rows) == [("warn", "DUP_IDENTICAL", 12)]
    assert opened == 1


def test_a_series_resent_in_an_archive_is_set_aside(tmp_path: Path) -> None:
    save(series(6, seed="x"), tmp_path / "in" / "plain")
    again = series(6, seed="x")
    for number, ds in enumerate(again):
        ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.3", f"1.2.3.{number + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    save(again, tmp_path / "again")
    pack(tmp_path / "in" / "again.tar.bz2", [(p.name, p.read_bytes()) for p in sorted((tmp_path / "again").iterdir())])
    assert outcome(run(tmp_path)[1]) == [("excluded", "DUP_IDENTICAL", 6), GOOD]


@pytest.mark.parametrize(("is_other", "reason"), [(True, "FOURD_UNEXPECTED"), (False, "DUP_IDENTICAL")])
def test_deflated_slices_are_compared_pixel_by_pixel(tmp_path: Path, is_other: bool, reason: str) -> None:
    """Their pixel offset counts inflated bytes and leads beyond the end of the file."""
    image = pixels("large", 128, 128)
    one, other = series(4, pixel_array=image), series(4, pixel_array=image)
    for number, ds in enumerate(other):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        if is_other:
            raw = bytearray(ds.PixelData)
            raw[8000] ^= 1  # between the bytes that the header pass samples
            ds.PixelData = bytes(raw)
    for ds in (*one, *other):
        ds.add_new((0x0029, 0x1010), "OB", bytes(100_000))  # inflates to far more than the file
    save([*one, *other], tmp_path / "in", DeflatedExplicitVRLittleEndian)
    ((_, found_reason, _),) = outcome(run(tmp_path)[1])
    assert found_reason == reason


def test_a_second_run_reads_what_has_changed_only(tmp_path: Path) -> None:
    first = pack(tmp_path / "in" / "one.zip", images(tmp_path / "x", SeriesNumber=1).items())
    pack(tmp_path / "in" / "two.tar.gz", images(tmp_path / "x", SeriesNumber=2).items())
    assert (run(tmp_path)[0].n_files, run(tmp_path)[0].n_read) == (12, 0)
    pack(first, list(images(tmp_path / "x", SeriesNumber=1).items())[:5])
    os.utime(first, ns=(1, 1))
    summary, rows = run(tmp_path)
    assert (summary.n_files, summary.n_read, outcome(rows)) == (11, 5, [("ok", None, 5), GOOD])
    first.unlink()
    summary, rows = run(tmp_path)
    assert (summary.n_files, summary.n_read, outcome(rows)) == (6, 0, [GOOD])


def test_several_processes_read_several_archives(tmp_path: Path) -> None:
    for number in range(3):
        files = images(tmp_path / "x", PatientID=f"P{number}", SeriesNumber=number)
        pack(tmp_path / "in" / f"{number}.zip", files.items())
    summary, rows = run(tmp_path, ingest={"workers": 2})
    assert (summary.n_files, summary.n_sessions, outcome(rows)) == (18, 3, [GOOD] * 3)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_what_is_no_image_is_told_and_nothing_is_unpacked(tmp_path: Path, suffix: str) -> None:
    inner = pack(tmp_path / "inner.zip", images(tmp_path / "x").items()).read_bytes()
    report = save([instance("sr", Modality="SR")], tmp_path / "sr")[0].read_bytes()
    others = {
        "inner.zip": inner, "deeper.TAR.GZ": inner, "foreign.7z": b"7z", "T2w.nii.gz": gzip.compress(b"nifti"),
        "T2w.nii": b"nifti", "__MACOSX/._IM1.dcm": b"x", "notes.txt": b"", "readme": b"hello", "report": report,
        "empty.dcm": b"", "garbage.dcm": b"garbage" * 100,
    }  # fmt: skip
    pack(tmp_path / "in" / f"exam{suffix}", [*images(tmp_path / "x").items(), *others.items()])
    before = sorted(tmp_path.rglob("*"))
    summary, rows = run(tmp_path)
    nested = "an archive within an archive; unpack it to use what is inside"
    assert details(rows) == {
        ("warn", "DICOM_TRUNCATED", "2 unreadable files beside its slices"): 6,
        ("excluded", "NOT_AN_IMAGE", nested): 3,
        ("excluded", "NOT_AN_IMAGE", "NIfTI in an archive; unpack it to use it"): 2,
        ("excluded", "NOT_AN_IMAGE", "a hidden file"): 1,
        ("excluded", "NOT_AN_IMAGE", "an empty text file"): 1,
        ("excluded", "NOT_AN_IMAGE", "not a DICOM file"): 1,
        ("excluded", "NOT_AN_IMAGE", "a report or another object without an image"): 1,
        ("failed", "DICOM_TRUNCATED", "an empty file"): 1,
        ("failed", "DICOM_UNREADABLE", "no DICOM header"): 1,
    }
    assert summary.n_files == 17
    ours = {tmp_path / "results", tmp_path / "private"}
    new = [p for p in sorted(tmp_path.rglob("*")) if p not in before and not ours & {p, *p.parents}]
    assert new == []


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_names_that_lead_elsewhere_are_names_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    files = images(tmp_path / "x", 5)
    names = ["../../evil.dcm", "/etc/evil.dcm", "a;rm -rf ~", "`id`.dcm", "\u202egnp.dcm"]
    pack(tmp_path / "in" / f"exam{suffix}", zip(names, files.values(), strict=True))
    before = set(tmp_path.parent.rglob("*evil*"))
    _, rows = run(tmp_path)
    assert outcome(rows) == [("ok", None, 5)]
    assert set(tmp_path.parent.rglob("*evil*")) == before
    for path in (tmp_path / "results").rglob("*"):
        assert not path.is_file() or b"evil" not in path.read_bytes()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_members_of_one_name_are_all_there(tmp_path: Path, suffix: str) -> None:
    files = images(tmp_path / "x")
    pack(tmp_path / "in" / f"exam{suffix}", [("IM.dcm", content) for content in files.values()])
    assert outcome(run(tmp_path)[1]) == [GOOD]


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    files = images(tmp_path / "x")
    secret = tmp_path / "secret.dcm"
    secret.write_bytes(next(iter(files.values())))
    path = pack(tmp_path / "in" / "exam.tar", files.items())
    with tarfile.open(path, "a") as archive:
        for name, kind, target in (
            ("soft.dcm", tarfile.SYMTYPE, str(secret)),
            ("hard.dcm", tarfile.LNKTYPE, "IM0001.dcm"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    summary, rows = run(tmp_path)
    assert summary.n_files == 8
    assert details(rows) == {("ok", None, None): 6, ("excluded", "NOT_AN_IMAGE", bounds.LINK): 2}


def test_empty_archives_are_one_row(tmp_path: Path) -> None:
    pack(tmp_path / "in" / "a.zip", [])
    pack(tmp_path / "in" / "b.tar.gz", [])
    (tmp_path / "in" / "c.zip").write_bytes(b"")
    summary, rows = run(tmp_path)
    assert summary.n_files == 3
    assert outcome(rows) == [
        ("excluded", "NOT_AN_IMAGE", 1), ("excluded", "NOT_AN_IMAGE", 1), ("failed", "DICOM_TRUNCATED", 1)
    ]  # fmt: skip


def test_an_encrypted_archive_is_one_row(tmp_path: Path) -> None:
    path = pack(tmp_path / "in" / "exam.zip", images(tmp_path / "x").items())
    raw = bytearray(path.read_bytes())
    for place in range(len(raw)):
        if raw[place : place + 4] == b"PK\x01\x02":
            raw[place + 8] |= 1
    path.write_bytes(bytes(raw))
    assert details(run(tmp_path)[1]) == {("failed", "DICOM_UNREADABLE", "an encrypted archive"): 1}


def test_a_bomb_keeps_what_came_before_and_is_told(tmp_path: Path) -> None:
    files = [*images(tmp_path / "x").items(), *((f"z{n}.dcm", bytes(1 << 22)) for n in range(4))]
    pack(tmp_path / "in" / "a" / "bomb.zip", files)
    save(series(6, PatientID="other"), tmp_path / "in" / "b")
    summary, rows = run(tmp_path, ingest={"workers": 1, "max_archive_gib": 2**-8})  # 4 MiB
    assert details(rows) == {
        ("ok", None, None): 6,
        ("warn", "DICOM_TRUNCATED", "1 unreadable files beside its slices"): 6,
        ("failed", "DICOM_UNREADABLE", bounds.TOO_BIG): 1,
    }
    assert summary.n_files == 13


def test_a_bomb_of_archives_within_archives_is_not_followed(tmp_path: Path) -> None:
    layer = pack(tmp_path / "x.zip", [(f"{n}.dcm", bytes(1 << 20)) for n in range(8)]).read_bytes()
    for _ in range(3):
        layer = pack(tmp_path / "x.zip", [(f"{n}.zip", layer) for n in range(8)]).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "42.zip").write_bytes(layer)
    (row,) = run(tmp_path)[1]
    assert (row["status"], row["reason_code"], row["n_files"]) == ("excluded", "NOT_AN_IMAGE", 8)


def test_a_size_that_lies_makes_a_damaged_file_only(tmp_path: Path) -> None:
    path = pack(tmp_path / "in" / "exam.zip", images(tmp_path / "x").items())
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 24 : place + 28] = b"\x10\0\0\0"
    path.write_bytes(bytes(raw))
    assert details(run(tmp_path)[1]) == {
        ("warn", "DICOM_TRUNCATED", "1 unreadable files beside its slices"): 5,
        ("failed", "DICOM_UNREADABLE", bounds.FILE_DAMAGED): 1,
    }


def test_a_cut_zip_is_one_row(tmp_path: Path) -> None:
    path = pack(tmp_path / "in" / "exam.zip", images(tmp_path / "x").items())
    path.write_bytes(path.read_bytes()[:-40])
    assert details(run(tmp_path)[1]) == {("failed", "DICOM_UNREADABLE", bounds.DAMAGED): 1}


def test_a_cut_tar_warns_the_series_at_the_cut_and_no_other(tmp_path: Path) -> None:
    rng = random.Random(0)
    files = [("a/" + name, content) for name, content in images(tmp_path / "x", SeriesNumber=1).items()]
    files += [("b/" + name, content) for name, content in images(tmp_path / "x", SeriesNumber=2).items()]
    files += [("b/more.dcm", rng.randbytes(50_000))]
    path = pack(tmp_path / "in" / "exam.tar.gz", files)
    path.write_bytes(path.read_bytes()[:-30_000])
    summary, rows = run(tmp_path)
    by_series = {row["series_number"]: (row["status"], row["reason_code"]) for row in rows if row["series_number"]}
    assert by_series == {1: ("ok", None), 2: ("warn", "DICOM_TRUNCATED")}
    assert details(rows)["failed", "DICOM_UNREADABLE", bounds.CUT] == 1
    assert summary.n_files == 13


def test_ten_thousand_small_members_are_all_told(tmp_path: Path) -> None:
    files = [(f"{n // 100}/{n}.txt", b"text %d" % n) for n in range(10_000)]
    pack(tmp_path / "in" / "many.tar.gz", [*files, *images(tmp_path / "x").items()])
    summary, rows = run(tmp_path)
    assert summary.n_files == 10_006
    assert sum(row["n_files"] for row in rows if row["detail"] == "not a DICOM file") == 10_000
    assert GOOD in outcome(rows)


def test_a_disk_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path / "in" / "exam.zip", images(tmp_path / "x").items())

    def broken(*_: Any) -> Any:
        raise OSError("an input archive cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(archive_file, "members", broken)
        assert details(run(tmp_path)[1]) == {("failed", "DICOM_UNREADABLE", "the file cannot be read"): 1}
    assert outcome(run(tmp_path)[1]) == [GOOD]


def test_no_name_from_an_archive_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = images(tmp_path / "x")
    named = [(f"canary-{n}/canary.dcm", content) for n, content in enumerate(files.values())]
    pack(tmp_path / "in" / "canary.zip", [*named, ("canary.txt", b"x"), ("canary.dcm", b"canary" * 30)])
    cut = pack(tmp_path / "in" / "canary.tar.gz", named)
    cut.write_bytes(cut.read_bytes()[:-100])
    with caplog.at_level("DEBUG"):
        run(tmp_path)
    assert "canary" not in caplog.text
    for path in (tmp_path / "results").rglob("*"):
        assert "canary" not in str(path.relative_to(tmp_path))
        assert not path.is_file() or b"canary" not in path.read_bytes()


def test_the_default_limit_comes_from_the_settings(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert settings_for(tmp_path).ingest.max_archive_gib == 50
    assert archives.SUFFIXES[0] == b".zip"
