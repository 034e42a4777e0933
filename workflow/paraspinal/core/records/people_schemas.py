"""The columns of the two cohort tables about people: what headers and the participants sheet say of them."""

from __future__ import annotations

from paraspinal.core.records.columns import BOOL, FLOAT, INT, KEYS, TEXT
from paraspinal.core.records.tables import Column, Table

_SUBJECT = KEYS[0]
_NOT_STATED = "neither the sheet nor a header says"
_NOT_IN_SHEET = "the participants sheet does not say"

PARTICIPANTS = Table(
    "participants",
    "One row per person of the inventory: what headers and the participants sheet say. Join on subject.",
    (
        _SUBJECT,
        Column("n_visits", INT, "visits in the inventory", "visit"),
        Column("is_in_sheet", BOOL, "the participants sheet has a row for the person"),
        Column("sex", TEXT, "sex (F, M, O), from the sheet, else the first header that states it", "", "", _NOT_STATED),
        Column("sex_source", TEXT, "sheet | header", null_meaning="sex is null"),
        Column("age_years", FLOAT, "age at the first visit that states it, 90 for all older", "year", "", _NOT_STATED),
        Column("age_source", TEXT, "sheet | header", null_meaning="age_years is null"),
        Column("height_cm", FLOAT, "height", "cm", null_meaning=_NOT_IN_SHEET),
        Column("weight_kg", FLOAT, "weight", "kg", null_meaning=_NOT_IN_SHEET),
        Column("bmi_kg_m2", FLOAT, "body mass index; computed where the sheet has no value", "kg/m2",
               "weight_kg / (height_cm / 100)^2", "neither stated nor to be computed"),
        Column("centre", TEXT, "centre as the sheet calls it", null_meaning=_NOT_IN_SHEET),
    ),
    ("subject",),
)  # fmt: skip

COVARIATES = Table(
    "covariates",
    "One row per person and column of the participants sheet that has a value, the closed columns included.",
    (
        _SUBJECT,
        Column("covariate", TEXT, "column of the participants sheet"),
        Column("value", TEXT, "what the sheet says"),
        Column("number", FLOAT, "the same as a number", "of the covariate", null_meaning="the value is no number"),
    ),
    ("subject", "covariate"),
)
