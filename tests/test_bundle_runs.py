"""Bundles that run as commands, on small films with small networks: what they write, print and refuse."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_runs import BUNDLES, RUNS, STAGES, TINY, TINY_STAGE, TINY_WHOLE, command, error_line, execute, execute_all
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_ceph import CephalogramDetector
from monai_ceph import weights as shipped
from monai_ceph.datasets import folder as dataset
from monai_ceph.evaluation import evaluate
from monai_ceph.landmarks import SYMBOLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of all runs: not the folder of the bundles, and with a name that a shell must quote."""
    return tmp_path_factory.mktemp("a folder")


@pytest.fixture(scope="module")
def logs(folder: Path) -> dict[str, str]:
    """The output of every run, by name."""
    tiny = {stage: {**TINY, **TINY_STAGE[stage]} for stage in STAGES}
    # the command from the README, in another process
    first = execute(["-m", "monai.bundle", *command("training", "local", max_epochs=2, **tiny["local"])], folder)
    # to draw films takes longer than to train on them
    (films,) = (folder / "runs" / "local" / "phantoms").iterdir()
    for run in ("global", "robust", "accurate", "context", "further", "finetune", "paper-local", "paper-global"):
        (folder / "runs" / run / "phantoms").mkdir(parents=True)
        (folder / "runs" / run / "phantoms" / films.name).symlink_to(films)
    weights = {f"{stage}_weights": folder / "runs" / stage / "final.pt" for stage in STAGES}
    weights["context_weights"] = folder / "runs" / "context" / "final.pt"
    commands = {
        "local, further": command("training", "local", max_epochs=3, **tiny["local"]),
        "local, finished": command("training", "local", max_epochs=3, **tiny["local"]),
        "global": command("run", "local", "global", max_epochs=2, **tiny["global"]),
        # the networks go on with the overlays
        "robust": command(
            "training",
            *("local", "global", "robust"),
            **{**tiny["global"], "max_epochs": 1},
            initial_weights=weights["global_weights"],
            output_dir="runs/robust",
        ),
        "accurate": command(
            "training",
            *("local", "accurate"),
            **{**tiny["local"], "max_epochs": 1},
            initial_weights=weights["local_weights"],
            output_dir="runs/accurate",
        ),
        # two films, which do not fill a batch
        "context": command(
            "training",
            *("local", "accurate", "context"),
            **{**tiny["local"], "max_epochs": 1, "imagenet": False},
            output_dir="runs/context",
        ),
        "context, further": command(
            "training",
            *("local", "accurate", "context"),
            **{**tiny["local"], "max_epochs": 1},
            initial_weights=weights["context_weights"],
            output_dir="runs/further",
        ),
        # the shipped network, whose channels are those of the config
        "finetune": command(
            "training",
            *("local", "accurate", "finetune"),
            **{**tiny["local"], "channels": "[32,64,128,256,512]", "max_epochs": 1},
            output_dir="runs/finetune",
        ),
        **{
            f"paper training, {stage}": command(
                *("training", *RUNS[stage], "paper_training"),
                **{**tiny[stage], "augmentation_margin": 0, "max_epochs": 1},
                output_dir=f"runs/paper-{stage}",
            )
            for stage in STAGES
        },
        "other films": command("training", "local", **{**tiny["local"], "max_epochs": 4, "phantoms": 5}),
        "inference": command("inferring", "inference", **TINY_WHOLE, **weights),
        "paper": command(
            *("inferring", "inference", "paper"),
            **{**TINY_WHOLE, **weights, "context_weights": None, "output_dir": "runs/paper"},
        ),
        "evaluate": command("evaluating", "inference", "evaluate", **TINY_WHOLE, **weights),
        "no dataset folder": command("training", "local", "global", dataset_dir="nowhere", output_dir="elsewhere"),
        "few phantoms": command("training", "local", phantoms=3, output_dir="elsewhere"),
        "no weights": command("training", "local", **tiny["local"], initial_weights="no.pt", output_dir="elsewhere"),
        "weights of another stage": command(
            "inferring", "inference", **{**TINY_WHOLE, **weights, "global_weights": weights["context_weights"]}
        ),
        "not a film": command("inferring", "inference", **{**TINY_WHOLE, **weights}, dataset_dir="broken"),
    }
    (folder / "broken").mkdir()
    (folder / "broken" / "film.png").write_bytes(b"not a film")
    return {"local": first, **execute_all(commands, folder)}


def detector_like(folder: Path, *, paper: bool = False) -> CephalogramDetector:
    """The detector with the networks and the parameters of the tiny runs."""
    overrides: dict[str, Any] = {key: [4, 8] if key == "channels" else value for key, value in TINY_WHOLE.items()}
    overrides |= {
        f"{stage}_weights": str(folder / "runs" / stage / "final.pt") for stage in ("global", "local", "context")
    }
    overrides |= {"context_weights": None} if paper else {}
    return CephalogramDetector(
        "cpu",
        overlays=[BUNDLES / "overlays" / "paper.json"] if paper else [],
        overrides={key: value for key, value in overrides.items() if key != "device"},
    )


FINE = (
    *("local", "local, further", "global", "robust", "accurate", "context", "context, further", "finetune"),
    *("paper training, local", "paper training, global", "inference", "paper", "evaluate"),
)


class TestRuns:
    @pytest.mark.parametrize("name", FINE)
    def test_no_error_line(self, logs: dict[str, str], name: str) -> None:
        assert "Traceback" not in logs[name], logs[name]
        assert not re.search(r"\b(ERROR|CRITICAL)\b", logs[name]), logs[name]

    @pytest.mark.parametrize("name", FINE)
    def test_training_without_a_dataset_warns(self, logs: dict[str, str], name: str) -> None:
        (line,) = [line for line in logs[name].splitlines() if "NO DATASET" in line]
        assert "WARNING" in line
        assert "SYNTHETIC" in line
        assert "--dataset_dir" in line

    @pytest.mark.parametrize(
        ("run", "epochs"), {"local": 3, "global": 2, "robust": 1, "accurate": 1, "context": 1}.items()
    )
    def test_training_writes_a_checkpoint_and_weights(
        self, logs: dict[str, str], folder: Path, run: str, epochs: int
    ) -> None:
        out = folder / "runs" / run
        trainer = torch.load(out / "checkpoint.pt", weights_only=True)["trainer"]
        assert trainer["iteration"] == epochs * trainer["epoch_length"]
        assert list(out.glob("best_*.pt"))
        assert list(out.glob("events.out.tfevents*"))
        final = torch.load(out / "final.pt", weights_only=True)
        values = [value for value in final.values() if value.is_floating_point()]
        assert values
        assert all(value.isfinite().all() for value in values)

    @pytest.mark.parametrize("name", ["local", "global"])
    def test_validation_reports_the_error_in_mm(self, logs: dict[str, str], name: str) -> None:
        found = [float(value) for value in re.findall(r"Metrics -- .*?mre_mm: (\S+)", logs[name])]
        assert len(found) == 2
        assert all(0 < value < 200 for value in found)
        assert len(re.findall(r"Metrics -- .*?missing: \d+", logs[name])) == 2
        best = re.findall(r"Key metric: mre_mm best value: (\S+) at epoch", logs[name])
        assert float(best[-1]) == pytest.approx(min(found), abs=1e-3)

    def test_the_loss_is_finite(self, logs: dict[str, str], folder: Path) -> None:
        for run in (*STAGES, "robust", "accurate", "context"):
            losses = []
            for path in (folder / "runs" / run).glob("events.out.tfevents*"):
                events = EventAccumulator(str(path)).Reload()
                if "loss" in events.Tags()["scalars"]:
                    losses += [event.value for event in events.Scalars("loss")]
            assert losses, run
            assert all(math.isfinite(loss) for loss in losses)

    def test_the_same_command_resumes_the_training(self, logs: dict[str, str]) -> None:
        log = logs["local, further"]
        assert "resuming after epoch 2: " in log
        assert "Restored all variables from " in log
        assert re.findall(r"Epoch\[(\d+)\] Metrics", log) == ["3"]

    @pytest.mark.parametrize(
        ("run", "log", "stage"),
        [("robust", "robust", "global"), ("accurate", "accurate", "local"), ("further", "context, further", "context")],
    )
    def test_an_overlay_starts_from_the_given_weights(
        self, logs: dict[str, str], folder: Path, run: str, log: str, stage: str
    ) -> None:
        assert f"Restored all variables from {folder / 'runs' / stage / 'final.pt'}" in logs[log]
        before, after = (torch.load(folder / "runs" / each / "final.pt", weights_only=True) for each in (stage, run))
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[key], after[key]) for key in before)

    def test_the_stem_of_the_context_network_is_not_trained(self, logs: dict[str, str], folder: Path) -> None:
        before, after = (
            torch.load(folder / "runs" / each / "final.pt", weights_only=True) for each in ("context", "further")
        )
        stem = ("unet.encoder._conv_stem", "unet.encoder._bn0", "unet.encoder._blocks.0.")
        assert all(torch.equal(before[key], after[key]) for key in before if key.startswith(stem))

    def test_a_finished_run_names_the_options_to_continue(self, logs: dict[str, str]) -> None:
        line = error_line(logs["local, finished"])
        assert "runs/local/checkpoint.pt" in line
        assert "already has 3 of 3 epochs" in line
        assert "--max_epochs" in line
        assert "--output_dir" in line

    def test_a_run_on_other_films_is_not_resumed(self, logs: dict[str, str], folder: Path) -> None:
        line = error_line(logs["other films"])
        assert "holds a training run on other films" in line
        assert "--output_dir" in line
        assert "--resume False" in line
        assert (folder / "runs" / "local" / "checkpoint.pt").is_file()

    def test_fine_tuning_starts_from_the_shipped_network_and_mean_shape(
        self, logs: dict[str, str], folder: Path
    ) -> None:
        assert f"Restored all variables from {shipped.path('local')}" in logs["finetune"]
        landmarks = json.loads((folder / "runs" / "finetune" / "landmarks.json").read_text())
        assert landmarks["mean_shape"] == shipped.mean_shape()

    def test_a_dataset_that_is_not_there(self, logs: dict[str, str]) -> None:
        assert error_line(logs["no dataset folder"]) == "error: nowhere: no such folder"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("few phantoms", "3 films cannot be split into 5 folds; give from 2 up to the number of films"),
            ("no weights", "no.pt: No such file or directory"),
            ("weights of another stage", "runs/context/final.pt: not weights of the global network: Error"),
            ("not a film", "broken/film.png: not a PNG, JPEG, BMP, TIFF, WebP or JPEG 2000 image"),
        ],
    )
    def test_what_is_wrong_is_one_line(self, logs: dict[str, str], name: str, expected: str) -> None:
        assert expected in error_line(logs[name])
        assert not re.search(r"\b(ERROR|CRITICAL)\b", logs[name]), logs[name]

    @pytest.mark.parametrize("run", ["inference", "paper"])
    def test_the_inference_bundle_and_the_detector_agree(self, logs: dict[str, str], folder: Path, run: str) -> None:
        detector = detector_like(folder, paper=run == "paper")
        assert (detector.inferer.pose is None) == (run == "paper")
        films = sorted((folder / "runs" / run / "phantoms").rglob("*.png"))
        assert len(films) == 2
        for film in films:
            with (folder / "runs" / run / f"{film.name}.landmarks.csv").open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            assert {Path(row["film"]).name for row in rows} == {film.name}
            assert tuple(row["symbol"] for row in rows) == SYMBOLS
            found = np.array([(float(row["x"] or "nan"), float(row["y"] or "nan")) for row in rows])
            expected = detector(film, force=True).points()
            # the table has two decimals
            assert np.allclose(found, expected, atol=0.01, equal_nan=True)
            assert np.isfinite(found).all()

    def test_evaluating_writes_what_it_prints(self, logs: dict[str, str], folder: Path) -> None:
        (printed,) = re.findall(r"Metrics -- (.*)", logs["evaluate"])
        values = dict(re.findall(r"(\w+): (\S+)", printed))
        assert {"missing", "mre_mm", "sd_mm", "sdr_2_0mm_percent", "sdr_4_0mm_percent"} <= set(values)
        lines = (folder / "runs" / "evaluate" / "metrics.csv").read_text().splitlines()
        saved = dict(re.split(r"[\t,]", line)[:2] for line in lines)
        for name, value in values.items():
            assert float(saved[name]) == pytest.approx(float(value), abs=1e-3)

    @pytest.mark.parametrize(
        ("run", "others"),
        [("evaluate", ""), ("inference", ""), ("paper", "none")],
        ids=["evaluate", "inference", "paper"],
    )
    def test_the_log_names_the_networks(self, logs: dict[str, str], folder: Path, run: str, others: str) -> None:
        files = [str(folder / "runs" / stage / "final.pt") for stage in ("global", "local", "context")]
        context = others or files[2]
        assert f"weights: global: {files[0]}; local: {files[1]}; context: {context}" in logs[run]
        assert "were chosen for the shipped weights" in logs[run]

    def test_the_evaluation_bundle_and_the_detector_agree(self, logs: dict[str, str], folder: Path) -> None:
        detector = detector_like(folder)
        (table,) = (folder / "runs" / "evaluate" / "phantoms").rglob("landmarks.csv")
        row = evaluate(dataset(table.parent), detector).total("all")
        (printed,) = re.findall(r"Metrics -- (.*)", logs["evaluate"])
        values = dict(re.findall(r"(\w+): (\S+)", printed))
        assert float(values["mre_mm"]) == pytest.approx(row.mre, abs=1e-3)
        assert float(values["missing"]) == row.missing
        assert float(values["sd_mm"]) == pytest.approx(row.sd, abs=1e-3)
        assert float(values["sdr_4_0mm_percent"]) == pytest.approx(row.sdr[3], abs=1e-3)
