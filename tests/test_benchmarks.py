from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import fold
import numpy as np
import pytest
import stress
import torch
from stresses import STRESSES, Sample

from monai_ceph import weights
from monai_ceph.datasets.phantom.drawing import draw_phantom
from monai_ceph.evaluation import Evaluation
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.transforms.styles import STYLES

Warns = Callable[..., bool]

BUNDLES = Path(__file__).parents[1] / "bundles"
GLOBAL, LOCAL, CONTEXT = (["--set", f"{stage}_weights=runs/{stage}/final.pt"] for stage in weights.STAGES)
NO_CONTEXT = ["--set", "context_weights=null"]


@pytest.fixture
def warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Warns:
    """Run a script on no films and return whether it warned."""
    (tmp_path / "RawImage").mkdir()
    measured = Evaluation(("a", "b"), torch.ones(2, NUM_LANDMARKS), torch.ones(2, NUM_LANDMARKS, 2), {})
    for module in (fold, stress):
        monkeypatch.setattr(module, "isbi2015", lambda *_: [])
        monkeypatch.setattr(module, "split_fold", lambda *_: ([], []))
        monkeypatch.setattr(module, "CephalogramDetector", lambda *_, **__: None)
    monkeypatch.setattr(fold, "evaluate", lambda *_: measured)
    monkeypatch.setattr(stress, "hide", lambda *_: None)

    def run(script: str, *options: str) -> bool:
        monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *options])
        {"fold": fold, "stress": stress}[script].main()
        return "TRAINING FIGURES" in capsys.readouterr().out

    return run


SHIPPED = [
    [],
    [*LOCAL, *CONTEXT],
    [*GLOBAL, *NO_CONTEXT],
    [*GLOBAL, *LOCAL, "--set", "context_weights=$weights.path('context')"],
]
GIVEN = [
    # the shipped context network takes no part beside another local network
    [*GLOBAL, *LOCAL],
    ["--global-weights", "g.pt", "--local-weights", "l.pt"],
    [*GLOBAL, *LOCAL, *CONTEXT],
    [*GLOBAL, *LOCAL, *NO_CONTEXT],
    ["--global-weights", "g.pt", "--local-weights", "l.pt", "--context-weights", "c.pt"],
    [*GLOBAL, *LOCAL, "--config", str(BUNDLES / "overlays" / "paper.json")],
]


@pytest.mark.parametrize("options", SHIPPED, ids=" ".join)
def test_figures_of_a_shipped_network_are_training_figures(warns: Warns, options: list[str]) -> None:
    assert warns("fold", *options)
    assert warns("stress", "--hide", *options)


@pytest.mark.parametrize("options", GIVEN, ids=" ".join)
def test_figures_of_given_networks_are_not(warns: Warns, options: list[str]) -> None:
    assert not warns("fold", *options)
    assert not warns("stress", "--hide", *options)


def test_stage_1_uses_the_global_network_alone(warns: Warns) -> None:
    assert not warns("fold", "--stage", "global", *GLOBAL)
    assert warns("fold", "--stage", "global", *LOCAL, *CONTEXT)


def test_every_row_counts(warns: Warns) -> None:
    given = [*GLOBAL, *LOCAL, *CONTEXT]
    assert not warns("fold", *given, "--row", "decode_power=0")
    assert not warns("fold", *given, "--fold", "0", "1", "--row", "local_weights=runs/local{fold}/final.pt")
    assert warns("fold", *given, "--row", "local_weights=$weights.path('local')")
    # the first row is the one without changes
    assert warns("fold", *GLOBAL, *CONTEXT, "--row", "local_weights=runs/local{fold}/final.pt")
    assert not warns("fold", *GLOBAL, *CONTEXT, "--vary", "local_weights", "runs/a{fold}.pt", "runs/b{fold}.pt")


class TestStyles:
    """Films as other machines make them."""

    def sample(self) -> Sample:
        phantom = draw_phantom(2, height=150, width=121)
        pixels = phantom.pixels.astype(np.float32)
        return Sample(pixels / pixels.max(), phantom.landmarks, torch.eye(3, dtype=torch.float64))

    def test_each_style_is_a_stress(self) -> None:
        assert {f"style: {name}" for name in STYLES} <= STRESSES.keys()

    @pytest.mark.parametrize("label", [label for label in STRESSES if label.startswith("style: ")])
    def test_a_film_gets_the_same_draw_each_time(self, label: str) -> None:
        before = self.sample()
        films = [STRESSES[label](self.sample(), np.random.default_rng(3)) for _ in range(2)]
        assert np.array_equal(films[0].pixels, films[1].pixels)
        assert films[0].pixels.shape == before.pixels.shape
        assert films[0].pixels.dtype == np.float32
        assert np.array_equal(films[0].landmarks, before.landmarks)
        assert torch.equal(films[0].to_source, before.to_source)

    def test_only_the_errors_of_chosen_landmarks(self) -> None:
        errors = np.arange(2.0 * NUM_LANDMARKS).reshape(2, NUM_LANDMARKS)
        found = stress.Found(errors, errors / 100, errors.astype(str), 1, 0.5)
        porion = stress.of_landmarks(found, [3])
        assert porion.errors.tolist() == [[3.0], [22.0]]
        assert porion.scores.tolist() == [[0.03], [0.22]]
        assert porion.status.tolist() == [["3.0"], ["22.0"]]
        assert (porion.rejected, porion.seconds) == (1, 0.5)
