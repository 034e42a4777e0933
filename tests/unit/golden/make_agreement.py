"""Make agreement.json: the same numbers by other people's software. Not run by the tests.

python3.11 -m venv oracle && oracle/bin/pip install pingouin==0.7.0 statsmodels==0.15.0 surface-distance==0.1 \
    scipy==1.17.1 numpy==2.4.6 && oracle/bin/python make_agreement.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pingouin
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

np.Inf = np.inf  # surface-distance 0.1 is older than numpy 2
import surface_distance  # noqa: E402


def paired(seed: int, n: int, bias: float, noise: float) -> dict:
    rng = np.random.default_rng(seed)
    reference = np.round(rng.normal(100.0, 15.0, n), 3)
    prediction = np.round(reference + bias + rng.normal(0.0, noise, n), 3)
    long = pd.DataFrame(
        {"item": np.tile(np.arange(n), 2), "rater": np.repeat([0, 1], n), "value": np.r_[reference, prediction]}
    )
    pingouin.options["round"] = None
    pingouin.options["round.column.CI95"] = 12
    pingouin.options["round.column.CI95%"] = 12
    icc = pingouin.intraclass_corr(long, "item", "rater", "value")
    margin = 0.05 * reference.mean()
    p, low, high = ttost_paired(prediction, reference, -margin, margin)
    return {
        "reference": reference.tolist(),
        "prediction": prediction.tolist(),
        "icc": {row["Type"]: row["ICC"] for _, row in icc.iterrows()},
        "icc_ci": {row["Type"]: [float(x) for x in row.get("CI95", row.get("CI95%"))] for _, row in icc.iterrows()},
        "margin": margin,
        "statsmodels_tost_p": float(p),
        "statsmodels_one_sided_p": [float(low[1]), float(high[1])],
        "pingouin_tost_p": float(pingouin.tost(prediction, reference, bound=margin, paired=True)["pval"].iloc[0]),
    }


def blob(seed: int, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> dict:
    z, y, x = (np.arange(n) * d for n, d in zip(shape, spacing, strict=True))
    zz, yy, xx = np.meshgrid(z - z.mean(), y - y.mean(), x - x.mean(), indexing="ij")
    rng = np.random.default_rng(seed)
    spheres = []
    for _ in range(2):
        centre, radius = np.round(rng.normal(0.0, 1.5, 3), 2), np.round(rng.uniform(8.0, 10.0, 3), 2)
        spheres.append((centre.tolist(), radius.tolist()))
    masks = [
        ((zz - c[0]) / r[0]) ** 2 + ((yy - c[1]) / r[1]) ** 2 + ((xx - c[2]) / r[2]) ** 2 < 1.0 for c, r in spheres
    ]
    found = surface_distance.compute_surface_distances(*masks, spacing)
    areas = (found["surfel_areas_gt"], found["surfel_areas_pred"])
    distances = (found["distances_gt_to_pred"], found["distances_pred_to_gt"])
    return {
        "shape": shape,
        "spacing_mm": spacing,
        "ellipsoids": spheres,
        "dsc": float(surface_distance.compute_dice_coefficient(*masks)),
        "hd95_mm": float(surface_distance.compute_robust_hausdorff(found, 95.0)),
        "nsd_1mm": float(surface_distance.compute_surface_dice_at_tolerance(found, 1.0)),
        "nsd_2mm": float(surface_distance.compute_surface_dice_at_tolerance(found, 2.0)),
        "directed_mean_mm": [float(x) for x in surface_distance.compute_average_surface_distance(found)],
        "area_mm2": [float(a.sum()) for a in areas],
        "assd_mm": float(
            sum((d * a).sum() for d, a in zip(distances, areas, strict=True)) / sum(a.sum() for a in areas)
        ),
    }


p_values = [0.001, 0.04, 0.03, 0.2, 0.03, 0.9]
golden = {
    "paired": [paired(1, 12, 1.0, 3.0), paired(2, 40, -4.0, 6.0), paired(3, 331, 0.5, 1.5), paired(4, 5, 8.0, 2.0)],
    "masks": [
        blob(1, (12, 40, 40), (4.4, 0.7, 0.7)),
        blob(2, (30, 30, 30), (1.0, 1.0, 1.0)),
        blob(3, (9, 36, 28), (5.0, 0.9, 1.2)),
    ],
    "holm": {"raw": p_values, "adjusted": multipletests(p_values, method="holm")[1].tolist()},
}
Path(__file__).with_name("agreement.json").write_text(json.dumps(golden, indent=1) + "\n")
