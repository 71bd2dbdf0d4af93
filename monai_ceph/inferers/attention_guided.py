"""Inference of both stages, as a MONAI inferer: the global stage guides the local one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from monai.data import MetaTensor
from monai.data.utils import collate_meta_tensor_fn
from monai.inferers import Inferer

from monai_ceph.inferers.error_model import Certainty, ErrorModel
from monai_ceph.inferers.pose import Pose, PoseFinder, View, stated_view
from monai_ceph.inferers.shared_windows import SharedWindowsInferer
from monai_ceph.inferers.windows import Network, WindowInferer, Windows
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

__all__ = ["AttentionGuidedInferer", "Guide", "StageResults"]

Stage = Literal["global", "local"]


@dataclass(frozen=True)
class Guide:
    """Landmarks of one film from the global stage.

    Attributes:
        landmarks: (N, 2), (row, column) in pixels of the grid of the local stage; NaN without a maximum.
        peaks: (N,) probability at the maxima.
    """

    landmarks: torch.Tensor
    peaks: torch.Tensor


@dataclass(frozen=True)
class StageResults:
    """What both stages found on one film.

    Attributes:
        film: (1, row, column) on the grid of the local stage; its affine leads to the source.
        pose: of the head; None if the inferer has no pose finder.
        guide: landmarks of the global stage.
        windows: heatmaps of the local stage around the guide; None if only the global stage ran.
        certainty: how far off each landmark may be; None without an error model or the local stage.
    """

    film: torch.Tensor
    pose: Pose | None
    guide: Guide
    windows: Windows | None
    certainty: Certainty | None = None


def _orientation_of(film: torch.Tensor) -> list[str]:
    """Return the film's PatientOrientation as RadiographReader read it; empty if unknown."""
    orientation = film.meta.get("patient_orientation", "") if isinstance(film, MetaTensor) else ""
    return str(orientation).split("\\") if orientation else []


class AttentionGuidedInferer(Inferer):
    """Both stages of Zhong et al. 2019 on a film.

    Without ``pose``, films already have the grid of the local stage, as in the paper. They are scaled to the grid of
    the global stage, whose maxima guide the local stage. With ``pose``, films can have any size: the global network
    sees the whole film, the head is brought into the mean pose, and the landmarks found on the way guide the local
    stage. H_M then has the grid of that pose.

    A context network can search the same windows on a coarser grid than the local stage: it sees less detail and more
    of the head. Its heatmaps and those of the local stage are combined by their geometric mean, so that a landmark lies
    where both networks see it.

    Args:
        global_network: returns logits with N landmark channels and the background, last.
        global_size: rows and columns of the global stage's grid (290 in the paper).
        local: searches the windows around the guide.
        decoder: from the global heatmaps to the guide. The paper takes the maxima; threshold and mean is more accurate
            where the Gaussians of neighbours overlap (benchmarks/JOURNAL.md).
        context_network: like the local network, for a grid of ``context_size``; None: no context (the paper).
        context_size: rows and columns of the context network's grid.
        context: searches the same windows with the context network; its windows have the side of those of ``local``.
        pose: finds the head and brings it into the grid of the local stage; None: films already have that grid.
        edge_margin: with ``pose``, a landmark whose maximum is closer than this to the edge of the exposed field, or
            outside it, is removed: its heatmap becomes 0. In units of the mean shape's radius (about 43 mm). A network
            cannot tell the edge of a shutter from a landmark on it.
        max_guide_distance: with ``pose``, a landmark of the global stage that is farther than this from its place in
            the mean shape is a false maximum, and that place guides instead. In units of the mean shape's radius.
            None: never.
        error_model: with ``pose``, tells how far off each landmark may be, and which the film does not show: their
            heatmaps become 0. None: not known.
        local_decoder: from the heatmaps of the local stage to the landmarks that the error model looks at.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        global_network: torch.nn.Module,
        global_size: int,
        local: WindowInferer,
        decoder: HeatmapsToLandmarks,
        context_network: torch.nn.Module | None = None,
        context_size: int | None = None,
        context: SharedWindowsInferer | None = None,
        pose: PoseFinder | None = None,
        edge_margin: float = 0.0,
        max_guide_distance: float | None = None,
        error_model: ErrorModel | None = None,
        local_decoder: HeatmapsToLandmarks | None = None,
    ) -> None:
        super().__init__()
        if not edge_margin >= 0:
            raise ValueError(f"edge_margin must not be negative, got {edge_margin}")
        if max_guide_distance is not None and not max_guide_distance > 0:
            raise ValueError(f"max_guide_distance must be positive or None, got {max_guide_distance}")
        if context_network is not None:
            if context_size is None or context is None:
                raise ValueError("a context network needs its context_size and its context inferer")
            if context.side != local.side:
                raise ValueError(
                    f"context and local must have windows of one side, got {context.side} and {local.side}"
                )
        if error_model is not None and (pose is None or local_decoder is None):
            raise ValueError("an error model needs a pose and a local_decoder")
        self.error_model, self.local_decoder = error_model, local_decoder
        self.global_network, self.local, self.context_network = global_network, local, context_network
        self.context = context
        self.to_global_grid = SquareFilm(global_size)
        self.to_context_grid = SquareFilm(context_size) if context_size is not None else None
        self.to_landmarks = decoder
        self.pose, self.edge_margin, self.max_guide_distance = pose, edge_margin, max_guide_distance
        self.to_maximum = HeatmapsToLandmarks("argmax", refine=False)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return H_M (batch, N, row, column), without background, for films (batch, 1, row, column).

        Its affine, one per film, leads to the source. If the meta data of a film have a ``patient_orientation``, the
        head is first searched in that orientation. With an error model, the metadata have ``radii`` (N, 2) and
        ``middle_mm_per_pixel`` of :class:`~monai_ceph.inferers.error_model.Certainty`, in pixels of the source.
        """
        self.global_network.eval().to(inputs.device)
        if self.context_network is not None:
            self.context_network.eval().to(inputs.device)
        merged = []
        for film in inputs:
            stated = stated_view(_orientation_of(film))
            found = self.detect(film, lambda batch: network(batch, *args, **kwargs), stated)
            assert found.windows is not None
            size = (found.film.shape[-2], found.film.shape[-1])
            heatmaps = with_affine(found.windows.paste(size), film, affine_of(found.film))
            if found.certainty is not None:
                certainty = found.certainty.on_source(affine_of(found.film))
                heatmaps.meta["radii"] = torch.from_numpy(certainty.radii)
                heatmaps.meta["middle_mm_per_pixel"] = certainty.middle_mm_per_pixel
            merged.append(heatmaps)
        return collate_meta_tensor_fn(merged)

    def detect(
        self,
        film: torch.Tensor,
        network: Network,
        stated: View | None = None,
        last_stage: Stage = "local",
        timer: Callable[[Stage], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> StageResults:
        """Run both stages on one film (1, row, column).

        Args:
            film: any size with a pose finder, the grid of the local stage without.
            network: of the local stage.
            stated: how the head lies on the film according to its header; this view is tried first.
            last_stage: ``global`` stops after the first stage, and runs the global network once more on the head in its
                pose.
            timer: a context manager for each stage, entered while it runs.
        """
        with timer("global"):
            framed, pose = self.frame(film, stated)
            guide = self.guide(framed, pose if last_stage == "local" else None)
        if last_stage == "global":
            return StageResults(framed, pose, guide, None)
        with timer("local"):
            windows = self.explore(framed, guide.landmarks, network, pose)
            certainty = self._certainty(windows, guide)
        return StageResults(framed, pose, guide, windows, certainty)

    def _certainty(self, windows: Windows, guide: Guide) -> Certainty | None:
        """Return how certain the landmarks of one film are, and empty the heatmaps of those that it does not show."""
        if self.error_model is None or self.pose is None or self.local_decoder is None:
            return None
        points = self.local_decoder(windows.heatmaps) + windows.starts.cpu()
        certainty = self.error_model(windows, points, guide.landmarks.cpu(), guide.peaks, self.pose.frame.radius)
        windows.heatmaps[torch.from_numpy(certainty.hidden).to(windows.heatmaps.device)] = 0
        return certainty

    def frame(self, film: torch.Tensor, stated: View | None = None) -> tuple[torch.Tensor, Pose | None]:
        """Return one film (1, row, column) in the grid of the local stage, and the head's pose with a pose finder.

        Args:
            film: any size with a pose finder, the grid of the local stage without.
            stated: how the head lies on the film according to its header; this view is tried first.
        """
        if self.pose is None:
            return film, None
        pose = self.pose(film, stated)
        return pose.film, pose

    def guide(self, film: torch.Tensor, pose: Pose | None = None) -> Guide:
        """Return the landmarks of the global stage on one film (1, row, column) in the grid of the local stage.

        With ``pose``, those that the pose finder saw are taken, and the network does not run again.
        """
        if pose is not None:
            return Guide(self._without_outliers(pose.landmarks, pose.peaks), pose.peaks)
        small = self.to_global_grid(film)
        with torch.no_grad():
            heatmaps = self.global_network(small.as_subclass(torch.Tensor)[None]).softmax(dim=1)[0, :-1]
        source = landmarks_to_source(self.to_landmarks(heatmaps), affine_of(small))
        return Guide(landmarks_to_grid(source, affine_of(film)), heatmaps.flatten(1).amax(dim=1))

    def _without_outliers(self, landmarks: torch.Tensor, peaks: torch.Tensor) -> torch.Tensor:
        """Return the (N, 2) landmarks; those too far from the fitted mean shape are replaced by its points."""
        if self.pose is None or self.max_guide_distance is None:
            return landmarks
        try:
            _, matrix = self.pose.fit(landmarks, peaks)
        except ValueError:
            return landmarks
        outlier = self.pose.shape_distance(landmarks, matrix) > self.max_guide_distance
        return torch.where(outlier[:, None], apply(matrix, self.pose.frame.model), landmarks)

    def explore(self, film: torch.Tensor, guide: torch.Tensor, network: Network, pose: Pose | None = None) -> Windows:
        """Return the windows of one film (1, row, column) around its guide (N, 2), in pixels of its grid."""
        windows = self._with_context(film, guide, self.local.explore(film, guide, network))
        if pose is None or self.pose is None or not self.edge_margin:
            return windows
        maxima = self.to_maximum(windows.heatmaps) + windows.starts
        # a heatmap without a maximum is 0 already, and the comparison with NaN is False
        outside = pose.depth(maxima) < self.edge_margin * self.pose.frame.radius
        windows.heatmaps[outside.to(windows.heatmaps.device)] = 0
        return windows

    def _with_context(self, film: torch.Tensor, guide: torch.Tensor, windows: Windows) -> Windows:
        """Return the geometric mean of the local stage's windows and those of the context network."""
        if self.context_network is None or self.to_context_grid is None or self.context is None:
            return windows
        small = self.to_context_grid(film)
        to_small = torch.linalg.inv(affine_of(small)) @ affine_of(film)
        scale = small.shape[-1] / film.shape[-1]
        context = self.context.explore(small, apply(to_small, guide.cpu().double()), self.context_network, scale)
        maps = to_small.repeat(len(guide), 1, 1)
        maps[:, :2, 2] = apply(to_small, windows.starts.double()) - context.starts
        resampled = resample_each(context.heatmaps, maps, (self.local.side, self.local.side))
        return Windows((windows.heatmaps * resampled).sqrt(), windows.starts)
