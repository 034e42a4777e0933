"""What scanners really write, case by case; the public project a header was seen in stands beside it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.kinds.dixon_words import dixon_part, is_dixon_method, is_map
from paraspinal.stages.ingest.kinds.image_kind import is_localizer, is_reformat, not_anatomy
from paraspinal.stages.ingest.kinds.sequence import contrast_of
from paraspinal.stages.ingest.kinds.vendor import VENDORS, vendor_of

W, F, IN, OPP, FF = DixonPart
MAP = "map"
SIEMENS, GE, PHILIPS, CANON, UIH, FUJI = (
    "SIEMENS",
    "GE MEDICAL SYSTEMS",
    "Philips Medical Systems",
    "CANON_MEC",
    "UIH",
    "FUJIFILM Healthcare",
)


def gradient(**more: Any) -> dict[str, Any]:
    """Header values of a fast spoiled gradient echo at 3 T."""
    return {
        "scanning_sequence": ["GR"], "sequence_variant": ["SP"], "tr_ms": 5.6, "te_ms": 1.23, "flip_deg": 9.0,
        "field_t": 3.0, **more,
    }  # fmt: skip


TYPES = [
    # Siemens VE and XA: OpenRecon MuscleMap notes; dixon_pdff tools reading value 5 of the image type (VE).
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\WATER", W),
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\FAT", F),
    (SIEMENS, "ORIGINAL\\PRIMARY\\DIXON\\IN_PHASE", IN),
    (SIEMENS, "ORIGINAL\\PRIMARY\\DIXON\\OPP_PHASE", OPP),
    (SIEMENS, "DERIVED\\PRIMARY\\M\\DIXON\\WATER", W),
    (SIEMENS, "DERIVED\\PRIMARY\\M\\DIXON\\FAT", F),
    (SIEMENS, "DERIVED\\PRIMARY\\M\\DIXON\\IN_PHASE", IN),
    (SIEMENS, "DERIVED\\PRIMARY\\M\\DIXON\\OPP_PHASE", OPP),
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\WATER\\DIS3D\\DIS2D", W),
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\FAT_FRACTION", FF),
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\R2_STAR", MAP),
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\WATER_FRACTION", MAP),
    # GE: uterus Dixon LAVA study (108 SIGNA Artist and Explorer series), breast viewer (VIBRANT-Flex), AMBL breast set.
    (GE, "DERIVED\\PRIMARY\\DIXON\\WATER", W),
    (GE, "DERIVED\\PRIMARY\\DIXON\\WATER\\MAGNITUDE", W),
    (GE, "DERIVED\\PRIMARY\\DIXON\\FAT\\MAGNITUDE", F),
    (GE, "DERIVED\\PRIMARY\\DIXON\\FAT", F),
    (GE, "DERIVED\\PRIMARY\\DIXON\\IN_PHASE", IN),
    (GE, "DERIVED\\PRIMARY\\DIXON\\OUT_PHASE", OPP),
    # Liver PDFF loader (GE IDEAL-IQ, FAM): FAT_FRACTION in the image type.
    (GE, "DERIVED\\PRIMARY\\DIXON\\FAT_FRACTION", FF),
    (GE, "DERIVED\\PRIMARY\\DIXON\\R2STAR_MAP", MAP),
    (GE, "DERIVED\\PRIMARY\\DIXON\\R2*_MAP", MAP),
    (GE, "DERIVED\\PRIMARY\\DIXON\\FIELD_MAP", MAP),
    # Philips classic: David Atkinson's d2mat, dcm2nii_mDIXON, muscle-bids (megre_philips).
    (PHILIPS, "DERIVED\\PRIMARY\\W\\W\\DERIVED", W),
    (PHILIPS, "DERIVED\\PRIMARY\\F\\F\\DERIVED", F),
    (PHILIPS, "DERIVED\\PRIMARY\\IP\\IP\\DERIVED", IN),
    (PHILIPS, "DERIVED\\PRIMARY\\OP\\OP\\DERIVED", OPP),
    (PHILIPS, "DERIVED\\PRIMARY\\FF\\FF\\DERIVED", FF),
    (PHILIPS, "DERIVED\\PRIMARY\\W\\W\\DERIVED\\JP2K LOSSY", W),
    (PHILIPS, "ORIGINAL\\PRIMARY\\T2_STAR_UNSPECIF\\T2_STAR\\UNSPECIFIED", MAP),
    (PHILIPS, "DERIVED\\PRIMARY\\T2_STAR\\T2_STAR\\DERIVED", MAP),
    (PHILIPS, "ORIGINAL\\PRIMARY\\B0 MAP\\B0\\UNSPECIFIED", MAP),
    (PHILIPS, "ORIGINAL\\PRIMARY\\B0\\B0\\UNSPECIFIED", MAP),  # release 11.1: dcm2niix issue 455
    (PHILIPS, "DERIVED\\PRIMARY\\R2_STAR\\R2_STAR\\DERIVED", MAP),
    # Philips enhanced: dcm2niix issue 1022, and its notes on releases 5 to 12.3.
    (PHILIPS, "ORIGINAL\\PRIMARY\\DIXON\\WATER", W),
    (PHILIPS, "ORIGINAL\\PRIMARY\\DIXON\\FAT", F),
    (PHILIPS, "ORIGINAL\\PRIMARY\\DIXON\\FAT_FRACTION", FF),
    (PHILIPS, "DERIVED\\PRIMARY\\DIXON\\OUT_OF_PHASE", OPP),
    (PHILIPS, "DERIVED\\PRIMARY\\DIXON\\IN_PHASE", IN),
    (PHILIPS, "DERIVED\\PRIMARY\\M\\W", W),
    (PHILIPS, "DERIVED\\PRIMARY\\M\\OP", OPP),
    # Canon and United Imaging: words of the standard; no public file shows them.
    (CANON, "DERIVED\\PRIMARY\\WATER", W),
    (CANON, "DERIVED\\PRIMARY\\DIXON\\OUT_OF_PHASE", OPP),
    (UIH, "DERIVED\\PRIMARY\\WFI\\WATER", W),
    (UIH, "DERIVED\\PRIMARY\\WFI\\F", F),
    (UIH, "ORIGINAL\\PRIMARY\\M\\WFI\\OUT_PHASE", OPP),
    # Two parts at once, and letters of makers that do not use them, say nothing.
    (SIEMENS, "DERIVED\\PRIMARY\\DIXON\\WATER\\FAT", None),
    (SIEMENS, "ORIGINAL\\PRIMARY\\M\\F", None),
    (SIEMENS, "ORIGINAL\\PRIMARY\\M\\W", None),
    (GE, "ORIGINAL\\PRIMARY\\OTHER", None),
    (PHILIPS, "ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE", None),
    (PHILIPS, "ORIGINAL\\PRIMARY\\T1\\NONE", None),
]


@pytest.mark.parametrize(("maker", "kind", "part"), TYPES)
def test_part_by_image_type(maker: str, kind: str, part: DixonPart | str | None) -> None:
    contrast = contrast_of(gradient(manufacturer=maker, image_type=kind.split("\\")))
    if part == MAP:
        assert (contrast.sequence, contrast.part, contrast.is_anatomical) == (Sequence.OTHER, None, False)
    elif part is None:
        assert (contrast.part, contrast.sequence) == (None, Sequence.T1W)
    else:
        assert (contrast.sequence, contrast.part, contrast.evidence) == (
            Sequence.DIXON, part, "Dixon part by image type",
        )  # fmt: skip
        assert contrast.confidence == 0.95


SERIES = [
    # Siemens: UK Biobank series names; MuscleMap issue 44; OpenRecon MuscleMap notes; LiverLab (q-dixon) endings.
    (SIEMENS, "Dixon_BH_17s_W", W),
    (SIEMENS, "Dixon_BH_17s_F", F),
    (SIEMENS, "Dixon_BH_17s_in", IN),
    (SIEMENS, "Dixon_BH_17s_opp", OPP),
    (SIEMENS, "Dixon_noBH_F_W", W),
    (SIEMENS, "Dixon_noBH_F_F", F),
    (SIEMENS, "Dixon_noBH_F_in", IN),
    (SIEMENS, "Dixon_noBH_F_opp", OPP),
    (SIEMENS, "t1_vibe_dixon_cor2b_f_comp_sp_35", F),
    (SIEMENS, "t1_vibe_dixon_cor2b_w_comp_sp_34", W),
    (SIEMENS, "wholebody_t1_vibe_dixon_tra_mbh_dyn_W", W),
    (SIEMENS, "t1_vibe_dixon_tra_in_ND", IN),
    (SIEMENS, "t2_tse_dixon_sag_W", W),
    (SIEMENS, "t2_tse_dixon_sag_F", F),
    (SIEMENS, "t2_tse_dixon_sag_opp", OPP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_Fat", F),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_Water", W),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_FP", FF),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_FF", FF),
    (SIEMENS, "q-dixon_pdff", FF),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_WP", MAP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_R2*_Eff", MAP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_T2*", MAP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_R2star", MAP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_GOF", MAP),
    (SIEMENS, "t1_vibe_q-dixon_tra_bh_WF", MAP),
    (SIEMENS, "t1_vibe_dixon_tra_water_fraction", MAP),
    (SIEMENS, "t1_vibe_dixon_tra_bh", None),
    (SIEMENS, "t1_vibe_tra", None),
    # GE: MRI-only brain protocol check (Skane), LAVA study, Radium viewer, PDFF loader, AMBL breast set, HABIT demo.
    (GE, "WATER: DIXON IDEAL v1.4", W),
    (GE, "FAT: DIXON IDEAL v1.4", F),
    (GE, "InPhase: DIXON IDEAL v1.4", IN),
    (GE, "OutPhase: DIXON IDEAL v1.4", OPP),
    (GE, "WATER: COR LAVA DIAF.", W),
    (GE, "WATER:AX_LAVA-Flex", W),
    (GE, "WATER: Ph2/Ax Vibrant-Flex", W),
    (GE, "WATER: AX, T2 FS", W),
    (GE, "WATER: BH new FAM Offline", W),
    (GE, "FatFrac: BH new FAM Offline", FF),
    (GE, "FatFrac W/O correction: BH new FAM Offline", FF),
    (GE, "FeQ-PDFF", FF),
    (GE, "FAT: Ax T2 FSE Flex", F),
    (GE, "InPhase: Ax T1 FSE FLEX", IN),
    (GE, "In Phase: Ax IDEAL", IN),
    (GE, "Fat Fraction: IDEAL IQ", FF),
    (GE, "R2*: Ax IDEAL IQ", MAP),
    (GE, "T2*: Ax IDEAL IQ", MAP),
    (GE, "B0: Ax IDEAL IQ", MAP),
    (GE, "Ax LAVA-Flex", None),
    (GE, "Ax T1 In/Out Phase", None),
    (GE, "AX DUAL ECHO IN AND OUT OF PHASE", None),
    (GE, "Ax T1 FSE flexion", None),
    # Philips: mDIXON names of the Leicester sorter (fsort) and of XNAT protocols; protocol texts alone name no part.
    (PHILIPS, "mDIXON-Quant_BH", None),
    (PHILIPS, "mDIXON_W", W),
    (PHILIPS, "mDIXON_WATER", W),
    (PHILIPS, "mDIXON F", F),
    (PHILIPS, "mDIXON_IP", IN),
    (PHILIPS, "mDIXON_OP", OPP),
    (PHILIPS, "mDIXON_FF", FF),
    (PHILIPS, "mDIXON T2star", MAP),
    (PHILIPS, "mDIXON_B0", MAP),
    (PHILIPS, "T2W_mDIXON_TSE", None),
    (PHILIPS, "dual_FFE IP/OP", None),
    # Canon, Toshiba, United Imaging, Fujifilm.
    (CANON, "WFS Water", W),
    (CANON, "WFS Fat", F),
    (CANON, "WFS_AX_IN", IN),
    (CANON, "WFS_AX_OUT", OPP),
    ("TOSHIBA_MEC", "WFOP Out of Phase", OPP),
    ("TOSHIBA_MEC", "WFOP In Phase", IN),
    (CANON, "Dixon fat fraction", FF),
    (UIH, "gre_quick3d_wfi_tra_bh_W", W),
    (UIH, "gre_quick3d_wfi_tra_bh_F", F),
    (UIH, "t1_gre_wfi_in_phase", IN),
    (UIH, "t1_gre_wfi_out_phase", OPP),
    (UIH, "t2_fse_wfi_sag_water", W),
    (UIH, "FACT_R2star", MAP),
    (UIH, "FACT_pdff", FF),
    (FUJI, "FatSep T2 water", W),
    (FUJI, "FatSep T2 fat", F),
    # After an archive renamed them.
    (SIEMENS, "t1_fl2d_opp_tra_mbh", OPP),
    (SIEMENS, "t1_fl2d_opp-in_tra_mbh", None),
    (SIEMENS, "T1 in phase", IN),
    (SIEMENS, "T1 opposed-phase", OPP),
    (SIEMENS, "T1 out-of-phase", OPP),
    (SIEMENS, "AX WATER ONLY", W),
    (SIEMENS, "FAT ONLY", F),
    (SIEMENS, "Ax water", W),
    # Never parts: saturation, excitation, both at once, a slip for fat-saturated.
    (SIEMENS, "t2 fat sat", None),
    (SIEMENS, "T2 FAT", None),
    (SIEMENS, "t1 no fat", None),
    (SIEMENS, "water excitation", None),
    (SIEMENS, "fat suppressed t2", None),
    (SIEMENS, "t1_fl3d_we", None),
    (SIEMENS, "dixon fat water", None),
    (SIEMENS, "fat-sat water sat dixon", None),
    (SIEMENS, "T1 w/o fat", None),
    (SIEMENS, "t1_tse_in", None),
    (SIEMENS, "t1_tse_w", None),
    (SIEMENS, "MR Lumbar W", None),
    (GE, "Ax T1 F", None),
    (SIEMENS, "coil_in", None),
]


@pytest.mark.parametrize(("maker", "text", "part"), SERIES)
def test_part_by_series_text(maker: str, text: str, part: DixonPart | str | None) -> None:
    values = gradient(manufacturer=maker, series_description=text, image_type=["ORIGINAL", "PRIMARY", "OTHER"])
    contrast = contrast_of(values)
    if part == MAP:
        assert (contrast.part, contrast.is_anatomical) == (None, False), contrast.evidence
    elif part is None:
        assert contrast.part is None, contrast.evidence
    else:
        assert (contrast.part, contrast.evidence) == (part, "Dixon part by series text")
        assert 0.6 <= contrast.confidence <= 0.8


NAMES = [
    ("sub-01_water", W),
    ("sub-01_acq-dixon_fat", F),
    ("sub-TUM01_fat", F),
    ("10_T1DUAL_DICOM_anon_OutPhase_img", OPP),
    ("11_T1DUAL_InPhase_img", IN),
    ("sub-01_inphase", IN),
    ("sub-01_part-oppphase", OPP),
    ("sub-01_ff", FF),
    ("sub-01_pdff", FF),
    ("sub-01_fatfraction", FF),
    ("sub-01_W", W),
    ("sub-01_ip", IN),
    ("sub-01_T2w_fatsat", None),
    ("WATER__DIXON_IDEAL_v1_4", W),
    ("InPhase__DIXON_IDEAL_v1_4", IN),
    ("WATER_BHAxLAVA-Flex-2min_Series0012", W),
    ("mDIXON_T2_STAR", MAP),
    ("mDIXON_FF", FF),
    ("sub-01_R2starmap", MAP),
    ("sub-01_T2w", None),
    ("12_T2SPIR_img", None),
]


@pytest.mark.parametrize(("name", "part"), NAMES)
def test_part_by_file_name(name: str, part: DixonPart | str | None) -> None:
    contrast = contrast_of({"name": name})
    assert contrast.part is (None if part == MAP else part), contrast.evidence
    assert contrast.is_anatomical is (part != MAP)


def test_type_and_text_at_odds_keep_the_type_at_less_trust() -> None:
    values = gradient(manufacturer=SIEMENS, image_type=["DERIVED", "PRIMARY", "DIXON", "WATER"])
    agreed = contrast_of({**values, "series_description": "t1_vibe_dixon_W"})
    against = contrast_of({**values, "series_description": "t1_vibe_dixon_F"})
    assert (agreed.part, against.part) == (W, W)
    assert agreed.confidence > against.confidence == 0.6
    assert against.evidence == "Dixon part by image type; series text says fat"


def test_philips_metabolite_water_is_no_dixon_part() -> None:
    # Every enhanced Philips frame describes its metabolite map as WATER, whatever it shows (dicom2nifti's own sample).
    assert (
        dixon_part(gradient(manufacturer=PHILIPS, metabolite="WATER", image_type=["ORIGINAL", "PRIMARY", "T1"])) is None
    )


PHASES = [
    # d2mat's list of Philips types; dcm2niix's GE notes on (0043,102F); dcm2niix issue 1033 for the component.
    {"image_type": "ORIGINAL\\PRIMARY\\PHASE MAP\\P\\FFE"},
    {"image_type": "ORIGINAL\\PRIMARY\\R_FFE\\R\\FFE"},
    {"image_type": "ORIGINAL\\PRIMARY\\I_FFE\\I\\FFE"},
    {"image_type": "ORIGINAL\\PRIMARY\\R_IR\\R\\IR"},
    {"image_type": "ORIGINAL\\PRIMARY\\PHASE MAP\\P\\SE"},
    {"image_type": "ORIGINAL\\PRIMARY\\VELOCITY MAP\\P\\PCA"},
    {"image_type": "ORIGINAL\\PRIMARY\\M_B1\\M\\B1"},
    {"image_type": "ORIGINAL\\PRIMARY\\T2 MAP\\T2\\UNSPECIFIED"},
    {"image_type": "ORIGINAL\\PRIMARY\\M_PCA\\M\\PCA"},
    {"image_type": "ORIGINAL\\PRIMARY\\P\\ND"},
    {"image_type": "ORIGINAL\\PRIMARY\\M\\NONE", "component": "PHASE"},
    {"component": "REAL"},
    {"component": "IMAGINARY"},
    {"manufacturer": GE, "ge_image_type": 1},
    {"manufacturer": GE, "ge_image_type": 2},
    {"manufacturer": GE, "ge_image_type": 3},
    {"image_type": "DERIVED\\PRIMARY\\DIFFUSION\\ADC\\ND\\NORM"},
    {"image_type": "ORIGINAL\\PRIMARY\\DIFFUSION\\NONE"},
    {"image_type": "DERIVED\\PRIMARY\\OTHER\\SUBTRACT"},
    {"image_type": "DERIVED\\PRIMARY\\T1 MAP\\ND"},
    {"image_type": "ORIGINAL\\PRIMARY\\PERFUSION\\NONE"},
    {"image_type": "ORIGINAL\\PRIMARY\\FMRI\\NONE"},
    {"scanning_sequence": "EP\\SE"},
    {"scanning_sequence": "EP"},
    {"is_echo_planar": "YES"},
    {"b_value": 800.0},
    {"is_phase_contrast": "YES"},
    {"is_time_of_flight": "YES"},
    {"acquisition_contrast": "DIFFUSION"},
    {"acquisition_contrast": "TIME_OF_FLIGHT"},
    {"series_description": "ep2d_diff_b0_b800"},
    {"series_description": "Ax DWI"},
    {"series_description": "DWI_b1000"},
    {"series_description": "gre_field_mapping"},
    {"series_description": "ASSET calibration"},
    {"series_description": "Ax ADC"},
    {"series_description": "B0 map"},
    {"series_description": "R2* map"},
]


@pytest.mark.parametrize("values", PHASES, ids=str)
def test_no_anatomy(values: dict[str, Any]) -> None:
    split = {k: v.split("\\") if k in ("image_type", "scanning_sequence") else v for k, v in values.items()}
    contrast = contrast_of(gradient(**split))
    assert (contrast.sequence, contrast.part, contrast.is_anatomical) == (Sequence.OTHER, None, False)
    assert contrast.confidence >= 0.7


@pytest.mark.parametrize(
    "values",
    [
        {"manufacturer": GE, "ge_image_type": 0},
        {"manufacturer": PHILIPS, "ge_image_type": 2},
        {"component": "MAGNITUDE"},
        {"is_echo_planar": "NO"},
        {"b_value": 0.0},
        {"series_description": "T2W_TSE SENSE"},
        {"series_description": "epigastric"},
        {"series_description": "t2_tse B18"},
        {"series_description": "t2*_fl2d_tra"},
        {"series_description": "body coil"},
    ],
)
def test_anatomy(values: dict[str, Any]) -> None:
    assert not_anatomy(gradient(**values)) is None


def spin(tr: float, te: float, **more: Any) -> dict[str, Any]:
    return {"scanning_sequence": ["SE"], "sequence_variant": ["SK"], "tr_ms": tr, "te_ms": te, **more}


def ir(tr: float, te: float, ti: float | None, **more: Any) -> dict[str, Any]:
    return spin(tr, te, **{"scanning_sequence": ["SE", "IR"], **({"ti_ms": ti} if ti else {}), **more})


def gre(tr: float, te: float, flip: float | None, variant: str = "SP", **more: Any) -> dict[str, Any]:
    angle = {} if flip is None else {"flip_deg": flip}
    return {"scanning_sequence": ["GR"], "sequence_variant": variant.split(), "tr_ms": tr, "te_ms": te, **angle, **more}


T1, T2, PD, STIR, FLAIR, OTHER, UNKNOWN = (
    Sequence.T1W,
    Sequence.T2W,
    Sequence.PDW,
    Sequence.STIR,
    Sequence.FLAIR,
    Sequence.OTHER,
    Sequence.UNKNOWN,
)
CONTRASTS: list[tuple[dict[str, Any], Sequence, bool, tuple[float, float]]] = [
    # Spine protocols; the first is SpineSegmentation ds (Fudan, Prisma), the rest typical of the makers' manuals.
    (spin(3500, 104, sequence_name="*tseR2d1rr19", series_description="I_t2_tse_sag_384_C1-C8"), T2, False, (0.9, 1)),
    (spin(620, 9.5, series_description="t1_tse_sag"), T1, False, (0.9, 1)),
    (spin(1100, 10), T1, False, (0.8, 0.8)),
    (spin(450, 14, manufacturer=CANON), T1, False, (0.8, 0.8)),
    (spin(1000, 81, echo_train_length=1, series_description="SSFSE"), T2, False, (0.9, 1)),  # dcm_qa_table GE localizer
    (spin(1300, 95, series_description="t2_haste_tra"), T2, False, (0.9, 1)),
    (spin(1000, 130, acquisition_type="3D", series_description="t2_spc_sag_p2_iso"), T2, False, (0.9, 1)),
    (spin(1500, 65, acquisition_type="3D", series_description="Sag T2 CUBE"), T2, False, (0.9, 1)),
    (spin(2000, 250, acquisition_type="3D", protocol="T2W_VISTA"), T2, False, (0.9, 1)),
    (spin(4000, 240, acquisition_type="3D"), T2, False, (0.8, 0.8)),  # pydicom MR_small (Toshiba)
    (spin(700, 18, acquisition_type="3D", series_description="t1_spc"), T1, False, (0.9, 1)),
    (spin(1200, 33, acquisition_type="3D"), T1, False, (0.8, 0.8)),
    (spin(1300, 55, acquisition_type="3D"), UNKNOWN, False, (0, 0)),
    (spin(3200, 33), PD, False, (0.8, 0.8)),
    (spin(3200, 45), UNKNOWN, False, (0, 0)),
    (spin(3200, 45, series_description="pd_tse_fs_sag"), PD, True, (0.5, 0.5)),
    (spin(3200, 33, series_description="PD SPAIR", scan_options=["FS"]), PD, True, (0.9, 1)),
    (spin(4200, 80, series_description="T2W_TSE_SPAIR"), T2, True, (0.9, 1)),
    (
        spin(4200, 80, ti_ms=110, series_description="T2W_SPAIR"),
        T2,
        True,
        (0.9, 1),
    ),  # its delay written as inversion time
    (spin(4200, 80, ti_ms=110), STIR, True, (0.6, 0.6)),  # an inversion pulse no field states
    (spin(620, 10, series_description="t1_tse_fs_tra"), T1, True, (0.9, 1)),
    (spin(620, 10, scan_options=["FS"]), T1, True, (0.8, 0.8)),
    (spin(620, 10, fat_suppression="FAT"), T1, True, (0.8, 0.8)),
    (spin(4000, 90, scan_options=["SAT_GEMS", "FS"]), T2, True, (0.8, 0.8)),
    (spin(4000, 90, scan_options=["FSL_GEMS", "FSA_GEMS"]), T2, False, (0.8, 0.8)),  # GE's flags that only look like FS
    (spin(600, 11, series_description="t2_tse"), T1, False, (0.5, 0.5)),
    # Inversion recoveries.
    (ir(4500, 38, 160), STIR, True, (0.8, 0.8)),
    (ir(4500, 60, 220, series_description="t2_tirm_sag"), STIR, True, (0.9, 1)),
    (ir(3500, 40, 100, field_t=0.3), STIR, True, (0.8, 0.8)),
    (ir(4500, 60, None, series_description="STIR sag"), STIR, True, (0.5, 0.5)),
    (ir(4500, 80, None), UNKNOWN, False, (0, 0)),  # an inversion at an unstated time is no plain T2
    (ir(9000, 120, 2500, series_description="t2_tirm_tra_dark-fluid"), FLAIR, False, (0.9, 1)),
    (ir(6000, 394, 2200), FLAIR, False, (0.8, 0.8)),  # dicom2nifti Siemens sample
    (ir(4800, 386, 1650), FLAIR, False, (0.8, 0.8)),  # dicom2nifti Philips sample
    (ir(2300, 12, 860, series_description="Sag T1 FLAIR", scan_options=["T1FLAIR_GEMS"]), T1, False, (0.9, 1)),
    (ir(2000, 9, 780, series_description="T1W_FLAIR"), T1, False, (0.9, 1)),
    (ir(2000, 9, 780, series_description="FLAIR"), T1, False, (0.9, 1)),
    (ir(2300, 25, None, scan_options=["T1FLAIR_GEMS"]), T1, False, (0.7, 0.7)),
    (ir(9000, 120, None, scan_options=["T2FLAIR_GEMS"]), FLAIR, False, (0.7, 0.7)),
    (ir(5000, 60, 320), UNKNOWN, False, (0, 0)),
    (ir(5000, 60, 320, series_description="stir"), STIR, True, (0.5, 0.5)),
    ({"scanning_sequence": ["IR"], "tr_ms": 4500, "te_ms": 60, "ti_ms": 180}, STIR, True, (0.8, 0.8)),
    (
        {"echo_pulse_sequence": "SPIN", "is_inversion": "YES", "tr_ms": 4500, "te_ms": 60, "ti_ms": 180},
        STIR,
        True,
        (0.8, 0.8),
    ),
    ({"echo_pulse_sequence": "SPIN", "is_inversion": "NO", "tr_ms": 4500, "te_ms": 90}, T2, False, (0.8, 0.8)),
    # Gradient echoes: VIBE, LAVA, THRIVE, quick 3-D, MPRAGE and its kin.
    (
        gre(
            5.5, 2.5, 10, "SK SP OSP", sequence_name="*fl3d1", series_description="t1_vibe_fs_tra", scan_options=["FS"]
        ),
        T1,
        True,
        (0.9, 1),
    ),
    (gre(4.1, 1.9, 12, "SS SP SK", series_description="Ax LAVA"), T1, False, (0.9, 1)),
    (gre(3.0, 1.4, 10, "MP", series_description="e-THRIVE"), T1, False, (0.7, 0.8)),
    (gre(4.2, 2.0, 10, "NONE", series_description="gre_3d_sag"), T1, False, (0.6, 0.6)),
    (gre(4.2, 1.1, 10, "NONE", series_description="t1_quick3d"), T1, False, (0.7, 0.8)),
    (gre(7, 2.8, 11, "SS SP SK", ti_ms=400), T1, False, (0.8, 0.8)),  # dcm_qa_deident GE IR-SPGR
    (gre(7.25, 3.1, 10, "NONE", ti_ms=750, scanning_sequence=["GR", "IR"]), T1, False, (0.8, 0.8)),  # dcm_qa_uih
    (gre(120, 2.3, 70), T1, False, (0.8, 0.8)),
    (gre(120, 2.3, 70, "NONE"), UNKNOWN, False, (0, 0)),
    (gre(9, 4, 3), PD, False, (0.8, 0.8)),
    (gre(5, 2, None), T1, False, (0.6, 0.6)),
    (gre(5, 2, None, "NONE"), UNKNOWN, False, (0, 0)),
    (gre(4.5, 2.2, 50, "SS", series_description="FIESTA"), OTHER, False, (0.9, 1)),
    (gre(4.5, 2.2, 50, "NONE"), UNKNOWN, False, (0, 0)),
    (gre(500, 18, 25, series_description="t2*_medic"), OTHER, False, (0.9, 1)),
    (gre(650, 10, 80, "SS", manufacturer=PHILIPS), UNKNOWN, False, (0, 0)),  # dcm_qa_table Philips dual echo
    (gre(600, 9, 25), UNKNOWN, False, (0, 0)),
    (gre(600, 9, 25, series_description="t2*_fl2d"), OTHER, False, (0.5, 0.5)),
    (
        {"echo_pulse_sequence": "GRADIENT", "spoiling": "RF", "tr_ms": 5.0, "te_ms": 2.3, "flip_deg": 10.0},
        T1,
        False,
        (0.8, 0.8),
    ),
    # Coded contrast of enhanced files, with and without numbers.
    ({"acquisition_contrast": "T2"}, T2, False, (0.7, 0.7)),
    ({"acquisition_contrast": "PROTON_DENSITY"}, PD, False, (0.7, 0.7)),
    ({"acquisition_contrast": "STIR"}, STIR, True, (0.7, 0.7)),
    ({"acquisition_contrast": "FLUID_ATTENUATED"}, FLAIR, False, (0.7, 0.7)),
    ({"acquisition_contrast": "UNKNOWN"}, UNKNOWN, False, (0, 0)),
    ({"image_type": ["ORIGINAL", "PRIMARY", "T1", "NONE"], "acquisition_contrast": "T2"}, UNKNOWN, False, (0, 0)),
    # Text alone, and nothing.
    ({"series_description": "SAG T1"}, T1, False, (0.5, 0.5)),
    ({"series_description": "Ax T2 frFSE"}, T2, False, (0.5, 0.5)),
    ({"series_description": "t2w_tse"}, T2, False, (0.5, 0.5)),
    ({"protocol": "T2 FLAIR"}, FLAIR, False, (0.5, 0.5)),
    ({"protocol": "T1 FLAIR sag"}, T1, False, (0.5, 0.5)),
    ({"series_description": "vibe"}, T1, False, (0.5, 0.5)),
    ({"series_description": "HASTE"}, T2, False, (0.5, 0.5)),
    ({"series_description": "PD"}, PD, False, (0.5, 0.5)),
    ({"series_description": "T2 STIR"}, STIR, True, (0.5, 0.5)),
    ({"series_description": "t1 and t2"}, UNKNOWN, False, (0, 0)),
    ({"series_description": "T2* GRE"}, OTHER, False, (0.5, 0.5)),
    ({"series_description": "Doe Jane"}, UNKNOWN, False, (0, 0)),
    ({"series_description": "T12-S1"}, UNKNOWN, False, (0, 0)),
    ({"series_description": "myelogram"}, UNKNOWN, False, (0, 0)),
    ({}, UNKNOWN, False, (0, 0)),
]


@pytest.mark.parametrize(("values", "sequence", "is_fat_suppressed", "confidence"), CONTRASTS)
def test_contrast(
    values: dict[str, Any], sequence: Sequence, is_fat_suppressed: bool, confidence: tuple[float, float]
) -> None:
    contrast = contrast_of(values)
    assert (contrast.sequence, contrast.is_fat_suppressed) == (sequence, is_fat_suppressed), contrast.evidence
    assert confidence[0] <= contrast.confidence <= confidence[1], contrast.evidence
    assert contrast.part is None


LOCALIZERS = [
    "localizer",
    "Localizer_aligned",
    "loc",
    "3-Plane Loc",
    "3 plane localizer",
    "3Pl Loc",
    "T/S/C RF FAST PILOT",
    "Survey",
    "SmartSurvey",
    "AAHead_Scout",
    "AAspine_scout_LS",
    "scout",
    "haste_loc",
    "Plane Loc",
    "gre_scout",
    "tri-planar",
    "Lokalizer",
]


@pytest.mark.parametrize("text", LOCALIZERS)
def test_localizer(text: str) -> None:
    assert is_localizer({"series_description": text})
    assert is_localizer({"protocol": text})


@pytest.mark.parametrize(
    "text", ["local shim t2", "block", "t2_tse_sag", "plan", "surveyor", "allocated", "3D", "pilots"]
)
def test_no_localizer(text: str) -> None:
    assert not is_localizer({"series_description": text})


REFORMATS = [
    "DERIVED\\SECONDARY\\MPR\\CSA MPR\\\\CSAPARALLEL",
    "DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE",
    "DERIVED\\PRIMARY\\MIP_SAG",
    "DERIVED\\SECONDARY\\PROJECTION IMAGE\\CSA MIP",
    "DERIVED\\SECONDARY\\OTHER\\CSA RESAMPLED",
    "DERIVED\\PRIMARY\\MIN IP",
    "DERIVED\\SECONDARY\\CPR",
    "DERIVED\\PRIMARY\\PJN\\MIP",
    "ORIGINAL\\PRIMARY\\MPR",
    "DERIVED\\PRIMARY\\STDDEV_COR",
]


@pytest.mark.parametrize("kind", REFORMATS)
def test_reformat(kind: str) -> None:
    assert is_reformat({"image_type": kind.split("\\")})


def test_reformat_by_name_or_technique() -> None:
    assert is_reformat({"image_type": ["DERIVED", "SECONDARY"], "series_description": "T2 SPACE MPR tra"})
    assert is_reformat({"image_type": ["ORIGINAL", "PRIMARY", "T1", "NONE"], "volume_technique": "MAX_IP"})
    assert not is_reformat({"image_type": ["ORIGINAL", "PRIMARY", "M"], "series_description": "t1_mpr_sag"})
    assert not is_reformat({"image_type": ["DERIVED", "PRIMARY", "DIXON", "WATER"], "volume_technique": "NONE"})
    assert not is_reformat({"image_type": ["DERIVED", "SECONDARY"], "series_description": "anat-T1w"})


@pytest.mark.parametrize(
    ("text", "vendor"),
    [
        ("Siemens HealthCare GmbH", "Siemens"),
        ("SIEMENS", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("GE", "GE"),
        ("GE Healthcare", "GE"),
        ("Philips Healthcare", "Philips"),
        ("Philips Medical Systems, Inc.", "Philips"),
        ("TOSHIBA_MEC_US", "Canon"),
        ("CANON_MEC", "Canon"),
        ("UIH", "United Imaging"),
        ("FUJIFILM Healthcare", "Hitachi"),
        ("Hitachi Medical Corporation", "Hitachi"),
        ("GENESIS Research", "other"),
        ("BIOLAB", "other"),
    ],
)
def test_vendor(text: str, vendor: str) -> None:
    assert vendor_of({"manufacturer": text}) == vendor


TEXT_FIELDS = (
    "series_description",
    "protocol",
    "sequence_name",
    "name",
    "manufacturer",
    "acquisition_contrast",
    "component",
)
LIST_FIELDS = ("image_type", "classic_type", "scanning_sequence", "sequence_variant", "scan_options")
NUMBERS = ("tr_ms", "te_ms", "ti_ms", "flip_deg", "field_t", "echo_train_length", "b_value", "ge_image_type")
WORDS_WE_KNOW = [
    "WATER",
    "FAT",
    "IP",
    "OP",
    "IN",
    "OUT",
    "W",
    "F",
    "FF",
    "DIXON",
    "in phase",
    "dixon",
    "_w",
    "ideal",
    "flex",
    "t1",
    "stir",
]
GARBAGE = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from([*WORDS_WE_KNOW, "Jane", "Doe", "_", ":"])).map(" ".join)
)


@given(
    st.dictionaries(st.sampled_from(TEXT_FIELDS), GARBAGE),
    st.dictionaries(
        st.sampled_from(LIST_FIELDS),
        st.lists(st.one_of(st.text(max_size=12), st.sampled_from(WORDS_WE_KNOW)), max_size=6),
    ),
    st.dictionaries(st.sampled_from(NUMBERS), st.floats(-1e6, 1e6, allow_nan=False)),
)
@settings(max_examples=400, deadline=None)
def test_garbage_never_raises_and_no_part_comes_without_evidence(
    texts: dict[str, str], lists: dict[str, list[str]], numbers: dict[str, float]
) -> None:
    values = {**texts, **lists, **numbers}
    contrast = contrast_of(values)
    is_localizer(values), is_reformat(values)
    assert 0.0 <= contrast.confidence <= 0.95
    assert (contrast.sequence is Sequence.DIXON) == (contrast.part is not None)
    assert (contrast.sequence is Sequence.UNKNOWN) == (contrast.confidence == 0.0)
    if contrast.part is not None:
        assert contrast.evidence.startswith("Dixon part by ")
        assert contrast.confidence >= 0.6


@given(st.dictionaries(st.sampled_from(TEXT_FIELDS), st.text(alphabet="bcdeghjklmqrsuvxyz 0123456789_-/", max_size=40)))
def test_text_without_a_word_we_know_names_no_part(texts: dict[str, str]) -> None:
    # The alphabet lacks a, f, i, n, o, p, t and w: no word for a part or a method can be spelt with it.
    assert dixon_part(texts) is None
    assert not is_dixon_method(texts)
    assert not is_map(texts) or "r2s" in " ".join(texts.values())


@given(st.sampled_from([words for words, _ in VENDORS]), st.text(max_size=20))
def test_no_header_text_comes_through(maker: str, name: str) -> None:
    secret = f"Zq{name}Zq"
    values = gradient(manufacturer=f"{maker} {secret}", series_description=f"{secret} t1", protocol=secret, name=secret)
    assert "Zq" not in contrast_of(values).evidence
    assert "Zq" not in str(vendor_of(values))
