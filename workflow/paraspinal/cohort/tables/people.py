"""One row per person: what the headers and the participants sheet say of them."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.core.records.people_schemas import PARTICIPANTS

INVENTORY_READ = ("subject", "session", "days_from_first_visit", "sex", "age_years")
"""Columns of the inventory that say something of a person."""
NUMBERS = ("age_years", "height_cm", "weight_kg", "bmi_kg_m2")


def participants(inventory: pa.Table, facts: pa.Table) -> pa.Table:
    """Join what the sheet says (``facts``, a covariates table) to the people of an inventory; the sheet wins."""
    stacks = inventory.filter(pc.is_valid(inventory["subject"])).to_pandas()
    stacks = stacks.sort_values(["subject", "days_from_first_visit", "session"], kind="stable")
    people = stacks.groupby("subject")
    found = pd.DataFrame({"n_visits": people["session"].nunique()})
    said = facts.to_pandas()
    texts = said.pivot(index="subject", columns="covariate", values="value").reindex(found.index)
    numbers = said.pivot(index="subject", columns="covariate", values="number").reindex(found.index)
    for name, source in (("sex", "sex_source"), ("age_years", "age_source")):
        sheet = (numbers if name in NUMBERS else texts).get(name, pd.Series(None, found.index, dtype="object"))
        header = people[name].first()
        found[name] = sheet.where(sheet.notna(), header)
        found[source] = pd.Series("sheet", found.index).where(sheet.notna(), "header").where(found[name].notna(), None)
    for name in NUMBERS[1:]:
        found[name] = numbers.get(name, pd.Series(float("nan"), found.index))
    computed = found["weight_kg"] / (found["height_cm"] / 100) ** 2
    found["bmi_kg_m2"] = found["bmi_kg_m2"].where(found["bmi_kg_m2"].notna(), computed)
    found["centre"] = texts.get("centre", pd.Series(None, found.index, dtype="object"))
    found["is_in_sheet"] = found.index.isin(set(said["subject"]))
    frame = found.reset_index()
    arrays = [pa.array(frame[c.name], c.type, from_pandas=True) for c in PARTICIPANTS.columns]
    return pa.Table.from_arrays(arrays, schema=PARTICIPANTS.schema)
