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
from bundle_runs import BUNDLES, TINY, TINY_STAGE, TINY_WHOLE, command, config_file, error_line, execute, execute_all
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import monai_ceph
from monai_ceph import CephalogramDetector, folders, networks
from monai_ceph import weights as shipped
from monai_ceph.datasets import folder as dataset
from monai_ceph.evaluation import evaluate
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS
from monai_ceph.transforms.styles import PART_STYLES, PROCESSING_STYLES, STYLES, RandMachineStyled

STAGES = ("global", "local")
WHOLE = ("evaluate", "inference")
# the files of each run that has no options
RUNS = {
    "local": ("local",),
    "global": ("local", "global"),
    "inference": ("inference",),
    "evaluate": ("inference", "evaluate"),
}
# the runs that an overlay is for
OVERLAYS = {
    "no_expansion": WHOLE,
    "paper": WHOLE,
    "paper_training": STAGES,
    "accurate": ("local",),
    "context": ("local",),
    "finetune": ("local",),
    "multi_gpu": STAGES,
    "robust": ("global",),
    "styles": STAGES,
}
FILES = sorted(BUNDLES.rglob("*.json"))


def raw(name: str) -> dict[str, Any]:
    """One file, as it is written."""
    return json.loads(config_file(name).read_text(encoding="utf-8"))


def parser(name: str, *overlays: str) -> ConfigParser:
    config = ConfigParser()
    config.read_config([str(config_file(each)) for each in (*RUNS[name], *overlays)])
    return config


def merged(name: str, *overlays: str) -> dict[str, Any]:
    """The config of a run, with its overlays."""
    return parser(name, *overlays).get()


def parsed(name: str, *keys: str) -> list[Any]:
    config = parser(name)
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


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Return the values of a config by their places; a list is one value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{place}#{key}" if place else key)
    else:
        yield place, value


class TestFiles:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_no_key_is_in_a_file_twice(self, path: Path) -> None:
        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            keys = [key for key, _ in pairs]
            assert len(keys) == len(set(keys)), f"twice in {path.name}: {sorted(keys)}"
            return dict(pairs)

        assert json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)

    @pytest.mark.parametrize(
        ("name", "overlays"),
        [
            *((name, ()) for name in RUNS),
            *((name, (overlay,)) for overlay, names in OVERLAYS.items() for name in names),
        ],
    )
    def test_every_reference_can_be_resolved(self, name: str, overlays: tuple[str, ...]) -> None:
        config = merged(name, *overlays)
        for reference in references(config):
            place: Any = config
            for part in reference.split("#"):
                assert part in place, f"{name}, {overlays}: @{reference}"
                place = place[part]

    def test_the_package_has_the_same_files(self) -> None:
        inside = folders.BUNDLES
        assert sorted(inside.rglob("*.json")) == [inside / path.relative_to(BUNDLES) for path in FILES]

    @pytest.mark.parametrize(
        ("name", "run"),
        [("global", "training"), ("local", "training"), ("evaluate", "evaluating"), ("inference", "inferring")],
    )
    def test_the_key_run_is_the_purpose_of_the_file(self, name: str, run: str) -> None:
        config = ConfigParser()
        config.read_config([str(config_file(each)) for each in RUNS[name]])
        assert isinstance(config[run], list)
        assert config["run"] == f"%{run}"

    @pytest.mark.parametrize(
        ("overlay", "base"),
        [
            ("global", "local"),
            ("evaluate", "inference"),
            *((overlay, base) for overlay, bases in OVERLAYS.items() for base in bases),
        ],
    )
    def test_overlays_change_only_keys_that_exist_or_that_they_use(self, overlay: str, base: str) -> None:
        keys = {key.lstrip("+").partition("#")[0] for key in raw(overlay)} - {"description", "finalize", "evaluating"}
        assert keys <= set(merged(base)) | set(references(raw(overlay)))

    @pytest.mark.parametrize(
        ("overlay", "base"),
        [("global", "local"), ("evaluate", "inference"), ("robust", "global"), ("accurate", "local")],
    )
    def test_overlays_repeat_nothing(self, overlay: str, base: str) -> None:
        below = dict(leaves(merged(base)))
        assert not {place for place, value in leaves(raw(overlay)) if place in below and below[place] == value}

    def test_the_folder_shows_which_files_are_overlays(self) -> None:
        assert {path.stem for path in BUNDLES.glob("*.json")} == {"local", "inference", "metadata"}
        overlays = {path.stem for path in (BUNDLES / "overlays").glob("*.json")}
        assert overlays == {"global", "evaluate", *OVERLAYS}
        assert all(raw(name)["description"].startswith("Overlay") for name in overlays)

    @pytest.mark.parametrize("name", STAGES)
    def test_one_process_of_many_writes_for_tensorboard(self, name: str) -> None:
        config = merged(name, "multi_gpu")
        writers = [
            handler
            for part in ("train", "validate")
            for handler in config[part]["handlers"]
            if handler["_target_"] == "TensorBoardStatsHandler"
        ]
        assert [handler["_disabled_"] for handler in writers] == ["$not @tensorboard"] * 2
        assert config["tensorboard"] == "$distributed.rank() == 0"

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_no_config_addresses_a_list_by_index(self, path: Path) -> None:
        assert not re.findall(r"#\d", path.read_text(encoding="utf-8"))

    def test_no_expansion_is_a_patch_as_trained_on(self) -> None:
        assert raw("no_expansion")["patch_size"] == raw("local")["train_patch_size"]

    def test_metadata(self) -> None:
        metadata = raw("metadata")
        assert metadata["version"] == monai_ceph.__version__
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        assert tuple(channels[str(index)] for index in range(NUM_LANDMARKS)) == NAMES
        assert channels[str(NUM_LANDMARKS)] == "background"


class TestStyles:
    """Styles of other machines: off by default, so that an old config draws what it always drew."""

    def augmentation(self, *overlays: str, **keys: Any) -> list[Any]:
        config = parser("local", *overlays)
        config.update(keys)
        return config.get_parsed_content("train#augmentation")

    def test_off_means_that_no_draw_changes(self) -> None:
        """A Compose gives each random transform a seed, in order: one more would change those of the others."""
        assert not [step for step in self.augmentation() if isinstance(step, RandMachineStyled)]

    def test_parts_come_before_the_film_curve_and_processing_after_it(self) -> None:
        steps = self.augmentation("styles")
        names = [type(step).__name__ for step in steps]
        parts, processing = (index for index, name in enumerate(names) if name == "RandMachineStyled")
        assert names.index("RandFilmAffined") < parts < names.index("RandAdjustContrastd")
        assert names.index("RandHistogramShiftd") < processing < names.index("LandmarksToHeatmapsd")
        assert steps[parts].machine.prob == raw("styles")["style_prob"]
        drawn = [{style.name for style in steps[index].machine.styles} for index in (parts, processing)]
        assert drawn == [set(PART_STYLES), set(PROCESSING_STYLES)]

    def test_one_key_leaves_styles_out_of_both(self) -> None:
        steps = self.augmentation("styles", style_exclude=["ruler", "tracing"])
        left = [step.machine.styles for step in steps if isinstance(step, RandMachineStyled)]
        assert {style.name for styles in left for style in styles} == set(STYLES) - {"ruler", "tracing"}

    def test_the_landmarks_of_another_set(self) -> None:
        steps = self.augmentation("styles", landmarks=["S", "N"])
        assert {step.machine.symbols for step in steps if isinstance(step, RandMachineStyled)} == {("S", "N")}


class TestTrainingAndInference:
    """``local.json`` and ``inference.json`` each run without the other, and agree where they must."""

    @pytest.mark.parametrize("key", ["landmarks", "channels", "num_res_units", "crop_side", "scale", "grid_size"])
    def test_local_stage(self, key: str) -> None:
        assert raw("local")[key] == raw("inference")[key]

    def test_global_stage(self) -> None:
        assert raw("global")["scale"] == raw("inference")["global_scale"]
        assert parsed("global", "grid_size") == parsed("inference", "global_grid_size")

    def test_context_stage(self) -> None:
        assert raw("context")["scale"] == raw("inference")["context_scale"]
        of_training = {"imagenet", "frozen_stem"}
        trained = {key: value for key, value in raw("context")["network_def"].items() if key not in of_training}
        assert raw("inference")["context_network_def"] == trained

    @pytest.mark.parametrize("stage", STAGES)
    def test_networks(self, stage: str) -> None:
        assert raw("inference")[f"{stage}_network_def"] == raw("local")["network_def"]

    @pytest.mark.parametrize("key", ["patch_size", "expansion", "decode_threshold"])
    def test_the_papers_inference(self, key: str) -> None:
        assert raw("local")[key] == raw("paper")[key]

    def test_frames_of_the_paper(self) -> None:
        local = raw("local")
        assert local["fixed_transforms"] == ["@load_transform", "@frame_transform", "@intensity_transform"]
        assert raw("paper")["frame_transforms"] == [local["frame_transform"], local["intensity_transform"]]
        assert raw("paper")["pose"] is None
        assert raw("inference")["load_transform"] == local["load_transform"]
        assert raw("inference")["frame_transforms"] == []

    def test_poses_are_those_of_the_trainings(self) -> None:
        posed, intensity = (merged("local", "accurate")[f"{key}_transform"] for key in ("frame", "intensity"))
        pose = raw("inference")["pose"]
        # what the dictionary forms of the trainings have as keys
        assert {**pose["intensity"], "keys": "image"} == {**intensity, "_target_": pose["intensity"]["_target_"]}
        assert intensity["_target_"] == pose["intensity"]["_target_"] + "d"
        assert posed["_target_"] == pose["frame"]["_target_"] + "d"
        assert posed.keys() - {"keys", "landmarks_key"} == pose["frame"].keys()
        assert posed["size"] == pose["frame"]["size"] == "@grid_size"
        assert (pose["network"], pose["size"]) == ("@global_network", "@global_grid_size")

    @pytest.mark.parametrize(
        ("names", "frame"),
        [
            (("local",), "SquareFilmd"),
            (("local", "accurate"), "PoseFilmd"),
            (("global",), "SquareFilmd"),
            (("global", "robust"), "WholeFilmd"),
        ],
    )
    def test_training_loads_frames_and_scales_in_this_order(self, names: tuple[str, ...], frame: str) -> None:
        config = parser(*names)
        config["mean_shape"] = shipped.mean_shape()
        found = [type(each).__name__ for each in config.get_parsed_content("fixed_transforms")]
        assert found == ["LoadRadiographd", frame, "ScaleFilmIntensityd"]

    def test_decoding(self) -> None:
        training, inference = raw("local")["validate"]["decode_transform"], raw("inference")["decode_transform"]
        # the inferer's maps have a grid of their own, a score below which there is no landmark, and join two networks
        own = {"ref_key": "pred", "min_peak": "@missing_below", "power": "@decode_power", "score_key": "score"}
        assert inference == {**training, **own}
        decoder = raw("inference")["decoder"]
        assert all(decoder[key] == inference[key] for key in ("method", "threshold", "power", "min_peak"))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "names",
    [("global", "robust"), ("local", "accurate"), ("local", "accurate", "context"), ("local", "accurate", "finetune")],
    ids=lambda names: names[-1],
)
def test_the_device_decides_whether_a_recipe_trains_in_bfloat16(
    names: tuple[str, ...], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parser(*names)
    config["device"], config["imagenet"] = "$torch.device('cpu')", False
    monkeypatch.setattr(networks, "bfloat16_is_native", lambda device: native and device.type == "cpu")
    assert config.get_parsed_content("network").mixed_precision is native


class TestPaper:
    """The configs have the values of Zhong et al. 2019."""

    @pytest.mark.parametrize(("stage", "scale", "side"), [("global", 0.15, 290), ("local", 0.5, 968)])
    def test_grid(self, stage: str, scale: float, side: int) -> None:
        config = merged(stage)
        assert config["crop_side"] == 1935
        assert config["scale"] == scale
        assert parsed(stage, "grid_size") == [side]

    @pytest.mark.parametrize(("stage", "width"), [("global", 40), ("local", 30)])
    def test_heatmaps(self, stage: str, width: int) -> None:
        assert merged(stage)["heatmap_width"] == width
        assert parsed(stage, "sigma") == [width / 6]

    @pytest.mark.parametrize("stage", STAGES)
    def test_loss(self, stage: str) -> None:
        config = merged(stage)
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
    def test_nothing_is_augmented_but_by_the_random_sampling(self, stage: str) -> None:
        """Section 4: "The data augmentation is embedded in the random sampling"."""
        config = merged(stage, "paper_training")
        found = [each["_target_"].rpartition(".")[2] for each in config["train"]["augmentation"]]
        assert found == ["LandmarksToHeatmapsd", "SelectItemsd", "ToTensord"]
        assert config["augmentation_margin"] == config["annotation_spread"] == config["patch_margin"] == 0
        assert config["fold"] is None
        # "after 60 epochs"
        assert config["focal_epoch"] == 61

    def test_patches_show_what_the_corners_of_the_expanded_square_see(self) -> None:
        """A corner patch of figure 2 has its centre 60 px from the guide, which may be off by some more."""
        config = merged("local", "paper_training")
        corner = (round(config["expansion"] * config["patch_size"]) - config["patch_size"]) / 2
        assert corner == 60
        assert config["max_offset"] == corner + 30

    @pytest.mark.parametrize("stage", STAGES)
    def test_network_has_a_background(self, stage: str) -> None:
        (network,) = parsed(stage, "network_def")
        assert network.eval()(torch.zeros(1, 1, 16, 16)).shape[1] == NUM_LANDMARKS + 1


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
