from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_runs import BUNDLES, TINY, TINY_STAGE, TINY_WHOLE, command, error_line, execute, execute_all
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import monai_ceph
from monai_ceph import CephalogramDetector
from monai_ceph import weights as shipped
from monai_ceph.datasets import folder as dataset
from monai_ceph.evaluation import evaluate
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS

STAGES = ("global", "local")
WHOLE = ("evaluate", "inference")
# which configs an overlay is for
OVERLAYS = {
    "no_expansion": WHOLE,
    "paper": WHOLE,
    "accurate": ("local",),
    "context": ("local",),
    "finetune": ("local",),
    "multi_gpu": STAGES,
    "robust": ("global",),
}


def raw(name: str) -> dict[str, Any]:
    return json.loads((BUNDLES / f"{name}.json").read_text(encoding="utf-8"))


def parsed(name: str, *keys: str) -> list[Any]:
    config = ConfigParser()
    config.read_config(str(BUNDLES / f"{name}.json"))
    return [config.get_parsed_content(key) for key in keys]


def references(value: Any) -> Iterator[str]:
    """Return what a config refers to, without the @."""
    if isinstance(value, dict):
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, str):
        yield from re.findall(r"@([A-Za-z_]\w*(?:#\w+)*)", value)


class TestFiles:
    @pytest.mark.parametrize("path", sorted(BUNDLES.glob("*.json")), ids=lambda path: path.name)
    def test_json_without_a_key_twice(self, path: Path) -> None:
        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            keys = [key for key, _ in pairs]
            assert len(keys) == len(set(keys)), f"twice in {path.name}: {sorted(keys)}"
            return dict(pairs)

        assert json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)

    @pytest.mark.parametrize(
        ("name", "overlay"),
        [
            *((name, None) for name in (*STAGES, *WHOLE)),
            *((name, overlay) for overlay, names in OVERLAYS.items() for name in names),
        ],
    )
    def test_every_reference_leads_somewhere(self, name: str, overlay: str | None) -> None:
        config = raw(name) | (raw(overlay) if overlay else {})
        for reference in references(config):
            place: Any = config
            for part in reference.split("#"):
                assert part in place, f"{name}.json, {overlay}: @{reference}"
                place = place[part]

    def test_the_package_has_the_same_files(self) -> None:
        inside = Path(monai_ceph.__file__).parent / "bundles"
        assert {path.name for path in inside.glob("*.json")} == {path.name for path in BUNDLES.glob("*.json")}

    @pytest.mark.parametrize(
        ("name", "run"),
        [("global", "training"), ("local", "training"), ("evaluate", "evaluating"), ("inference", "inferring")],
    )
    def test_run_is_another_name_of_each_run(self, name: str, run: str) -> None:
        config = raw(name)
        assert isinstance(config[run], list)
        assert config["run"] == f"%{run}"

    @pytest.mark.parametrize(("overlay", "bases"), OVERLAYS.items())
    def test_overlays_change_what_is_there_or_what_they_need_themselves(
        self, overlay: str, bases: tuple[str, ...]
    ) -> None:
        for name in bases:
            keys = {key.lstrip("+").partition("#")[0] for key in raw(overlay)} - {"description", "finalize"}
            assert keys <= set(raw(name)) | set(references(raw(overlay))), name

    def test_no_overlay_is_forgotten_here(self) -> None:
        known = {*STAGES, *WHOLE, *OVERLAYS, "metadata"}
        assert {path.stem for path in BUNDLES.glob("*.json")} == known

    @pytest.mark.parametrize("name", STAGES)
    def test_one_process_of_many_writes_for_tensorboard(self, name: str) -> None:
        switched_off = {key for key in raw("multi_gpu") if key.endswith("#_disabled_")}
        assert switched_off == {
            f"{part}#handlers#{index}#_disabled_"
            for part in ("train", "validate")
            for index, handler in enumerate(raw(name)[part]["handlers"])
            if handler["_target_"] == "TensorBoardStatsHandler"
        }

    def test_no_expansion_is_a_patch_as_trained_on(self) -> None:
        assert raw("no_expansion")["patch_size"] == raw("local")["train_patch_size"]

    def test_metadata(self) -> None:
        metadata = raw("metadata")
        assert metadata["version"] == monai_ceph.__version__
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        assert tuple(channels[str(index)] for index in range(NUM_LANDMARKS)) == NAMES
        assert channels[str(NUM_LANDMARKS)] == "background"


class TestOneTruth:
    """What several bundles need is the same in all of them."""

    @pytest.mark.parametrize("key", ["crop_side", "scale", "grid_size"])
    def test_local_stage(self, key: str) -> None:
        assert raw("local")[key] == raw("evaluate")[key] == raw("inference")[key]

    @pytest.mark.parametrize("key", ["patch_size", "expansion", "decode_threshold"])
    def test_the_papers_inference(self, key: str) -> None:
        assert raw("local")[key] == raw("paper")[key]

    def test_context_network(self) -> None:
        assert all(raw(name)["context_scale"] == raw("context")["scale"] for name in WHOLE)
        of_training = {"imagenet", "frozen_stem"}
        trained = {key: value for key, value in raw("context")["network_def"].items() if key not in of_training}
        assert all(raw(name)["context_network_def"] == trained for name in WHOLE)

    def test_global_stage(self) -> None:
        for name in WHOLE:
            assert raw(name)["crop_side"] == raw("global")["crop_side"]
            assert raw(name)["global_scale"] == raw("global")["global_scale"]
            assert parsed(name, "global_grid_size") == parsed("global", "grid_size")

    @pytest.mark.parametrize("stage", STAGES)
    def test_networks(self, stage: str) -> None:
        assert all(raw(name)[f"{stage}_network_def"] == raw(stage)["network_def"] for name in WHOLE)

    @pytest.mark.parametrize(
        "key",
        ["landmarks", "focal_epoch", "focal_alpha", "focal_gamma", "focal_threshold", "loss", "folds", "ground_truth"],
    )
    def test_both_trainings(self, key: str) -> None:
        assert raw("global")[key] == raw("local")[key]

    def test_frames_of_the_paper(self) -> None:
        load, *frame = raw("local")["frame_transforms"]
        assert raw("global")["frame_transforms"] == [load, *frame]
        assert raw("paper")["frame_transforms"] == frame
        assert raw("paper")["pose"] is None
        for name in WHOLE:
            assert raw(name)["load_transform"] == load

    def test_films_come_as_they_are_where_the_pose_is_looked_for(self) -> None:
        assert all(raw(name)["frame_transforms"] == [] for name in WHOLE)

    def test_poses_are_those_of_the_trainings(self) -> None:
        load, posed, intensity = raw("accurate")["frame_transforms"]
        whole = raw("robust")["frame_transforms"]
        assert whole == [load, {**whole[1], "_target_": "monai_ceph.transforms.WholeFilmd"}, intensity]
        for name in WHOLE:
            pose = raw(name)["pose"]
            # what the dictionary forms of the trainings have as keys
            assert {**pose["intensity"], "keys": "image"} == {**intensity, "_target_": pose["intensity"]["_target_"]}
            assert intensity["_target_"] == pose["intensity"]["_target_"] + "d"
            assert posed["_target_"] == pose["frame"]["_target_"] + "d"
            assert posed.keys() - {"keys", "landmarks_key"} == pose["frame"].keys()
            assert posed["size"] == pose["frame"]["size"] == "@grid_size"
            assert (pose["network"], pose["size"]) == ("@global_network", "@global_grid_size")

    @pytest.mark.parametrize(
        "key",
        [
            "landmarks",
            "mean_shape",
            "global_weights",
            "local_weights",
            "context_weights",
            "patch_size",
            "patch_margin",
            "shared_pixels",
            "guide_sd",
            "guide_method",
            "shifts",
            "context_shifts",
            "context_scale",
            "decode_threshold",
            "decode_power",
            "missing_below",
            "sure_of_pose",
            "arrangement",
            "local_inferer",
            "pose",
            "inferer",
            "dataloader",
            "patches_per_batch",
        ],
    )
    def test_evaluating_and_inferring(self, key: str) -> None:
        assert raw("evaluate")[key] == raw("inference")[key]

    def test_decoding(self) -> None:
        evaluate, inference = (raw(name)["postprocessing"]["transforms"][0] for name in WHOLE)
        training = raw("local")["validate"]["postprocessing"]["transforms"][0]
        # the inferer's maps have a grid of their own, a score below which there is no landmark, and join two networks
        own = {"ref_key": "pred", "min_peak": "@missing_below", "power": "@decode_power"}
        assert evaluate == {**training, **own}
        assert inference == {**evaluate, "score_key": "score"}
        decoder = raw("inference")["decoder"]
        assert all(decoder[key] == inference[key] for key in ("method", "threshold", "power", "min_peak"))


class TestPaper:
    """The values of Zhong et al. 2019 stand in the JSON."""

    @pytest.mark.parametrize(("stage", "scale", "side"), [("global", 0.15, 290), ("local", 0.5, 968)])
    def test_grid(self, stage: str, scale: float, side: int) -> None:
        config = raw(stage)
        assert config["crop_side"] == 1935
        assert config["global_scale" if stage == "global" else "scale"] == scale
        assert parsed(stage, "grid_size") == [side]

    @pytest.mark.parametrize(("stage", "width"), [("global", 40), ("local", 30)])
    def test_heatmaps(self, stage: str, width: int) -> None:
        assert raw(stage)["global_heatmap_width" if stage == "global" else "heatmap_width"] == width
        assert parsed(stage, "sigma") == [width / 6]

    @pytest.mark.parametrize("stage", STAGES)
    def test_loss(self, stage: str) -> None:
        config = raw(stage)
        assert config["focal_epoch"] == 60
        assert config["focal_threshold"] == 0.01
        assert (config["focal_alpha"], config["focal_gamma"]) == (0.25, 2.0)

    def test_patches(self) -> None:
        config = raw("local")
        assert config["train_patch_size"] == 100
        assert config["annotation_spread"] == 0
        for inference in (config, raw("paper")):
            assert inference["patch_size"] == 150
            assert inference["expansion"] == 1.8
            assert inference["decode_threshold"] == 0.5
        assert raw("paper")["arrangement"] == "corners-and-centre"
        assert raw("paper")["patch_margin"] == 0
        assert raw("paper")["guide_method"] == "argmax"
        assert raw("paper")["decode_power"] == 0

    @pytest.mark.parametrize("stage", STAGES)
    def test_network_has_a_background(self, stage: str) -> None:
        (network,) = parsed(stage, "network_def")
        assert network.eval()(torch.zeros(1, 1, 16, 16)).shape[1] == NUM_LANDMARKS + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of all runs: not that of the bundles, and a name that a shell must quote."""
    return tmp_path_factory.mktemp("a folder")


@pytest.fixture(scope="module")
def logs(folder: Path) -> dict[str, str]:
    """The output of every run, by name."""
    tiny = {stage: {**TINY, **TINY_STAGE[stage]} for stage in STAGES}
    # as the README has it, in a process of its own
    first = execute(["-m", "monai.bundle", *command("training", "local", max_epochs=2, **tiny["local"])], folder)
    weights = {f"{stage}_weights": folder / "runs" / stage / "final.pt" for stage in STAGES}
    weights["context_weights"] = folder / "runs" / "context" / "final.pt"
    commands = {
        "local, further": command("training", "local", max_epochs=3, **tiny["local"]),
        "local, finished": command("training", "local", max_epochs=3, **tiny["local"]),
        "global": command("run", "global", max_epochs=2, **tiny["global"]),
        # the networks go on with the overlays
        "robust": command(
            "training",
            *("global", "robust"),
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
        "other films": command("training", "local", **{**tiny["local"], "max_epochs": 4, "phantoms": 5}),
        "inference": command("inferring", "inference", **TINY_WHOLE, **weights),
        "paper": command(
            *("inferring", "inference", "paper"),
            **{**TINY_WHOLE, **weights, "context_weights": None, "output_dir": "runs/paper"},
        ),
        "evaluate": command("evaluating", "evaluate", **TINY_WHOLE, **weights),
        "no dataset folder": command("training", "global", dataset_dir="nowhere", output_dir="elsewhere"),
    }
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
        overlays=[BUNDLES / "paper.json"] if paper else [],
        overrides={key: value for key, value in overrides.items() if key != "device"},
    )


FINE = (
    *("local", "local, further", "global", "robust", "accurate", "context", "context, further", "finetune"),
    *("inference", "paper", "evaluate"),
)


class TestRuns:
    @pytest.mark.parametrize("name", FINE)
    def test_no_error_line(self, logs: dict[str, str], name: str) -> None:
        assert "Traceback" not in logs[name], logs[name]
        assert not re.search(r"\b(ERROR|CRITICAL)\b", logs[name]), logs[name]

    @pytest.mark.parametrize("name", FINE)
    def test_no_dataset_is_said_loudly(self, logs: dict[str, str], name: str) -> None:
        (line,) = [line for line in logs[name].splitlines() if "NO DATASET" in line]
        assert "WARNING" in line
        assert "SYNTHETIC" in line
        assert "--dataset_dir" in line

    @pytest.mark.parametrize(
        ("run", "epochs"), {"local": 3, "global": 2, "robust": 1, "accurate": 1, "context": 1}.items()
    )
    def test_training_leaves_what_goes_on_and_what_is_used(
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

    def test_a_second_call_goes_on(self, logs: dict[str, str]) -> None:
        log = logs["local, further"]
        assert "going on after epoch 2: " in log
        assert "Restored all variables from " in log
        assert re.findall(r"Epoch\[(\d+)\] Metrics", log) == ["3"]

    @pytest.mark.parametrize(
        ("run", "log", "stage"),
        [("robust", "robust", "global"), ("accurate", "accurate", "local"), ("further", "context, further", "context")],
    )
    def test_an_overlay_goes_on_with_the_weights_that_it_is_given(
        self, logs: dict[str, str], folder: Path, run: str, log: str, stage: str
    ) -> None:
        assert f"Restored all variables from {folder / 'runs' / stage / 'final.pt'}" in logs[log]
        before, after = (torch.load(folder / "runs" / each / "final.pt", weights_only=True) for each in (stage, run))
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[key], after[key]) for key in before)

    def test_the_context_network_goes_on_behind_its_stem(self, logs: dict[str, str], folder: Path) -> None:
        before, after = (
            torch.load(folder / "runs" / each / "final.pt", weights_only=True) for each in ("context", "further")
        )
        stem = ("unet.encoder._conv_stem", "unet.encoder._bn0", "unet.encoder._blocks.0.")
        assert all(torch.equal(before[key], after[key]) for key in before if key.startswith(stem))

    def test_a_finished_run_says_what_to_do(self, logs: dict[str, str]) -> None:
        line = error_line(logs["local, finished"])
        assert "runs/local/checkpoint.pt" in line
        assert "already has 3 of 3 epochs" in line
        assert "--max_epochs" in line
        assert "--output_dir" in line

    def test_a_run_on_other_films_does_not_go_on(self, logs: dict[str, str], folder: Path) -> None:
        line = error_line(logs["other films"])
        assert "holds a training run on other films" in line
        assert "--output_dir" in line
        assert "--resume False" in line
        assert (folder / "runs" / "local" / "checkpoint.pt").is_file()

    def test_fine_tuning_begins_with_the_shipped_network_in_its_pose(self, logs: dict[str, str], folder: Path) -> None:
        assert f"Restored all variables from {shipped.path('local')}" in logs["finetune"]
        landmarks = json.loads((folder / "runs" / "finetune" / "landmarks.json").read_text())
        assert landmarks["mean_shape"] == shipped.mean_shape()

    def test_a_dataset_that_is_not_there(self, logs: dict[str, str]) -> None:
        assert "nowhere: no such folder" in error_line(logs["no dataset folder"])

    @pytest.mark.parametrize("run", ["inference", "paper"])
    def test_inferring_and_the_detector_are_one(self, logs: dict[str, str], folder: Path, run: str) -> None:
        detector = detector_like(folder, paper=run == "paper")
        assert (detector.inferer.pose is None) == (run == "paper")
        films = sorted((folder / "runs" / run / "phantoms").rglob("*.png"))
        assert len(films) == 2
        for film in films:
            with (folder / "runs" / run / f"{film.name}.landmarks.csv").open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            assert {Path(row["file"]).name for row in rows} == {film.name}
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

    def test_evaluating_and_the_detector_agree(self, logs: dict[str, str], folder: Path) -> None:
        detector = detector_like(folder)
        (table,) = (folder / "runs" / "evaluate" / "phantoms").rglob("landmarks.csv")
        row = evaluate(dataset(table.parent), detector).total("all")
        (printed,) = re.findall(r"Metrics -- (.*)", logs["evaluate"])
        values = dict(re.findall(r"(\w+): (\S+)", printed))
        assert float(values["mre_mm"]) == pytest.approx(row.mre, abs=1e-3)
        assert float(values["missing"]) == row.missing
        assert float(values["sd_mm"]) == pytest.approx(row.sd, abs=1e-3)
        assert float(values["sdr_4_0mm_percent"]) == pytest.approx(row.sdr[3], abs=1e-3)
