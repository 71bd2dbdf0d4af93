"""Values of the recipes that a run with phantoms cannot tell from wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
from bundle_runs import BUNDLES
from monai.bundle import ConfigParser

from monai_ceph import weights
from monai_ceph.inferers import AttentionGuidedInferer


def config(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(BUNDLES / f"{name}.json") for name in names])
    parser["device"] = "cpu"
    return parser


def inferer(*names: str) -> AttentionGuidedInferer:
    built: Any = config(*names).get_parsed_content("inferer")
    assert isinstance(built, AttentionGuidedInferer)
    return built


@pytest.mark.parametrize("whole", [("inference",), ("inference", "overlays/evaluate")], ids=["inference", "evaluate"])
class TestWhole:
    def test_a_stray_maximum_is_12_mm_from_its_place(self, whole: tuple[str, ...]) -> None:
        built = inferer(*whole)
        assert built.pose is not None
        assert built.max_guide_distance == 0.28
        # the mean shape on the grid of the local stage, 0.2 mm a pixel
        assert built.max_guide_distance * built.pose.frame.radius * 0.2 == pytest.approx(12, abs=0.5)

    def test_the_pose_is_that_of_the_shipped_mean_shape(self, whole: tuple[str, ...]) -> None:
        built = inferer(*whole)
        assert built.pose is not None
        frame = built.pose.frame
        _, matrix = built.pose.fit(frame.model, frame.model.new_ones(len(frame.model)))
        assert matrix[:2, :2].tolist() == [pytest.approx([1, 0], abs=1e-9), pytest.approx([0, 1], abs=1e-9)]
        shape = config(*whole).get_parsed_content("mean_shape")
        assert shape == weights.model()["mean_shape"]

    def test_the_papers_guide_is_a_whole_pixel(self, whole: tuple[str, ...]) -> None:
        """Zhong et al. 2019, section 2: the maximum of each channel."""
        guide = inferer(*whole, "overlays/paper").to_landmarks
        assert guide.method == "argmax"
        assert not guide.refine


def test_a_patch_shows_its_landmark_anywhere_but_at_the_border() -> None:
    """Zhong et al. 2019, section 3: patches of 100 px around one landmark at a time. The border is 6 px wide."""
    local = config("local")
    (sampler,) = [each for each in local["train"]["sampling"] if "RandLandmarkPatchd" in each["_target_"]]
    # augmentation takes the margin away again
    assert sampler["size"] == "$@train_patch_size + @augmentation_margin"
    assert sampler["max_offset"] == "@max_offset"
    assert (local["train_patch_size"], local["max_offset"]) == (100, 44)
