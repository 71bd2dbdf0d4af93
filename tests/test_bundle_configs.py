"""The configs in bundles/: they fit each other, repeat nothing, and have the values of the paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import BUNDLES, RUNS, STAGES, config_file
from monai.bundle import ConfigParser

import monai_ceph
from monai_ceph import folders, networks
from monai_ceph import weights as shipped
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS
from monai_ceph.transforms.styles import PART_STYLES, PROCESSING_STYLES, STYLES, RandMachineStyled

WHOLE = ("evaluate", "inference")
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
