"""Nobody is identified: canaries in every text an input can hold, and every byte of every output searched for them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom._dicom_dict import DicomDictionary

from paraspinal.core.identity import Identity
from paraspinal.stages.convert.stage import SIDECAR_COLUMNS, SIDECAR_NUMBERS

from .canaries import IMAGE_MEANING, NUMBERS, TEXT_VRS, Canaries, text_elements
from .canary_study import FOREIGN_NAMES, CanaryStudy, iso, make_canary_study
from .conftest import Study
from .leaks import Hit, Search, views

pytestmark = [pytest.mark.workflow, pytest.mark.filterwarnings("ignore:.*:UserWarning")]

SEED = int.from_bytes(os.urandom(4), "big")
OPTIONS = ("--set", "failure_limit.max_failed_frac=1.0", "--set", "shard_size=8")


def search(made: CanaryStudy) -> Search:
    """Look for every canary, the names ASCII cannot write, and the path of the input."""
    return made.search([*FOREIGN_NAMES, *NUMBERS.values()])


def said(done: subprocess.CompletedProcess[str], made: CanaryStudy) -> list[Hit]:
    """What a process let slip on its way."""
    return list(search(made).hits("stdout and stderr", (done.stdout + done.stderr).encode()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CanaryStudy:
    print(f"canaries from seed {SEED}")
    return make_canary_study(tmp_path_factory.mktemp("canary"), SEED)


@pytest.fixture(scope="module")
def killed(made: CanaryStudy) -> list[Hit]:
    """What a run left in its results when everything it had started was killed in the middle of segmenting."""
    study = made.study
    process = subprocess.Popen(
        [*study.command, *study.options, *OPTIONS],
        env=study.environment,
        cwd=study.root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list((study.results / "receipts" / "segment").glob("sub-*.json.gz")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (study.results / "tables" / "metrics.parquet").exists()
    return search(made).folder(study.results)


@pytest.fixture(scope="module")
def finished(made: CanaryStudy, killed: list[Hit]) -> subprocess.CompletedProcess[str]:
    """The same run brought to its end."""
    return made.study.run(*OPTIONS)


def test_every_text_element_of_the_dictionary_is_covered() -> None:
    filled = {keyword for _, _, keyword in text_elements()}
    of_images = {
        keyword
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in TEXT_VRS and keyword and 0x00040000 <= tag < 0x7FE00000
    }
    assert of_images - filled == set(IMAGE_MEANING) & of_images
    assert len(filled) > 1800
    assert set(IMAGE_MEANING) <= {entry[4] for entry in DicomDictionary.values()}


def test_what_was_killed_let_nothing_slip(killed: list[Hit]) -> None:
    assert killed == []


def test_a_finished_run_lets_nothing_slip(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    assert said(finished, made) == []
    assert search(made).folder(made.study.results) == []
    beside = {path.name for path in made.study.root.iterdir()}
    assert beside == {"results", "private", "project", "plain", made.study.input_name}


EXPLAIN = """
import sys
from paraspinal.cli.main import main
out, *stacks = sys.argv[1:]
for stack in stacks:
    assert main(["why", stack, "--out", out]) == 0, stack
assert main(["status", "--json", "--out", out]) == main(["plan", "--look", "--out", out]) == 0
"""


def test_the_commands_that_explain_let_nothing_slip(
    made: CanaryStudy, finished: subprocess.CompletedProcess[str]
) -> None:
    stacks = list(made.study.content()["inventory"].stack_id)
    command = [sys.executable, "-c", EXPLAIN, str(made.study.results), *stacks]
    done = subprocess.run(command, env=made.study.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("What came in") == len(stacks)
    assert said(done, made) == []


def test_every_kind_of_failure_was_there(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    """Without failures at every stage the search above would prove little."""
    tables = made.study.content()
    columns = ["decided_by", "status", "reason_code"]
    stacks = set(tables["inventory"][columns].astype(object).fillna("").itertuples(index=False, name=None))
    assert stacks >= {
        ("ingest", "ok", ""),
        ("ingest", "excluded", "NOT_AN_IMAGE"),
        ("ingest", "excluded", "NOT_MR"),
        ("ingest", "excluded", "TOO_FEW_SLICES"),
        ("ingest", "failed", "DICOM_TRUNCATED"),
        ("ingest", "failed", "DICOM_UNREADABLE"),
        ("ingest", "failed", "BAD_SPACING"),
        ("ingest", "failed", "SLICE_MISSING"),
        ("ingest", "failed", "MIXED_PATIENTS"),
        ("convert", "failed", "CONSTANT_IMAGE"),
    }
    assert ("failed", "SEG_EMPTY") in set(tables["scans"][["status", "reason_code"]].itertuples(index=False, name=None))
    assert "DIXON_GRID_MISMATCH" in set(tables["scans"].fi_reason_code)
    assert set(tables["inventory"].source) == {"dicom", "nifti", "other"}


def test_what_science_needs_survives(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    scans = made.study.content()["scans"]
    (sound,) = {row.subject for row in scans[scans.role == "spine"].itertuples()}
    own = scans[scans.subject == sound]
    known = own[["manufacturer", "scanner_model", "field_strength_t", "sex", "age_years"]].drop_duplicates()
    assert known.values.tolist() == [["Siemens", "skyra", 3.0, "F", 90.0]]
    identity = Identity.load(made.study.root / "private")
    assert set(own.site) == {identity.pseudonym("site", made.institution)}
    assert scans.site.nunique() > 3
    unknown = scans[scans.scanner_model.str.startswith("other-", na=False)]
    assert set(unknown.manufacturer) == {"other"}
    assert (own.status == "ok").all()
    metrics = made.study.content()["metrics"]
    assert metrics[metrics.subject == sound].volume_mm3.notna().any()
    assert metrics[metrics.subject == sound].level_numbering.eq("counted_from_sacrum").any()


def test_images_carry_no_text(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    images = list(made.study.results.rglob("*.nii.gz"))
    assert len(images) > 10
    for path in images:
        header = nibabel.load(path).header
        texts = [bytes(header[name]).strip(b"\0 ") for name in ("descrip", "aux_file", "intent_name", "db_name")]
        assert texts == [b""] * 4, path.name
        assert len(header.extensions) == 0
        assert path.read_bytes()[3] == 0, "gzip keeps a file name"
    sidecars = list((made.study.results / "images").rglob("*.json"))
    allowed = {*SIDECAR_NUMBERS, *SIDECAR_COLUMNS, "Manufacturer", "ManufacturersModelName"}
    assert sidecars
    for path in sidecars:
        assert set(json.loads(path.read_text())) <= allowed
    pictures = list(made.study.results.rglob("*.png"))
    assert pictures
    assert all(not Image.open(path).info.keys() & {"Comment", "Description", "exif"} for path in pictures)


def test_private_things_are_private(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    private = made.study.root / "private"
    for path in (private, *private.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path.relative_to(private)


def test_the_search_finds_what_is_there(made: CanaryStudy, finished: subprocess.CompletedProcess[str]) -> None:
    """The private folder and the input hold what the results must not: in a database, in tables, in plain."""
    hits = search(made).folder(made.study.root / "private")
    assert {".sqlite", ".parquet", ".json", ".yaml"} <= {Path(hit.place.split(",")[0]).suffix for hit in hits}
    assert {"sound PatientID", "faulty Manufacturer", "a member", "the input folder"} <= {hit.what for hit in hits}
    assert len({hit.place for hit in search(made).folder(made.study.dicom)}) > 100


def test_a_key_that_others_can_read_is_refused_before_anything_is_written(made: CanaryStudy, tmp_path: Path) -> None:
    for mode in (0o640, 0o604):
        shutil.rmtree(tmp_path / "private", ignore_errors=True)
        Identity.load(tmp_path / "private")
        (tmp_path / "private" / "identity.key").chmod(mode)
        command = [sys.executable, "-m", "paraspinal", "run", str(made.study.dicom), "--out", str(tmp_path / "out")]
        command += ["--set", f"private_dir={tmp_path / 'private'}"]
        done = subprocess.run(
            command, env=made.study.environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 6, done.stderr
        assert "can be read by other users" in done.stderr
        assert said(done, made) == []
        assert not (tmp_path / "out").exists()
        assert [path.name for path in (tmp_path / "private").rglob("*")] == ["identity.key"]


FAULTY_CONVERT = """
from dataclasses import replace as _replace

from paraspinal.core.records.items import per_item as _per_item
from paraspinal.stages.convert.sources import read_index as _read_index


def _path(row, work):
    return _read_index(work.results, work.settings.private_path, work.shard)[row["stack_id"]].paths[0]


def _faulty(row, work):
    raise ValueError(f"cannot make sense of {_path(row, work)}")


def _process(rows, work):
    done = _per_item(_faulty)(rows, work)
    for row in rows:
        if row["plane"] == "sagittal":
            raise OSError(5, "Input/output error", _path(row, work))
    return done


STAGE = _replace(STAGE, process=_process)
"""
FAULTY_READER = """


def read_one(file, *more):
    raise ValueError(f"cannot make sense of {file.path!r}")
"""


def edited(made: CanaryStudy, root: Path, module: str, code: str) -> Study:
    """The same input for a copy of the checkout with code at the end of a module, and results of its own."""
    shutil.copytree(made.study.project, root / "project")
    (path,) = (root / "project" / "workflow" / "paraspinal" / "stages").glob(f"**/{module}")
    path.write_text(path.read_text() + code)
    study = Study(root, os.path.relpath(made.study.dicom, root))
    (root / "here").mkdir()
    return study


def test_the_engine_and_faults_of_ours_let_nothing_slip(made: CanaryStudy, tmp_path: Path) -> None:
    """The engine's own command line, where one image meets a bug and another a drive that fails."""
    study = edited(made, tmp_path, "convert/__init__.py", FAULTY_CONVERT)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(study.project / "Snakefile")]
    command += ["--config", f"input={study.dicom.resolve()}", "out=../results", "private_dir=../private"]
    done = subprocess.run(
        command, cwd=tmp_path / "here", env=study.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    log = (study.results / "logs" / "convert" / "shard-00001.log").read_text()
    assert "ValueError at __init__.py" in log
    assert "OSError" in log
    assert "Input/output error" in log
    assert said(done, made) == []
    found = search(made)
    assert found.folder(study.results) == []
    assert list((tmp_path / "here").rglob("*.snakemake.log"))
    assert found.folder(tmp_path / "here") == []


def test_a_fault_in_the_header_pass_lets_nothing_slip(made: CanaryStudy, tmp_path: Path) -> None:
    study = edited(made, tmp_path, "header_pass.py", FAULTY_READER)
    done = study.run(check=False)
    assert done.returncode != 0
    assert "ValueError" in (study.results / "logs" / "ingest.log").read_text()
    assert said(done, made) == []
    assert search(made).folder(study.results) == []


# Positive control: every form and every container, with something in it.


def _planted(canaries: Canaries) -> dict[str, Callable[[Path], object]]:
    word, day = canaries.word("planted"), canaries.date()
    raw = word.encode()

    def png(path: Path, info: PngInfo | None = None, pixels: bytes = b"") -> None:
        Image.frombytes("L", (64, 4), pixels.ljust(256, b"\0")).save(path, format="PNG", pnginfo=info)

    def text_chunk(path: Path) -> None:
        info = PngInfo()
        info.add_text("Comment", word * 40, zip=True)
        png(path, info)

    def image(path: Path) -> None:
        made = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
        made.header["aux_file"] = word
        path.write_bytes(gzip.compress(made.to_bytes()))

    def database(path: Path) -> None:
        with sqlite3.connect(path) as base:
            base.execute("create table t (a text)")
            base.execute("insert into t values (?)", (word,))

    def table(path: Path, values: list[str], metadata: dict[str, str] | None = None) -> None:
        fields = pa.schema([pa.field("a", pa.string())], metadata=metadata)
        pq.write_table(pa.table({"a": values}, schema=fields), path, compression="zstd")

    def page(path: Path) -> None:
        png(path, pixels=raw)
        path.write_text(f'<img src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">')

    def archive(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("member", raw * 50)

    def name(path: Path) -> None:
        (path.parent / base64.urlsafe_b64encode(f"a/{word}.txt".encode()).decode()).write_text("")

    return {
        "plain": lambda path: path.write_bytes(b"x" + raw),
        "upper": lambda path: path.write_bytes(raw.upper()),
        "utf-16": lambda path: path.write_bytes(b"x" + word.encode("utf-16-le")),
        "hex": lambda path: path.write_bytes(raw.hex().upper().encode()),
        **{f"base64 {k}": lambda path, k=k: path.write_bytes(base64.b64encode(b"~" * k + raw)) for k in range(3)},
        **{f"base32 {k}": lambda path, k=k: path.write_bytes(base64.b32encode(b"~" * k + raw)) for k in range(5)},
        "urlsafe": lambda path: path.write_bytes(base64.urlsafe_b64encode(b"??" + raw.upper())),
        "date": lambda path: path.write_text(f"seen {day}."),
        "iso date": lambda path: path.write_text(f"{iso(day)}T00:00"),
        "german date": lambda path: path.write_text(f"am {day[6:]}.{day[4:6]}.{day[:4]}"),
        "time": lambda path: path.write_text(canaries.value("TM", "")),
        "uid": lambda path: path.write_text(canaries.uid("")),
        "foreign json": lambda path: path.write_text(json.dumps({"a": FOREIGN_NAMES[2]})),
        "foreign latin": lambda path: path.write_bytes(FOREIGN_NAMES[1].encode("latin-1")),
        **{
            f"{kind} of an identifier": lambda path, kind=kind: path.write_text(
                f"sub-{hashlib.new(kind, b'MRN-1').hexdigest()[:12]}"
            )
            for kind in ("md5", "sha1", "sha256")
        },
        "digest of a date": lambda path: path.write_text(hashlib.sha256(iso(day).encode()).hexdigest()),
        "base32 digest": lambda path: path.write_text(
            base64.b32encode(hashlib.sha256(b"MRN-1").digest()).decode().lower()[:12]
        ),
        "gzip": lambda path: path.write_bytes(gzip.compress(raw)),
        "png pixels": lambda path: png(path, pixels=raw),
        "png text": text_chunk,
        "nifti": image,
        "sqlite": database,
        "parquet": lambda path: table(path, [word] * 100),
        "parquet metadata": lambda path: table(path, ["x"], {"a": word}),
        "page": page,
        "zip": archive,
        "json escapes": lambda path: path.write_text('{"a": "' + "".join(f"\\u{ord(c):04x}" for c in word) + '"}'),
        "file name": lambda path: (path.parent / f"x{word}").write_text(""),
        "folder name": lambda path: (path.parent / word.upper()).mkdir(),
        "engine's file name": name,
        "link": lambda path: path.symlink_to(f"/nowhere/{word}"),
    }


CONTROL = Canaries(5)


@pytest.mark.parametrize("where", list(_planted(CONTROL)))
def test_the_search_finds_what_is_planted(tmp_path: Path, where: str) -> None:
    canaries = Canaries(5)
    _planted(canaries)[where](tmp_path / "file")
    found = Search(canaries, FOREIGN_NAMES, ["MRN-1"])
    assert found.folder(tmp_path) != []
    assert Search(Canaries(6), [], ["MRN-2"]).folder(tmp_path) == []


def test_a_hit_says_where_it_came_from(tmp_path: Path) -> None:
    canaries = Canaries(5)
    canaries.word("PatientName")
    (tmp_path / "file").write_text(canaries.word("OperatorsName"))
    assert Hit("file", "OperatorsName", "utf-8") in Search(canaries).folder(tmp_path)


def test_views_see_through_layers() -> None:
    packed = gzip.compress(gzip.compress(b"inside"))
    assert b"inside" in {content for _, content in views("file", packed)}
