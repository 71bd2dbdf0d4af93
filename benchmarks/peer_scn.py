"""SpatialConfiguration-Net (Payer et al. 2019, doi:10.1016/j.media.2019.03.007), as landmarker on PyPI ships it.

Its network, heatmaps with learned widths, loss and decoder are used as they are: ``pip install --no-deps landmarker``.
A comparison for benchmarks/peers.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from landmarker.heatmap import GaussianHeatmapGenerator
from landmarker.heatmap.decoder import coord_local_soft_argmax
from landmarker.losses import GaussianHeatmapL2Loss
from landmarker.models import SpatialConfigurationNet
from peer import Peer, grey_film

from monai_ceph.datasets import Film
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.networks import bfloat16_is_native
from monai_ceph.storage.atomic import written_beside

# pixels of the square film; landmarker's example on these films has 512 too
SIDE = 512
SIGMA, GAMMA, ALPHA = 3.0, 100.0, 5.0
RATE, DECAY = 1e-4, 1e-3
CHECKPOINT_STEPS = 50


def square(film: np.ndarray) -> tuple[torch.Tensor, float]:
    """Return (1, SIDE, SIDE), the film at the top left of a square, and pixels of the film per pixel of it."""
    longest = max(film.shape)
    padded = np.zeros((longest, longest), np.float32)
    padded[: film.shape[0], : film.shape[1]] = film
    small = torch.nn.functional.interpolate(
        torch.from_numpy(padded)[None, None], size=(SIDE, SIDE), mode="bilinear", antialias=True
    )
    return small[0], longest / SIDE


def changed(film: torch.Tensor, marks: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the film turned, scaled, shifted and with other grey values, and its (19, 2) landmarks."""
    turn, scale, down, right = torch.randn(4, generator=generator).tolist()
    angle, factor = np.deg2rad(5 * turn), 1 + 0.07 * scale
    cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
    # in shares of the half side, (x, y), as affine_grid has it: from the new film to the old one
    matrix = torch.tensor([[cosine, -sine, 0.04 * right], [sine, cosine, 0.04 * down]], dtype=torch.float32)
    grid = torch.nn.functional.affine_grid(matrix[None], [1, 1, SIDE, SIDE], align_corners=False)
    moved = torch.nn.functional.grid_sample(film[None], grid, align_corners=False)[0]
    shares = (marks.flip(1) + 0.5) * 2 / SIDE - 1
    places = torch.linalg.solve(matrix[:, :2], (shares - matrix[:, 2]).T).T
    gamma, gain, offset = torch.rand(3, generator=generator).tolist()
    grey = (moved.clamp(0, 1) ** (0.6 + 1.0 * gamma)) * (0.75 + 0.5 * gain) + 0.3 * (offset - 0.5)
    return grey, ((places + 1) * SIDE / 2 - 0.5).flip(1)


class ConfigurationNet(Peer):
    """The network, and the widths of its heatmaps."""

    label = "SpatialConfiguration-Net (landmarker)"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = SpatialConfigurationNet(in_channels=1, out_channels=len(SYMBOLS))
        self.half = bfloat16_is_native(torch.device("cpu"))

    def train(self, films: list[Film], folder: Path, minutes: float) -> float:
        """Train until the minutes of processor time are spent; go on from the checkpoint if there is one."""
        heatmaps = GaussianHeatmapGenerator(
            len(SYMBOLS), sigmas=SIGMA, gamma=GAMMA, heatmap_size=(SIDE, SIDE), learnable=True
        )
        optimizer = torch.optim.AdamW(
            [
                {"params": self.network.parameters(), "weight_decay": DECAY},
                {"params": [heatmaps.sigmas, heatmaps.rotation], "weight_decay": 0.0},
            ],
            lr=RATE,
        )
        loss = GaussianHeatmapL2Loss(alpha=ALPHA)
        checkpoint = folder / "checkpoint.pt"
        step, spent = 0, 0.0
        if checkpoint.is_file():
            kept = torch.load(checkpoint, weights_only=True)
            self.network.load_state_dict(kept["network"])
            optimizer.load_state_dict(kept["optimizer"])
            for name in ("sigmas", "rotation"):
                getattr(heatmaps, name).data.copy_(kept[name])
            step, spent = kept["step"], kept["minutes"]
        start = time.process_time()
        known = []
        for film in films:
            pixels, ratio = square(grey_film(film))
            known.append((pixels, torch.from_numpy((film.landmarks + 0.5) / ratio - 0.5).float()))
        self.network.train()
        total = spent
        while total < minutes:
            generator = torch.Generator().manual_seed(step)
            index = int(torch.randint(len(known), (1,), generator=generator))
            pixels, marks = changed(*known[index], generator)
            # the share of the time that is left, as a cosine
            for group in optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * min(total / minutes, 1)))
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                found = self.network(pixels[None])
            value = loss(found.float(), heatmaps.sigmas, heatmaps(marks[None]))
            value.backward()
            optimizer.step()
            step += 1
            total = spent + (time.process_time() - start) / 60
            if step % CHECKPOINT_STEPS == 0 or total >= minutes:
                print(f"step {step}, {total:.1f} min, loss {value.item():.0f}", flush=True)
                state: dict[str, Any] = {
                    "network": self.network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "sigmas": heatmaps.sigmas.detach(),
                    "rotation": heatmaps.rotation.detach(),
                    "step": step,
                    "minutes": total,
                }
                with written_beside(checkpoint) as part:
                    torch.save(state, part)
        return total

    def load(self, folder: Path) -> None:
        """Read what :meth:`train` wrote."""
        kept = torch.load(folder / "checkpoint.pt", weights_only=True)
        self.network.load_state_dict(kept["network"])
        self.network.eval()

    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(each.numel() for each in self.network.parameters())

    def detect(self, film: np.ndarray, spacing: float) -> np.ndarray:
        """Return (19, 2) landmarks, (row, column) in pixels of the film."""
        pixels, ratio = square(film)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            found = self.network(pixels[None])
        places = coord_local_soft_argmax(found.float())[0].double().numpy()
        landmarks: np.ndarray = (places + 0.5) * ratio - 0.5
        return landmarks
