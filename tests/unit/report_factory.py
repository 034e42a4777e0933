"""Cohort tables with known content, written through the declared schemas, to test the report against."""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import yaml

from paraspinal.cohort.running.plan import SHARD_STAGES, stage
from paraspinal.cohort.tables.dictionary import write_dictionary
from paraspinal.cohort.tables.people import INVENTORY_READ, participants
from paraspinal.core.records.people_schemas import COVARIATES
from paraspinal.core.records.receipts import ACTIVITIES
from paraspinal.core.records.schemas import COHORT_TABLES, INVENTORY
from paraspinal.core.records.tables import Row, write_arrow
from paraspinal.core.settings import Settings, load_settings, read_config
from paraspinal.core.vocab import Muscle, Reason, Side

VERTEBRAE = ("L1", "L2", "L3", "L4", "L5")
AREA_MM2 = {
    Muscle.MULTIFIDUS: (260.0, 330.0, 480.0, 720.0, 900.0),
    Muscle.ERECTOR_SPINAE: (1750.0, 1850.0, 1700.0, 1350.0, 700.0),
    Muscle.PSOAS_MAJOR: (180.0, 480.0, 900.0, 1350.0, 1500.0),
    Muscle.QUADRATUS_LUMBORUM: (160.0, 260.0, 420.0, 540.0, 300.0),
}
"""Typical cross-section of one side at L1 to L5."""
FAT = {
    Muscle.MULTIFIDUS: 0.20,
    Muscle.ERECTOR_SPINAE: 0.15,
    Muscle.PSOAS_MAJOR: 0.06,
    Muscle.QUADRATUS_LUMBORUM: 0.10,
}
SITES = (
    ("siteaaaaaa", "Siemens", "Aera", 1.5),
    ("sitebbbbbb", "GE", "Discovery", 3.0),
    (None, "Philips", "Ingenia", 3.0),
)
DIXON_METHODS = ("dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean")
BRIGHTNESS_METHODS = ("t1t2_sat_anchored", "t1t2_gmm3_musclemap")


class CohortFactory:
    """Collect rows person by person, then write the results folder."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.inventory: list[Row] = []
        self.scans: list[Row] = []
        self.levels: list[Row] = []
        self.metrics: list[Row] = []
        self.quality: list[Row] = []
        self.covariates: list[Row] = []
        self.units: list[Row] = []

    def stack(self, name: str, **values: object) -> str:
        """Add one stack of 20 files to the inventory; returns its id."""
        defaults: Row = {
            "stack_id": name, "source": "dicom", "n_files": 20, "plane": "axial", "sequence": "T2w",
            "is_fat_suppressed": False, "decided_by": "ingest", "status": "ok",
        }  # fmt: skip
        self.inventory.append({**defaults, **values})
        return name

    def scan(self, subject: str, visit: int, scan_id: str, n_stacks: int = 1, **values: object) -> Row:
        """Add a scan and the stacks it is made of; returns the row, which may still be changed."""
        session = f"visit{visit}{subject}"
        site, vendor, model, tesla = SITES[int(subject[-1], 36) % len(SITES)]
        series: Row = {
            "site": site, "manufacturer": vendor, "scanner_model": model, "field_strength_t": tesla,
            "sex": "F" if int(subject[-1], 36) % 2 else "M", "age_years": 40.0 + int(subject[-1], 36) + visit,
        }  # fmt: skip
        defaults: Row = {
            "subject": subject, "session": session, "scan_id": scan_id, "visit": visit, "plane": "axial",
            "role": "muscles", "days_from_first_visit": 400 * (visit - 1), "sequence": "T2w",
            "is_fat_suppressed": False, "status": "ok",
            "size": [320, 320, 40], "spacing_mm": [0.75, 0.75, 4.5], "light": "green", "activity_id": "a",
            "image_sha256s": ["3" * 64], "dseg_path": "images/dseg.nii.gz", "model": "muscles@0.2.0",
            "model_sha256": "5" * 64,
        }  # fmt: skip
        row = {**defaults, **series, **values}
        told = ("subject", "session", "plane", "sequence", "days_from_first_visit", *series)
        same = {name: row[name] for name in told}
        row["stack_ids"] = [self.stack(f"{subject}-{visit}-{scan_id}-{i}", **same) for i in range(n_stacks)]
        self.scans.append(row)
        return row

    def measure(
        self,
        scan: Row,
        size: float = 1.0,
        fat: float = 1.0,
        methods: tuple[str | None, ...] = (None,),
        noise: float = 0.0,
        lean: tuple[Muscle, ...] = (),
    ) -> None:
        """Add level and metric rows: the typical values times ``size`` and ``fat``; ``lean`` muscles get no fat."""
        key = {k: scan[k] for k in ("subject", "session", "scan_id")}
        source = {"level_source": "sagittal_transfer", "level_numbering": "counted_from_sacrum", "activity_id": "a"}
        for index, level in enumerate(VERTEBRAE):
            where = {**key, "level": level, "level_scheme": "vertebra_slab"}
            self.levels.append({**where, **source, "coverage_frac": 1.0, "level_confidence": 0.9})
            for muscle in AREA_MM2:
                for side in Side:
                    acsa = AREA_MM2[muscle][index] * size * self.random.gauss(1, noise)
                    fi = FAT[muscle] * fat * (0.7 + 0.15 * index) * self.random.gauss(1, noise)
                    for method in methods:
                        has_fat = method is not None and muscle not in lean
                        self.metrics.append({
                            **where, **source, "muscle": muscle, "side": side, "fi_method": method,
                            "acsa_mm2": acsa, "volume_mm3": acsa * 30, "sequence": scan["sequence"],
                            "fi": fi * (0.9 if method in DIXON_METHODS[1:] else 1) if has_fat else None,
                            "fi_reason_code": None if has_fat else Reason.FI_UNIMODAL,
                            "model_sha256": scan["model_sha256"],
                        })  # fmt: skip

    def flag(self, scan: Row, light: str, reason: str | None, **part: object) -> None:
        """Add a quality row; the scan keeps the worst light."""
        key = {k: scan[k] for k in ("subject", "session", "scan_id")}
        self.quality.append({**key, "light": light, "reason_code": reason, "activity_id": "a", **part})
        scan["light"] = max(scan["light"], light, key=["green", "amber", "red"].index)

    @property
    def slices(self) -> list[Row]:
        """One slice per measured muscle of a scan, as large as the muscle is on average."""
        kept = ("subject", "session", "scan_id", "muscle", "side", "activity_id")
        first = {(m["scan_id"], m["muscle"], m["side"]): m for m in reversed(self.metrics)}
        return [{**{k: m[k] for k in kept}, "slice": 0, "csa_mm2": m["acsa_mm2"]} for m in first.values()]

    def write(self) -> Path:
        """Write the tables, the dictionary and the configuration; returns the results folder."""
        for table in COHORT_TABLES:
            table.write(self.root / "tables" / f"{table.name}.parquet", getattr(self, table.name, []))
        inventory, facts = INVENTORY.arrow(self.inventory), COVARIATES.arrow(self.covariates)
        people = participants(inventory.select(list(INVENTORY_READ)), facts)
        write_arrow(self.root / "tables" / "participants.parquet", people)
        write_dictionary(self.root / "tables" / "dictionary.json")
        (self.root / "run_config.yaml").write_text(yaml.safe_dump(self.settings.public()))
        units = [self.unit(name, **stage(name).parameters(self.settings)) for name in SHARD_STAGES] + self.units
        ACTIVITIES.write(self.root / "tables" / "activities.parquet", units)
        return self.root

    @property
    def settings(self) -> Settings:
        return load_settings(read_config(None, {"private_dir": "/home/someone/keys"}))

    def unit(self, stage: str, name: str = "u", environment: str = "e", **parameters: object) -> Row:
        """A receipt in brief, with these parameters."""
        texts = {c.name: "" for c in ACTIVITIES.columns if c.type == pa.string()}
        rest = {"before": [], "outputs": [], "is_final": True, "wall_seconds": 1.0}
        said = {"stage": stage, "unit": name, "environment": environment, "parameters": json.dumps(parameters)}
        return {**texts, **rest, **said}


def empty_results(root: Path) -> Path:
    """Write a cohort without a single input."""
    return CohortFactory(root).write()


def rich_results(root: Path, people: int = 18, seed: int = 1) -> Path:
    """Write a cohort with everything the page can show: sites, sequences, visits, exclusions, flags, pictures."""
    make = CohortFactory(root, seed)
    draw = make.random
    for number in range(people):
        subject = f"p{draw.randrange(36**9):09d}"[:10] + "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]
        size, fat = draw.gauss(1, 0.16), draw.uniform(0.5, 1.9)
        for visit in range(1, 2 + (number % 3 == 0)):
            kind = ("T2w", "dixon", "T1w")[number % 3] if visit == 1 or number % 2 else "dixon"
            methods = DIXON_METHODS if kind == "dixon" else BRIGHTNESS_METHODS
            spine: Row = {"model": "spine@0.1.0", "model_sha256": "7" * 64}
            make.scan(subject, visit, "acq-sag_T2w", plane="sagittal", role="spine", **spine)
            scan = make.scan(subject, visit, f"acq-ax_{kind}", 1 + (kind == "dixon"), sequence=kind)
            if number == 4:
                scan |= {"status": "failed", "reason_code": "SEG_EMPTY", "dseg_path": None, "model": None}
                make.flag(scan, "red", "SEG_EMPTY")
                continue
            lean = (Muscle.PSOAS_MAJOR,) if number % 5 == 2 else ()
            make.measure(scan, size * (1 - 0.03 * (visit - 1)), fat * (1 + 0.05 * visit), methods, 0.06, lean)
            _flags(make, scan, number)
            scan["overlay_path"] = f"images/sub-{subject}/overlay{visit}.png"
            _picture(root / str(scan["overlay_path"]), number)
    excluded = (
        ("LOCALIZER", "excluded", 9),
        ("DICOM_TRUNCATED", "failed", 1),
        ("NOT_AN_IMAGE", "excluded", 4),
        ("DUP_IDENTICAL", "excluded", 2),
    )
    for reason, status, count in excluded:
        for index in range(count):
            make.stack(f"x-{reason}-{index}", status=status, reason_code=reason, n_files=3)
    return make.write()


def _flags(make: CohortFactory, scan: Row, number: int) -> None:
    if number % 4 == 1:
        make.flag(scan, "amber", "FOV_TRUNCATED", muscle="erector_spinae", side="left", detail="touches 3 slices")
        part = {"muscle": "psoas_major", "side": "right", "level": "L1"}
        make.flag(scan, "amber", "COVERAGE_PARTIAL", detail="0.62 < 0.95", **part)
    elif number % 7 == 5:
        make.flag(scan, "red", "SEG_IMPLAUSIBLE", muscle="quadratus_lumborum", side="right", detail="ratio 2.8 > 1.5")
    else:
        make.flag(scan, "green", None)


def _picture(path: Path, number: int) -> None:
    """Write a small grey PNG with two coloured discs, by hand: the report must not care who drew it."""
    side = 96
    lines = []
    for y in range(side):
        line = bytearray(b"\0")
        for x in range(side):
            grey = 150 if ((x - 48) / 44) ** 2 + ((y - 48) / 32) ** 2 < 1 else 40
            left, right = (((x - c) / 11) ** 2 + ((y - 62) / 9) ** 2 < 1 for c in (34, 62))
            line += bytes((230, 120, 40) if left else (40, 150, 200) if right else (grey - number, grey, grey))
        lines.append(bytes(line))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(lines))),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
