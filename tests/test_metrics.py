from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch
from forked import Started
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, decollate_batch
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler
from monai.inferers import SimpleInferer

from monai_ceph.metrics import (
    SDR_THRESHOLDS,
    MeanRadialError,
    MissingLandmarks,
    RadialErrorSD,
    SuccessfulDetectionRate,
    landmarks_in_mm,
    mean_radial_error,
    missing_landmarks,
    radial_error_sd,
    radial_errors,
    successful_detection_rate,
)

NAN, INF = math.nan, math.inf
TRUTH = torch.tensor([[10.0, 10], [0, 0], [5, 5], [NAN, NAN], [1, 1]])
PREDICTED = torch.tensor([[13.0, 14], [0, 2], [5, 5], [7, 7], [NAN, NAN]])


def test_errors_by_hand() -> None:
    errors = radial_errors(PREDICTED, TRUTH)
    assert errors.dtype == torch.float64
    assert errors[[0, 1, 2, 4]].tolist() == [5, 2, 0, INF]
    assert errors[3].isnan()


def test_missing_are_the_annotated_that_were_not_found() -> None:
    assert missing_landmarks(radial_errors(PREDICTED, TRUTH)) == 1
    metric = MissingLandmarks()
    for _ in range(2):
        metric(PREDICTED[None], TRUTH[None])
    assert float(metric.aggregate()) == 2


def test_unknown_wins_over_missed() -> None:
    assert radial_errors(torch.tensor([[NAN, 1.0]]), torch.tensor([[1.0, NAN]])).isnan().all()


def test_measures_by_hand() -> None:
    errors = radial_errors(PREDICTED, TRUTH)
    assert mean_radial_error(errors) == pytest.approx(7 / 3)
    # population standard deviation of 5, 2, 0
    assert radial_error_sd(errors) == pytest.approx(math.sqrt(29 / 3 - 49 / 9))
    # four annotated; the missed one is a failure at any distance, and 2.0 counts as within 2.0
    assert successful_detection_rate(errors, 2.0) == 50
    assert successful_detection_rate(errors, 1.99) == 25
    assert successful_detection_rate(errors, 1e9) == 75


def test_thresholds_of_the_paper() -> None:
    assert SDR_THRESHOLDS == (2.0, 2.5, 3.0, 4.0)


@given(row=st.integers(0, 2399), column=st.integers(0, 1934), tenths=st.sampled_from([20, 25, 30, 40]))
@settings(max_examples=80)
def test_the_boundary_counts_in_wherever_the_landmark_lies(row: int, column: int, tenths: int) -> None:
    """Pixels times 0.1 mm are not exact: 100.3 - 98.3 is a little more than 2."""
    truth = {"truth": torch.tensor([[row, column]]).double(), "spacing": torch.tensor(0.1).double()}
    for step in ((tenths, 0), (0, tenths), (tenths * 0.6, tenths * 0.8)):
        predicted = truth["truth"] + torch.tensor(step)
        in_mm = landmarks_in_mm()([{**truth, "predicted": predicted}])
        errors = radial_errors(in_mm[0][0], in_mm[1][0])
        assert successful_detection_rate(errors, tenths / 10) == 100
        assert successful_detection_rate(errors, tenths / 10 - 0.01) == 0


@pytest.mark.filterwarnings("error")
def test_without_annotations_the_measures_are_nan() -> None:
    errors = torch.full((4,), NAN, dtype=torch.float64)
    assert math.isnan(mean_radial_error(errors))
    assert math.isnan(radial_error_sd(errors))
    assert math.isnan(successful_detection_rate(errors, 2.0))


def test_nothing_found() -> None:
    errors = torch.full((4,), INF, dtype=torch.float64)
    assert math.isnan(mean_radial_error(errors))
    assert successful_detection_rate(errors, 2.0) == 0


def test_metrics_gather_batches_and_start_again_after_a_reset() -> None:
    metrics = (MeanRadialError(), RadialErrorSD(), SuccessfulDetectionRate(2.0))
    state = torch.Generator().manual_seed(0)
    truth = torch.rand((7, 5, 2), generator=state) * 10
    predicted = truth + torch.randn((7, 5, 2), generator=state)
    truth[2, 3] = NAN
    errors = radial_errors(predicted, truth)
    expected = [mean_radial_error(errors), radial_error_sd(errors), successful_detection_rate(errors, 2.0)]
    for metric, value in zip(metrics, expected, strict=True):
        metric(torch.zeros(1, 5, 2), torch.ones(1, 5, 2))
        metric.reset()
        metric(predicted[:4], truth[:4])
        metric(list(predicted[4:]), list(truth[4:]))
        assert metric.aggregate().item() == pytest.approx(value, rel=1e-12)


def test_without_any_batch_a_metric_is_nan() -> None:
    assert MeanRadialError().aggregate().isnan()


def test_landmarks_in_mm() -> None:
    item = {
        "p": torch.tensor([[10.0, 20]]),
        "t": torch.tensor([[NAN, NAN]]),
        "mm": torch.tensor([0.1, 0.2]),
    }
    predicted, truth = landmarks_in_mm("p", "t", "mm")([item, {**item, "mm": 0.5}])
    assert predicted[0].tolist() == [pytest.approx([1.0, 4.0])]
    assert predicted[1].tolist() == [pytest.approx([5.0, 10.0])]
    assert truth[0].isnan().all()


class Copy(torch.nn.Module):
    """Returns the landmarks that are stored as pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, :3, :2]


def evaluator(offset: float, spacings: list[float]) -> SupervisedEvaluator:
    truth = torch.arange(6.0).reshape(3, 2)
    data = [
        {"image": (truth + offset * torch.tensor([3, 4]))[None], "landmarks": truth, "pixel_spacing": spacing}
        for spacing in spacings
    ]

    def rename(item: dict) -> dict:
        return {
            **item,
            "predicted": item["pred"],
            "truth": item["landmarks"],
            "spacing": item["pixel_spacing"],
        }

    return SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=Copy(),
        inferer=SimpleInferer(),
        postprocessing=rename,
        key_val_metric={"mre_mm": IgniteMetricHandler(MeanRadialError(), output_transform=landmarks_in_mm())},
        additional_metrics={
            "sd_mm": IgniteMetricHandler(RadialErrorSD(), output_transform=landmarks_in_mm()),
            "sdr": IgniteMetricHandler(SuccessfulDetectionRate(2.0), output_transform=landmarks_in_mm()),
        },
        metric_cmp_fn=lambda current, best: current < best,
    )


def test_in_an_evaluator_of_monai_the_lower_error_is_the_better() -> None:
    engine = evaluator(1.0, [0.1, 0.4, 1.0])
    engine.run(global_epoch=1)
    assert engine.state.metrics["mre_mm"] == pytest.approx(5 * 0.5)
    assert engine.state.metrics["sd_mm"] == pytest.approx(5 * math.sqrt(0.14))
    assert engine.state.metrics["sdr"] == pytest.approx(200 / 3)
    assert engine.state.best_metric == pytest.approx(2.5)

    def shift_data(factor: float) -> None:
        for item in engine.data_loader.dataset.data:
            item["image"] = (item["landmarks"] + factor * torch.tensor([3, 4]))[None]

    shift_data(2.0)
    engine.run(global_epoch=2)
    assert engine.state.metrics["mre_mm"] == pytest.approx(5.0)
    assert (engine.state.best_metric, engine.state.best_metric_epoch) == (pytest.approx(2.5), 1)
    shift_data(0.2)
    engine.run(global_epoch=3)
    assert (engine.state.best_metric, engine.state.best_metric_epoch) == (pytest.approx(0.5), 3)


def sample(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    state = torch.Generator().manual_seed(3)
    truth = torch.rand((count, 4, 2), generator=state) * 20
    predicted = truth + 2 * torch.randn((count, 4, 2), generator=state)
    truth[0, 1] = NAN
    predicted[4, 2] = NAN
    return predicted, truth


def _evaluate_a_shard(rank: int, world: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    try:
        predicted, truth = sample()
        own = slice(0, 1) if rank == 0 else slice(1, 5)
        values = []
        for metric in (MeanRadialError(), RadialErrorSD(), SuccessfulDetectionRate(2.0)):
            for p, t in zip(predicted[own], truth[own], strict=True):
                metric(p[None], t[None])
            values.append(metric.aggregate().item())
        (Path(folder) / f"{rank}.json").write_text(json.dumps(values))
    finally:
        torch.distributed.destroy_process_group()


def test_two_processes_with_uneven_shards_agree_with_one(tmp_path: Path) -> None:
    processes = [Started(_evaluate_a_shard, rank, 2, str(tmp_path), folder=tmp_path) for rank in (0, 1)]
    try:
        for each in processes:
            assert each.end(120) == 0, each.log.read_text()
    finally:
        for each in processes:
            each.kill()
    predicted, truth = sample()
    errors = radial_errors(predicted, truth)
    expected = [mean_radial_error(errors), radial_error_sd(errors), successful_detection_rate(errors, 2.0)]
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(expected, rel=1e-12)


def test_decollated_batches_fit() -> None:
    batch = {"predicted": torch.ones(2, 3, 2), "truth": torch.zeros(2, 3, 2), "spacing": torch.tensor([0.1, 0.2])}
    predicted, truth = landmarks_in_mm()(decollate_batch(batch))
    metric = MeanRadialError()
    metric(predicted, truth)
    assert metric.aggregate().item() == pytest.approx(math.sqrt(2) * 0.15)
