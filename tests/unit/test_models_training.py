"""Training: the same seed gives the same weights, killed and resumed or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from paraspinal.core.errors import ModelError
from paraspinal.core.version import version
from paraspinal.models.network import NetworkSpec, build_network
from paraspinal.models.training.checkpoint import load_tensors, read_checkpoint, save_tensors
from paraspinal.models.training.loop import (
    CHECKPOINT_NAME,
    HALF_WAY_NAME,
    SamplePool,
    Schedule,
    draw_sample,
    train,
    train_phases,
)
from paraspinal.models.training.losses import HEATMAP_WEIGHT, heatmap_loss, segmentation_loss
from paraspinal.models.training.recipes import Recipe
from paraspinal.models.training.task import Sample

SPEC = NetworkSpec(n_inputs=2, n_classes=3, n_heatmaps=1, channels=(4, 8))
SCHEDULE = Schedule(steps=12, seed=3, batch_size=2, fresh_per_step=2, pool_size=6, warmup_steps=2)


@dataclass(frozen=True)
class Squares:
    """Find a bright and a dark square and the centre of the bright one."""

    name: str = "squares"
    n_inputs: int = 2
    class_names: tuple[str, ...] = ("background", "bright", "dark")
    heatmap_names: tuple[str, ...] = ("centre",)

    def sample(self, rng: np.random.Generator) -> Sample:
        classes = np.zeros((16, 16), dtype=np.int64)
        row, column = rng.integers(1, 5, 2)
        classes[row : row + 4, column : column + 4] = 1
        classes[row + 6 : row + 9, column : column + 6] = 2
        heatmap = np.zeros((1, 16, 16), dtype=np.float32)
        heatmap[0, row + 2, column + 2] = 1.0
        image = np.array([0.0, 1.0, -1.0])[classes] + rng.normal(0, 0.1, (2, 16, 16))
        return image.astype(np.float32), classes, heatmap


def test_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train(Squares(), 12, tmp_path / "whole", 3, schedule=SCHEDULE, spec=SPEC)
    train(Squares(), 12, tmp_path / "parts", 3, schedule=SCHEDULE, spec=SPEC, stop_after=5)
    parts = train(Squares(), 12, tmp_path / "parts", 3, schedule=SCHEDULE, spec=SPEC)
    assert read_checkpoint(parts).description["step"] == 12
    assert parts.read_bytes() == whole.read_bytes()


def test_a_share_of_the_start_is_kept_in_the_result_once(tmp_path: Path) -> None:
    start = build_network(SPEC).state_dict()
    plain = train(Squares(), 12, tmp_path / "plain", 3, schedule=SCHEDULE, spec=SPEC, initial=start)
    mixing = replace(SCHEDULE, start_frac=0.25)
    mixed = train(Squares(), 12, tmp_path / "mixed", 3, schedule=mixing, spec=SPEC, initial=start)
    half = train(Squares(), 12, tmp_path / "half", 3, schedule=mixing, spec=SPEC, initial=start, stop_after=6)
    reached = read_checkpoint(half).average
    for name, value in read_checkpoint(plain).average.items():
        expected = 0.75 * value + 0.25 * start[name] if value.is_floating_point() else value
        assert torch.allclose(read_checkpoint(mixed).average[name], expected, atol=1e-6)
    assert any(not torch.equal(reached[name], start[name]) for name in start), "nothing is mixed on the way"
    again = train(Squares(), 12, tmp_path / "mixed", 3, schedule=mixing, spec=SPEC, initial=start)
    resumed = train(Squares(), 12, tmp_path / "half", 3, schedule=mixing, spec=SPEC, initial=start)
    assert again.read_bytes() == resumed.read_bytes() == mixed.read_bytes()


def test_workers_draw_the_same_samples(tmp_path: Path) -> None:
    alone = train(Squares(), 3, tmp_path / "a", 3, schedule=replace(SCHEDULE, steps=3), spec=SPEC)
    helped = train(Squares(), 3, tmp_path / "b", 3, schedule=replace(SCHEDULE, steps=3), spec=SPEC, workers=1)
    assert alone.read_bytes() == helped.read_bytes()


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, stop_after=1)
    with pytest.raises(ModelError, match="other settings"):
        train(Squares(), 12, tmp_path, 4, schedule=replace(SCHEDULE, seed=4), spec=SPEC)


def test_a_phase_continues_from_the_average_of_the_one_before(tmp_path: Path) -> None:
    first, second = SCHEDULE, replace(SCHEDULE, steps=4, seed=8)
    last = train_phases(Squares(), (first, second), tmp_path / "both", spec=SPEC)
    one = train(Squares(), 12, tmp_path / "one", 3, schedule=first, spec=SPEC)
    start = read_checkpoint(one).average
    two = train(Squares(), 4, tmp_path / "two", 8, schedule=second, spec=SPEC, initial=start)
    assert last == tmp_path / "both" / "phase-2" / "checkpoint.safetensors"
    assert last.read_bytes() == two.read_bytes()
    assert read_checkpoint(last).description["step"] == 4


def test_a_run_killed_in_its_second_phase_ends_with_the_same_weights(tmp_path: Path) -> None:
    phases = (replace(SCHEDULE, steps=3), SCHEDULE)
    whole = train_phases(Squares(), phases, tmp_path / "whole", spec=SPEC)
    train_phases(Squares(), phases, tmp_path / "parts", spec=SPEC, stop_after=5)  # 3 of 3, then 5 of 12
    parts = train_phases(Squares(), phases, tmp_path / "parts", spec=SPEC)
    assert parts.read_bytes() == whole.read_bytes()


def test_no_phase_begins_before_the_one_before_has_ended(tmp_path: Path) -> None:
    phases = (SCHEDULE, replace(SCHEDULE, steps=2))
    assert train_phases(Squares(), phases, tmp_path, spec=SPEC, stop_after=5).parent.name == "phase-1"
    assert train_phases(Squares(), phases, tmp_path, spec=SPEC).parent.name == "phase-2"


def test_a_run_does_not_continue_from_another_start(tmp_path: Path) -> None:
    train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, stop_after=1)
    start = build_network(SPEC).state_dict()
    with pytest.raises(ModelError, match="other settings"):
        train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, initial=start)


def test_weights_of_another_network_are_no_start(tmp_path: Path) -> None:
    start = build_network(replace(SPEC, channels=(4, 6))).state_dict()
    with pytest.raises(ModelError, match="another network"):
        train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, initial=start)


def test_a_recipe_shares_out_steps_and_seeds() -> None:
    recipe = Recipe((Schedule(steps=300, seed=1), Schedule(steps=100, seed=1))).with_steps(40).with_seed(7)
    assert [(phase.steps, phase.seed) for phase in recipe.phases] == [(30, 7), (10, 8)]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, steps=150, batch_size=4, learning_rate=2e-2)
    path = train(Squares(), 150, tmp_path, 3, schedule=schedule, spec=SPEC)
    network = build_network(SPEC)
    network.load_state_dict(read_checkpoint(path).average)
    image, classes, _ = draw_sample(Squares(), 99, 0)
    with torch.inference_mode():
        found = network.eval()(torch.from_numpy(image)[None])[0].argmax(dim=1)[0].numpy()
    assert np.mean(found == classes) > 0.95


def test_samples_depend_on_seed_and_index_only() -> None:
    first = draw_sample(Squares(), 5, 17)
    again, other = draw_sample(Squares(), 5, 17), draw_sample(Squares(), 5, 18)
    for index in range(3):
        assert np.array_equal(first[index], again[index])
    assert not np.array_equal(first[0], other[0])


def test_pool_at_a_step_does_not_depend_on_the_past() -> None:
    walked, jumped = SamplePool(Squares(), SCHEDULE), SamplePool(Squares(), SCHEDULE)
    for step in range(4):
        walked.batch(step)
    assert all(torch.equal(a, b) for a, b in zip(walked.batch(4), jumped.batch(4), strict=True))


def test_learning_rate_warms_up_and_anneals_to_zero() -> None:
    schedule = Schedule(steps=1000, seed=0, learning_rate=2e-3, warmup_steps=100)
    assert schedule.learning_rate_at(0) == pytest.approx(2e-5)
    assert schedule.learning_rate_at(500) == pytest.approx(1e-3)
    assert schedule.learning_rate_at(1000) == pytest.approx(0.0, abs=1e-12)


def test_segmentation_loss_of_known_predictions() -> None:
    classes = torch.tensor([[[0, 1], [1, 0]]])
    perfect = 50.0 * torch.nn.functional.one_hot(classes, 2).permute(0, 3, 1, 2).float()
    assert float(segmentation_loss(perfect, classes)) == pytest.approx(0.0, abs=1e-6)
    # Undecided everywhere: entropy ln 2; Dice (2 * 1 + 1) / (2 + 2 + 1).
    assert float(segmentation_loss(torch.zeros(1, 2, 2, 2), classes)) == pytest.approx(math.log(2) + 1 - 0.6)


def test_the_loss_of_shares_is_least_where_prediction_and_truth_are_equal() -> None:
    shares = torch.tensor([0.7, 0.3]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    right, rounded, undecided = (
        segmentation_loss(torch.log(torch.tensor(p)).view(1, 2, 1, 1).expand(1, 2, 4, 4), shares.half())
        for p in ([0.7, 0.3], [0.97, 0.03], [0.5, 0.5])
    )
    # The entropy of the truth itself is left, the Dice is 1.
    assert float(right) == pytest.approx(-(0.7 * math.log(0.7) + 0.3 * math.log(0.3)), abs=2e-3)
    assert right < undecided < rounded


def test_hard_shares_cost_what_classes_do() -> None:
    classes = torch.tensor([[[0, 1], [1, 0]]])
    shares = torch.nn.functional.one_hot(classes, 2).permute(0, 3, 1, 2).half()
    perfect = 50.0 * shares.float()
    assert float(segmentation_loss(perfect, shares)) == pytest.approx(
        float(segmentation_loss(perfect, classes)), abs=1e-6
    )


def test_weights_of_half_the_steps_are_kept(tmp_path: Path) -> None:
    train(Squares(), 12, tmp_path / "whole", 3, schedule=SCHEDULE, spec=SPEC)
    train(Squares(), 12, tmp_path / "half", 3, schedule=SCHEDULE, spec=SPEC, stop_after=6)
    half = tmp_path / "whole" / HALF_WAY_NAME
    assert read_checkpoint(half).description["step"] == 6
    assert half.read_bytes() == (tmp_path / "half" / CHECKPOINT_NAME).read_bytes()


def test_a_checkpoint_names_the_code_it_was_made_with(tmp_path: Path) -> None:
    path = train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, stop_after=1)
    assert read_checkpoint(path).description["code"] == version()


def test_heatmap_loss_of_known_predictions() -> None:
    assert float(heatmap_loss(torch.zeros(1, 0, 4, 4), torch.zeros(1, 0, 4, 4))) == 0.0
    # Sigmoid of 0 is 0.5 against 0 everywhere.
    assert float(heatmap_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))) == pytest.approx(HEATMAP_WEIGHT / 4)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_tensors(tmp_path / "weights.safetensors")


def test_the_same_tensors_and_metadata_are_the_same_bytes(tmp_path: Path) -> None:
    """The library's own writer puts metadata in another order every time."""
    metadata = {f"key{i}": 'ä, " {}' for i in range(8)}
    for i in range(6):
        save_tensors(tmp_path / f"{i}", {"b": torch.arange(3.0), "a": torch.ones(2, dtype=torch.int64)}, metadata)
    assert len({(tmp_path / f"{i}").read_bytes() for i in range(6)}) == 1
    tensors, found = load_tensors(tmp_path / "0")
    assert found == metadata
    assert torch.equal(tensors["b"], torch.arange(3.0))


def test_truncated_weights_and_a_missing_gpu_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tensors(tmp_path / "whole", {"a": torch.zeros(64)}, {})
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-1])
    with pytest.raises(ModelError, match="truncated"):
        load_tensors(tmp_path / "cut")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no usable GPU"):
        train(Squares(), 12, tmp_path, 3, schedule=SCHEDULE, spec=SPEC, device="cuda")
