"""Inference of both stages, as a MONAI inferer: the global stage guides the local one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import collate_meta_tensor_fn
from monai.inferers import Inferer

from monai_ceph.inferers.expansive_exploration import ExpansiveExplorationInferer, Network, Windows, check_shifts
from monai_ceph.inferers.pose import Pose, PoseFinder, View, stated_view
from monai_ceph.transforms.geometry import (
    affine_of,
    apply,
    landmarks_to_grid,
    landmarks_to_source,
    resample_each,
    with_affine,
)
from monai_ceph.transforms.heatmaps_to_landmarks import HeatmapsToLandmarks
from monai_ceph.transforms.square_film import SquareFilm

__all__ = ["AttentionGuidedInferer", "Guide"]


@dataclass(frozen=True)
class Guide:
    """What the global stage says of one film.

    Attributes:
        landmarks: (N, 2), (row, column) in pixels of the grid of the local stage; NaN without a maximum.
        peaks: (N,) probability at the maxima.
    """

    landmarks: torch.Tensor
    peaks: torch.Tensor


def _orientation_of(film: torch.Tensor) -> list[str]:
    """Return what RadiographReader says of the film's PatientOrientation; empty if nothing is known."""
    said = film.meta.get("patient_orientation", "") if isinstance(film, MetaTensor) else ""
    return str(said).split("\\") if said else []


class AttentionGuidedInferer(Inferer):
    """Both stages of Zhong et al. 2019 on a film.

    Without ``pose`` the film has the grid of the local stage already, as in the paper. It is scaled to the grid of the
    global stage, whose maxima guide the local stage. With ``pose``, films of any size come as they are: the global
    network looks at the whole film, the head is brought into the mean pose, and what the network saw guides the local
    stage. H_M is in the grid of that square.

    A context network may look at the same places, too, on a grid between those of both stages: it sees less detail and
    more of the head. Its windows and those of the local stage are pooled by their geometric mean, so that a landmark
    lies where both see it.

    Args:
        global_network: returns logits with N landmark channels and the background, last.
        global_size: rows and columns of the global stage's grid (290 in the paper).
        local: how the local stage searches around the guide.
        decoder: from the global heatmaps to the guide. The paper takes the maxima; threshold and mean is nearer to
            the landmarks where the Gaussians of neighbours overlap (benchmarks/JOURNAL.md).
        context_network: as the local one, for a grid of ``context_size``; None: no context (the paper).
        context_size: rows and columns of the context network's grid.
        context_shifts: as ``shifts`` of the local stage, in pixels of the context network's grid.
        pose: finds the head and brings it into the grid of the local stage; None: the film is there already.
        edge_margin: with ``pose``: a landmark whose maximum is less inside the exposed field, as a share of the mean
            shape's radius (about 43 mm), is cut off: its heatmap becomes 0. A network cannot tell a landmark at the
            edge of a shutter from the edge.
        max_guide_distance: with ``pose``: a landmark of the global stage that is farther from its place in the mean
            shape, as a share of the shape's radius, is a false maximum, and that place guides instead. None: never.
    """

    def __init__(
        self,
        global_network: torch.nn.Module,
        global_size: int,
        local: ExpansiveExplorationInferer,
        decoder: HeatmapsToLandmarks,
        context_network: torch.nn.Module | None = None,
        context_size: int | None = None,
        context_shifts: Sequence[int] = (0,),
        pose: PoseFinder | None = None,
        edge_margin: float = 0.0,
        max_guide_distance: float | None = None,
    ) -> None:
        super().__init__()
        if not edge_margin >= 0:
            raise ValueError(f"edge_margin must not be negative, got {edge_margin}")
        if max_guide_distance is not None and not max_guide_distance > 0:
            raise ValueError(f"max_guide_distance must be positive or None, got {max_guide_distance}")
        if context_network is not None:
            if context_size is None:
                raise ValueError("a context network needs its context_size")
            check_shifts("context_shifts", context_shifts, local.shared_pixels)
        self.global_network, self.local, self.context_network = global_network, local, context_network
        self.to_global_grid = SquareFilm(global_size)
        self.to_context_grid = SquareFilm(context_size) if context_size is not None else None
        self.context_shifts = tuple(context_shifts)
        self.to_landmarks = decoder
        self.pose, self.edge_margin, self.max_guide_distance = pose, edge_margin, max_guide_distance
        self.to_maximum = HeatmapsToLandmarks("argmax", refine=False)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return H_M (batch, N, row, column), without background, for films (batch, 1, row, column).

        Its affine, one per film, leads to the source. A film that says how the head lies on it (``patient_orientation``
        in its meta data) is looked at in this way first.
        """
        self.global_network.eval().to(inputs.device)
        if self.context_network is not None:
            self.context_network.eval().to(inputs.device)
        merged = []
        for film in inputs:
            framed, pose = self.frame(film, stated_view(_orientation_of(film)))
            guide = self.guide(framed, pose).landmarks
            windows = self.explore(framed, guide, lambda batch: network(batch, *args, **kwargs), pose)
            merged.append(with_affine(windows.paste((framed.shape[-2], framed.shape[-1])), film, affine_of(framed)))
        return collate_meta_tensor_fn(merged)

    def frame(self, film: torch.Tensor, stated: View | None = None) -> tuple[torch.Tensor, Pose | None]:
        """Return one film (1, row, column) in the grid of the local stage, and the head's pose if it is looked for.

        Args:
            film: any grid.
            stated: how the head lies on it, by its header; this is looked at first.
        """
        if self.pose is None:
            return film, None
        pose = self.pose(film, stated)
        return pose.film, pose

    def guide(self, film: torch.Tensor, pose: Pose | None = None) -> Guide:
        """Return what the global stage says of one film (1, row, column) in the grid of the local stage.

        With ``pose`` it has looked already.
        """
        if pose is not None:
            return Guide(self._without_strays(pose.landmarks, pose.peaks), pose.peaks)
        small = self.to_global_grid(film)
        with torch.no_grad():
            heatmaps = self.global_network(small.as_subclass(torch.Tensor)[None]).softmax(dim=1)[0, :-1]
        source = landmarks_to_source(self.to_landmarks(heatmaps), affine_of(small))
        return Guide(landmarks_to_grid(source, affine_of(film)), heatmaps.flatten(1).amax(dim=1))

    def _without_strays(self, landmarks: torch.Tensor, peaks: torch.Tensor) -> torch.Tensor:
        """Return the (N, 2) landmarks with those that are far from where a head has them moved to there."""
        if self.pose is None or self.max_guide_distance is None:
            return landmarks
        try:
            _, matrix = self.pose.fit(landmarks, peaks)
        except ValueError:
            return landmarks
        stray = self.pose.strangeness(landmarks, matrix) > self.max_guide_distance
        return torch.where(stray[:, None], apply(matrix, self.pose.frame.model), landmarks)

    def explore(self, film: torch.Tensor, guide: torch.Tensor, network: Network, pose: Pose | None = None) -> Windows:
        """Return the windows of one film (1, row, column) around its guide (N, 2), in pixels of its grid."""
        windows = self._with_context(film, guide, self.local.explore(film, guide, network))
        if pose is None or self.pose is None or not self.edge_margin:
            return windows
        maxima = self.to_maximum(windows.heatmaps) + windows.starts
        # what has no maximum is 0 already, and NaN compares as inside
        cut_off = pose.depth(maxima) < self.edge_margin * self.pose.frame.radius
        windows.heatmaps[cut_off.to(windows.heatmaps.device)] = 0
        return windows

    def _with_context(self, film: torch.Tensor, guide: torch.Tensor, windows: Windows) -> Windows:
        if self.context_network is None or self.to_context_grid is None:
            return windows
        small = self.to_context_grid(film)
        to_small = torch.linalg.inv(affine_of(small)) @ affine_of(film)
        local, share = self.local, small.shape[-1] / film.shape[-1]
        look = ExpansiveExplorationInferer(
            patch_size=math.ceil(local.side * share) + 2,
            expansion=1.0,
            arrangement="centre",
            batch_size=local.batch_size,
            margin=local.margin,
            shared_pixels=local.shared_pixels,
            guide_sd=None if local.guide_sd is None else local.guide_sd * share,
            shifts=self.context_shifts,
        )
        seen = look.explore(small, apply(to_small, guide.cpu().double()), self.context_network)
        maps = to_small.repeat(len(guide), 1, 1)
        maps[:, :2, 2] = apply(to_small, windows.starts.double()) - seen.starts
        side = (local.side, local.side)
        return Windows((windows.heatmaps * resample_each(seen.heatmaps, maps, side)).sqrt(), windows.starts)
