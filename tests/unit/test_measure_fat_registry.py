"""A fat method is one file: what knows of it knows it by that file alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scan_factory import grid_of, scan_row, work_in

from paraspinal.core.errors import InputError
from paraspinal.core.paths import PROJECT
from paraspinal.stages.measure.fat import fat_methods
from paraspinal.stages.measure.stage import STAGE as MEASURE
from paraspinal.stages.report.data import read_fat_methods

TOY = '''"""A toy."""

import numpy as np

from paraspinal.core.vocab import Sequence
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading


def quarter(scan):
    return FatReading(lambda code, voxels: (np.full(voxels[0].size, 0.25), np.ones(voxels[0].size)))


METHOD = FatMethod(
    name="toy_quarter",
    title="A toy's quarter",
    short_name="tq",
    definition="a quarter, whatever the image",
    gate="where there is an image",
    sequences=(Sequence.PDW,),
    needs=("image_path",),
    read=quarter,
)
'''

SHIPPED = {
    "dixon_ff_ratio_of_sums": "rs",
    "dixon_ff_voxel_mean": "vm",
    "dixon_pdff_map": "pd",
    "t1t2_sat_anchored": "sa",
    "t1t2_gmm3_musclemap": "gm",
}
"""Methods and their short names; a method that joins them changes none of these."""

ASK = """
import json, sys
from pathlib import Path
from report_factory import CohortFactory
from scan_factory import grid_of, rods, run, save, scan_row, work_in
from paraspinal.cohort.running.plan import SHARD_STAGES, stage, stage_params
from paraspinal.cohort.tables.wide import wide
from paraspinal.core.vocab import Side
from paraspinal.stages.report.stage import write_report

folder = Path(sys.argv[1])
grid, work = grid_of(spacing_mm=(2.0, 2.0, 8.0)), work_in(folder)
labels = rods(grid, {side: 16.0 for side in Side})
save(folder, grid, dseg=labels, image=labels)
scan = {s: scan_row(grid, sequence=s, dseg_path="dseg.nii.gz", image_path="image.nii.gz") for s in ("PDw", "T1w")}
(measured,) = run(stage("measure"), run(stage("levels"), [scan["PDw"]], work), work)
known = {(m["fi_method"], m["fi"], m["fi_reason_code"]) for m in measured["metrics"] if m["acsa_mm2"]}
make = CohortFactory(folder / "cohort")
make.measure(make.scan("p1", 1, "a", sequence="PDw"), methods=tuple(method for method, _, _ in known))
results = make.write()
recipe = stage("measure").recipe(work.settings)
print(json.dumps({
    "measured": sorted(known, key=str),
    "dictionary": json.loads((results / "tables" / "dictionary.json").read_text())["fi_method"],
    "report": write_report(results).read_text() + (results / "report" / "methods.md").read_text(),
    "columns": wide(results).column_names,
    "digests": {name: stage_params(name, work.settings) for name in ("ingest", *SHARD_STAGES, "aggregate", "report")},
    "scans": {s: stage("measure").narrow(recipe, [row], work.settings).id for s, row in scan.items()},
}))
"""


def ask(copy: Path, folder: Path) -> dict:
    """Put questions to a copy of the package, in a process of its own."""
    paths = os.pathsep.join([str(copy / "workflow"), str(Path(__file__).parent)])
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_new_fat_method_is_one_new_file(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PROJECT / "workflow", copy / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config", "resources"):
        (copy / name).symlink_to(PROJECT / name)
    before = ask(copy, tmp_path / "before")
    (copy / "workflow/paraspinal/stages/measure/fat/toy_quarter.py").write_text(TOY)
    after = ask(copy, tmp_path / "after")

    assert before["measured"] == [[None, None, "SEQ_UNKNOWN"]]
    assert after["measured"] == [["toy_quarter", 0.25, None]]
    assert after["dictionary"].pop("toy_quarter") == {
        "title": "A toy's quarter",
        "short_name": "tq",
        "definition": "a quarter, whatever the image",
        "gate": "where there is an image",
        "sequences": ["PDw"],
    }
    assert after["dictionary"] == before["dictionary"]
    assert '<span class="method">A toy&#39;s quarter</span>' in after["report"]
    assert "A toy's quarter (toy_quarter): a quarter, whatever the image." in after["report"]
    assert "Fat infiltration was given, where there is an image." in after["report"]
    assert "pd_mf_l_l3_slab_fi_tq" in after["columns"]

    changed = {name for name, found in before["digests"].items() if after["digests"][name] != found}
    assert changed == {"measure", "aggregate"}
    assert {s for s, found in before["scans"].items() if after["scans"][s] != found} == {"PDw"}


def test_fat_methods_are_told_apart_by_name_title_and_short_name() -> None:
    methods = fat_methods()
    assert {method.name: method.short_name for method in methods}.items() >= SHIPPED.items()
    for words in ("name", "title", "short_name"):
        assert len({getattr(method, words) for method in methods}) == len(methods)
    for method in methods:
        assert re.fullmatch("[a-z][a-z0-9]", method.short_name)
        assert set(method.needs) <= set(MEASURE.reads)


def test_a_scan_depends_on_the_methods_that_apply_to_it(tmp_path: Path) -> None:
    settings = work_in(tmp_path).settings
    recipe = MEASURE.recipe(settings)

    def methods(**over: object) -> set[str]:
        found = MEASURE.narrow(recipe, [scan_row(grid_of(), **over)], settings).parameters
        return {name.removeprefix("code of ") for name in found if name.startswith("code of ")} & set(SHIPPED)

    pair = {"sequence": "dixon", "water_path": "w.nii.gz", "fat_path": "f.nii.gz"}
    assert methods(**pair) == {"dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean"}
    assert methods(sequence="dixon", fat_fraction_path="f.nii.gz", fat_fraction_scale=1.0) == {"dixon_pdff_map"}
    assert methods(sequence="T2w", image_path="i.nii.gz") == {"t1t2_sat_anchored", "t1t2_gmm3_musclemap"}
    assert methods(sequence="STIR", image_path="i.nii.gz") == set()
    assert methods(**pair, role="spine") == set()


@pytest.mark.parametrize(
    ("text", "used", "said"),
    [
        ('{"fi_method": {"dixon_pdff_map": "mean of the map"}}', [], "another version"),
        ("{}", [], "another version"),
        ('{"fi_method": {}}', ["dixon_pdff_map", None], "fat method dixon_pdff_map"),
    ],
)
def test_a_dictionary_that_does_not_fit_is_refused(tmp_path: Path, text: str, used: list, said: str) -> None:
    (tmp_path / "dictionary.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_fat_methods(tmp_path, used)
