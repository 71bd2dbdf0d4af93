"""Unit test of this bundle for the MONAI Model Zoo, in whose folder ``ci/unit_tests`` it belongs.

Training, evaluation and inference on synthetic films, and what MONAI's loader makes of the bundle. It also runs where
it lies, from inside the bundle: ``python ci/unit_tests/test_head_xray_landmark_detection.py``.
"""

from __future__ import annotations

import csv
import tempfile
import unittest
from pathlib import Path

import torch
from monai.bundle import ConfigWorkflow, load

NAME = "head_xray_landmark_detection"
HERE = Path(__file__).resolve().parents[2]
BUNDLE = HERE if (HERE / "configs" / "train.json").is_file() else HERE / "models" / NAME

# four synthetic films, and a few patches of each
SHORT = {
    "phantoms": 4,
    "folds": 2,
    "max_epochs": 1,
    "val_interval": 1,
    "patches_per_film": 2,
    "patches_per_load": 2,
    "batch_size": 2,
    "resume": False,
}


class TestHeadXrayLandmarkDetection(unittest.TestCase):
    """The configs run, and their properties have the names of the specification."""

    def setUp(self) -> None:
        """Make a folder for what the runs write."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_config(self, kind: str, *names: str, **override: object) -> None:
        """Run configs of the bundle as ``python -m monai.bundle run`` does."""
        workflow = ConfigWorkflow(
            workflow_type=kind,
            config_file=[str(BUNDLE / "configs" / name) for name in names],
            logging_file=str(BUNDLE / "configs" / "logging.conf"),
            meta_file=str(BUNDLE / "configs" / "metadata.json"),
            bundle_root=str(BUNDLE),
            **override,
        )
        workflow.initialize()
        self.assertEqual(workflow.check_properties(), [])
        workflow.run()
        workflow.finalize()

    def test_train_and_evaluate(self) -> None:
        """Train the local network for an epoch, and evaluate with it."""
        trained = self.folder / "trained"
        self.run_config("train", "train.json", **SHORT, output_dir=str(trained))
        self.assertTrue((trained / "final.pt").is_file())
        self.run_config(
            "eval",
            *("inference.json", "overlays/evaluate.json"),
            phantoms=1,
            local_weights=str(trained / "final.pt"),
            output_dir=str(self.folder / "evaluated"),
        )
        self.assertTrue((self.folder / "evaluated" / "mre_mm_raw.csv").is_file())

    def test_inference(self) -> None:
        """Find the landmarks on a synthetic film."""
        self.run_config("infer", "inference.json", phantoms=1, output_dir=str(self.folder / "found"))
        (table,) = (self.folder / "found").glob("*.landmarks.csv")
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        config = ConfigWorkflow(str(BUNDLE / "configs" / "inference.json"), logging_file=False, workflow_type="infer")
        config.initialize()
        self.assertEqual([row["symbol"] for row in rows], config.parser.get_parsed_content("landmarks"))
        self.assertTrue(any(row["x"] for row in rows))

    def test_load(self) -> None:
        """The network that MONAI loads has every weight of the model."""
        state = torch.load(BUNDLE / "models" / "model.pt", map_location="cpu", weights_only=True)
        for kind in ("train", "inference"):
            place = {"bundle_dir": str(BUNDLE.parent), "source": "github"}
            found = load(BUNDLE.name, workflow_type=kind, device="cpu", **place).state_dict()
            self.assertEqual(found.keys(), state.keys())
            self.assertTrue(all(torch.equal(found[key], value.to(found[key].dtype)) for key, value in state.items()))


if __name__ == "__main__":
    unittest.main()
