"""Unit test of this bundle for the MONAI Model Zoo, on several GPUs: ``runner.py --b NAME --dist True``.

Without a GPU, two processes train on the CPU.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch

NAME = "head_xray_landmark_detection"
HERE = Path(__file__).resolve().parents[2]
BUNDLE = HERE if (HERE / "configs" / "train.json").is_file() else HERE / "models" / NAME


class TestHeadXrayLandmarkDetectionMGPU(unittest.TestCase):
    """Training with one process per GPU."""

    def test_train_mgpu(self) -> None:
        """All processes together train for an epoch, and write one file of weights."""
        processes = torch.cuda.device_count() or 2
        short = {
            "bundle_root": BUNDLE,
            "phantoms": 2 * max(2, processes),
            "folds": 2,
            "max_epochs": 1,
            "val_interval": 1,
            "patches_per_film": 2,
            "patches_per_load": 1,
            "batch_size": processes,
        }
        with tempfile.TemporaryDirectory() as folder:
            command = [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1"),
                *(f"--nproc_per_node={processes}", "-m", "monai.bundle", "run", "training", "--config_file"),
                str([str(BUNDLE / "configs" / name) for name in ("train.json", "overlays/multi_gpu.json")]),
                *(text for key, value in short.items() for text in (f"--{key}", str(value))),
                *("--output_dir", folder),
            ]
            subprocess.run(command, check=True)
            self.assertTrue((Path(folder) / "final.pt").is_file())


if __name__ == "__main__":
    unittest.main()
