from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from monai.handlers import ParamSchedulerHandler

from monai_ceph.losses import HeatmapRegressionLoss, switch_on
from monai_ceph.transforms import LandmarksToHeatmaps


def example(seed: int, batch: int = 2, landmarks: int = 3, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    state = np.random.RandomState(seed)
    logits = torch.from_numpy(state.normal(scale=2, size=(batch, landmarks + 1, size, size)))
    make = LandmarksToHeatmaps(1.2, torch.float64)
    points = state.uniform(-1, size, size=(batch, landmarks, 2))
    return logits, torch.stack([make(torch.from_numpy(p), (size, size)) for p in points])


def naive(logits: np.ndarray, target: np.ndarray, alpha: float, gamma: float, focal: float) -> float:
    """Equation 3, pixel by pixel: summed over channels, averaged over pixels and batch."""
    batch, channels, rows, columns = logits.shape
    total = 0.0
    for b, r, c in np.ndindex(batch, rows, columns):
        exponentials = [math.exp(value) for value in logits[b, :, r, c]]
        for k in range(channels):
            predicted, truth = exponentials[k] / sum(exponentials), target[b, k, r, c]
            h_t, alpha_t = (predicted, alpha) if truth > 0.01 else (1 - predicted, 1 - alpha)
            total += 0.5 * truth * math.log(predicted)
            total += focal * 0.5 * alpha_t * (1 - h_t) ** gamma * math.log(h_t)
    return -total / (batch * rows * columns)


@given(
    seed=st.integers(0, 2**31),
    alpha=st.floats(0, 1),
    gamma=st.floats(0, 4),
    focal=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=30)
def test_equation_3(seed: int, alpha: float, gamma: float, focal: float) -> None:
    logits, target = example(seed)
    loss = HeatmapRegressionLoss(alpha, gamma)
    loss.set_focal_weight(focal)
    expected = naive(logits.numpy(), target.numpy(), alpha, gamma, focal)
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_gamma_is_2_if_nothing_is_said() -> None:
    logits, target = example(0)
    losses = [HeatmapRegressionLoss(**options) for options in ({}, {"alpha": 0.25, "gamma": 2.0})]
    for loss in losses:
        loss.set_focal_weight(1.0)
    assert losses[0](logits, target).item() == losses[1](logits, target).item()


def test_a_target_of_the_threshold_is_background() -> None:
    """H_t is the prediction only if H > 0.01."""
    logits = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    target = torch.tensor([0.01, 0.99], dtype=torch.float64).reshape(1, 2, 1, 1)
    loss = HeatmapRegressionLoss(0.25, 2.0)
    loss.set_focal_weight(1.0)
    assert loss(logits, target).item() == pytest.approx(naive(logits.numpy(), target.numpy(), 0.25, 2.0, 1.0))


def test_by_hand() -> None:
    # one pixel, one landmark and the background, both certain to a half
    logits = torch.zeros(1, 2, 1, 1)
    target = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    loss = HeatmapRegressionLoss(alpha=0.25, gamma=2)
    assert loss(logits, target).item() == pytest.approx(0.5 * math.log(2))
    loss.set_focal_weight(1.0)
    focal = 0.5 * (0.25 * 0.25 + 0.75 * 0.25) * math.log(2)
    assert loss(logits, target).item() == pytest.approx(0.5 * math.log(2) + focal)


def test_the_focal_term_is_off_at_first_and_the_heatmap_itself_is_the_minimum() -> None:
    logits, target = example(0)
    loss = HeatmapRegressionLoss()
    assert loss.focal_weight == 0
    best = loss(target.clamp(min=1e-12).log(), target)
    entropy = -0.5 * torch.xlogy(target, target).sum(dim=1).mean()
    assert best.item() == pytest.approx(entropy.item(), rel=1e-6)
    assert loss(logits, target) > best


@pytest.mark.parametrize("focal", [0.0, 1.0])
def test_gradient_is_that_of_finite_differences(focal: float) -> None:
    logits, target = example(1, batch=1, landmarks=2, size=3)
    target[:, 1] = torch.nan
    loss = HeatmapRegressionLoss(focal_weight=focal)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


@pytest.mark.parametrize("focal", [0.0, 1.0])
def test_a_missing_landmark_does_not_change_the_loss(focal: float) -> None:
    logits, target = example(2)
    target[1, 2] = torch.nan
    loss = HeatmapRegressionLoss(focal_weight=focal)

    def value_and_gradient(missing: float) -> tuple[torch.Tensor, torch.Tensor]:
        x = logits.clone()
        x[1, 2] = missing
        x.requires_grad_()
        value = loss(x, target)
        return value.detach(), torch.autograd.grad(value, x)[0]

    value, gradient = value_and_gradient(0.0)
    for other in (-40.0, 7.5, 1e4):
        other_value, other_gradient = value_and_gradient(other)
        assert torch.equal(other_value, value)
        assert torch.equal(other_gradient, gradient)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[1, 2] == 0).all()
    assert (gradient[0, 2] != 0).any()
    # the loss is the same as without that channel
    channels = [0, 1, 3]
    alone = loss(logits[1:, channels], target[1:, channels])
    assert ((loss(logits[:1], target[:1]) + alone) / 2).item() == pytest.approx(value.item())


def test_one_nan_pixel_takes_the_whole_channel_out() -> None:
    logits, target = example(3)
    whole, one = target.clone(), target.clone()
    whole[0, 1] = torch.nan
    one[0, 1, 2, 3] = torch.nan
    loss = HeatmapRegressionLoss(focal_weight=1.0)
    assert torch.equal(loss(logits, whole), loss(logits, one))


def test_nothing_annotated_leaves_the_background() -> None:
    logits, target = example(4)
    target[:, :-1] = torch.nan
    target[:, -1] = 1
    x = logits.requires_grad_()
    value = HeatmapRegressionLoss(focal_weight=1.0)(x, target)
    assert value.item() == 0
    assert (torch.autograd.grad(value, x)[0] == 0).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [50.0, 1e4, 1e30])
def test_finite_at_extreme_logits(gamma: float, scale: float) -> None:
    logits, target = example(5)
    target[0, 1] = torch.nan
    x = (logits.float() * scale).requires_grad_()
    value = HeatmapRegressionLoss(gamma=gamma, focal_weight=1.0)(x, target.float())
    assert value.isfinite()
    assert torch.autograd.grad(value, x)[0].isfinite().all()


@pytest.mark.parametrize("focal_epoch", [60, 3])
def test_the_focal_term_is_switched_on_by_monai_at_its_epoch(focal_epoch: int) -> None:
    loss = HeatmapRegressionLoss()
    seen = []
    engine = Engine(lambda engine, batch: seen.append((engine.state.epoch, loss.focal_weight)))
    ParamSchedulerHandler(
        parameter_setter=loss.set_focal_weight,
        value_calculator=switch_on,
        vc_kwargs={"epoch": focal_epoch},
        epoch_level=True,
        event=Events.EPOCH_STARTED,
    ).attach(engine)
    engine.run([0, 1], max_epochs=62)
    assert len(seen) == 124
    assert all(weight == (1.0 if epoch >= focal_epoch else 0.0) for epoch, weight in seen)


def test_switch_on_to_a_value() -> None:
    assert [switch_on(step, 5, 0.5) for step in (4, 5, 6)] == [0, 0.5, 0.5]


def test_switch_on_never() -> None:
    assert [switch_on(step, None) for step in (0, 1, 10**6)] == [0, 0, 0]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="shape"):
        HeatmapRegressionLoss()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
    for alpha, gamma in ((-0.1, 2), (1.1, 2), (0.5, -1)):
        with pytest.raises(ValueError, match="alpha"):
            HeatmapRegressionLoss(alpha, gamma)
