"""The public API: a detector that runs both stages on a film and returns a detection."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from rich.console import Console
from rich.progress import track

from monai_ceph import weights
from monai_ceph.analysis.scale import check_scale
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.inference_config import (
    INFERENCE,
    as_number,
    inference_config,
    mean_shape_of,
    model_identity,
    read_config,
    rejection_limits,
    root_cause,
    used_weights,
)
from monai_ceph.inferers.attention_guided import StageResults
from monai_ceph.inferers.error_model import Certainty
from monai_ceph.inferers.plausibility import check_film, check_landmarks
from monai_ceph.inferers.pose import UPRIGHT, View, stated_view
from monai_ceph.landmarks import LANDMARKS, SYMBOLS
from monai_ceph.networks.folding import fold
from monai_ceph.profiles import Profile, load_profile
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.readers.in_memory import Source, as_radiograph, is_several
from monai_ceph.result import (
    Detection,
    ModelIdentity,
    RadiusSource,
    detected_landmark,
    film_state,
    longest_sure_radius,
)
from monai_ceph.timing import Clock
from monai_ceph.transforms import landmarks_to_source
from monai_ceph.transforms.geometry import affine_of

__all__ = ["CephalogramDetector", "Detection", "Stage"]

Stage = Literal["global", "local"]

# keys whose values were chosen for the shipped weights
_FITTED = ("missing_below", "uncertain_below", "rejection")


def _orientation_warnings(orientation: tuple[str, ...], stated: View | None, found: View) -> list[str]:
    said = "\\".join(orientation)
    if stated is None:
        return [f"PatientOrientation {said} does not describe a lateral film of the head."]
    if (stated.turned, stated.mirrored) != (found.turned, found.mirrored):
        return [f"PatientOrientation {said} contradicts the film, so the direction seen on the film was used."]
    return []


def _identity_of_call(model: ModelIdentity, stage: Stage, kept_by_force: bool) -> ModelIdentity:
    """Return the model's identity for the options of a call, so that different results get different DICOM UIDs."""
    if stage == "local" and not kept_by_force:
        return model
    recipe = json.dumps([model.recipe_sha256, stage, kept_by_force])
    return model.model_copy(update={"recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest()})


def _with_profile(model: ModelIdentity, profile: Profile | None) -> ModelIdentity:
    """Return the identity of a detector with a profile: its results are others, so that a run does not keep old ones.

    Raises:
        CephError: if the profile was learned for another model.
    """
    if profile is None:
        return model
    profile.check(model)
    recipe = json.dumps([model.recipe_sha256, profile.identity().sha256])
    return model.model_copy(update={"recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest()})


def _radii(certainty: Certainty, profile: Profile | None) -> tuple[np.ndarray, RadiusSource]:
    """Return the radii of the landmarks, (N, 2), in source pixels, and where they were learned."""
    if profile is None:
        return certainty.radii, "other films"
    radii, own = profile.radii_on_film(certainty.radii, certainty.typical, certainty.head_radius)
    return radii, "profile" if own.all() else "other films"


def _aspect(radiograph: Radiograph) -> float:
    """Return the height of a pixel divided by its width; 1 if unknown."""
    return radiograph.pixel_spacing[0] / radiograph.pixel_spacing[1] if radiograph.pixel_spacing else 1.0


def _usable(device: str | torch.device) -> torch.device:
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CephError(f"device {device} cannot be used: {first}") from error


class CephalogramDetector:
    """Finds the 19 landmarks of a lateral cephalogram with both stages of Zhong et al. 2019.

    Every parameter comes from ``bundles/inference.json``, so the detector and the bundle give the same results.

    Args:
        device: a torch device; by default the GPU if there is one.
        overlays: further bundle configs that change single keys, such as ``bundles/overlays/no_expansion.json``.
        overrides: values of single config keys, such as ``{"local_weights": "runs/local/final.pt"}``.
        profile: a clinic's profile, or its file; it moves every point by what the clinic's corrections showed.

    Raises:
        CephError: if the weights, a config or the profile cannot be read, the profile was learned with other weights,
            or the device cannot be used.

    Examples:
        >>> from monai_ceph import CephalogramDetector
        >>> detection = CephalogramDetector()("film.dcm")
        >>> print(detection.landmarks[0])
    """

    def __init__(
        self,
        device: str | torch.device | None = None,
        overlays: Sequence[str | Path] = (),
        overrides: dict[str, Any] | None = None,
        profile: Profile | str | Path | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, (str, Path)) else profile
        chosen = {} if device is None else {"device": f"$torch.device('{_usable(device)}')"}
        config = inference_config(overlays, chosen | (overrides or {}))
        try:
            self._build(config)
        except RuntimeError as error:
            # MONAI says which part of the config failed; its cause says why
            raise CephError(f"the config does not work: {root_cause(error)}") from error

    def _build(self, config: ConfigParser) -> None:
        mixed = config.get_parsed_content("mixed_precision")
        if not isinstance(mixed, bool):
            raise CephError(f"mixed_precision must be true or false, got {mixed!r}")
        if tuple(config.get_parsed_content("landmarks")) != SYMBOLS:
            raise CephError(
                "the config has other landmarks than monai_ceph.landmarks, and results and reports need these: "
                "run bundles/inference.json instead (docs/how-to/own-landmarks.md)"
            )
        # before the networks, which take longer
        self._uncertain_below, self._film_uncertain_above, self._uncertain_radius_mm = (
            as_number(key, config.get_parsed_content(key))
            for key in ("uncertain_below", "film_uncertain_above", "uncertain_radius_mm")
        )
        self._mean_shape = mean_shape_of(config.get_parsed_content("mean_shape"))
        self._rejection = rejection_limits(config.get_parsed_content("rejection"))
        self.used_weights = used = used_weights(config)
        for stage, file in used.items():
            weights.load(config.get_parsed_content(f"{stage}_network_def"), file)
        self.device = config.get_parsed_content("device")
        self.network = config.get_parsed_content("network")
        self.inferer = config.get_parsed_content("inferer")
        runtime, ranges = config.get_parsed_content("runtime"), config.get_parsed_content("activation_ranges") or {}
        networks = (self.inferer.global_network, self.network, self.inferer.context_network)
        for stage, network in zip(weights.STAGES, networks, strict=True):
            fold(network, runtime, ranges.get(stage))
        self._frame = Compose(config.get_parsed_content("frame_transforms"))
        self._decode = config.get_parsed_content("decoder")
        self.identity = _with_profile(model_identity(config), self.profile)
        shipped = read_config([INFERENCE])
        unchanged = [key for key in _FITTED if config[key] == shipped[key]]
        self._limits_note = weights.limits_note(used, unchanged)

    @property
    def mean_shape(self) -> np.ndarray:
        """Return the mean shape of the landmarks, (N, 2), (x, y), in no unit: x forward, y down."""
        return self._mean_shape[:, ::-1].copy()

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, source: Source, *, pixel_spacing: float | None = None, force: bool = False, stage: Stage = "local"
    ) -> Detection: ...

    @overload
    def __call__(
        self,
        source: Iterable[Source],
        *,
        pixel_spacing: float | None = None,
        force: bool = False,
        stage: Stage = "local",
        progress: bool = False,
        on_error: Callable[[CephError], None] | None = None,
    ) -> Iterator[Detection]: ...

    def __call__(
        self,
        source: Source | Iterable[Source],
        *,
        pixel_spacing: float | None = None,
        force: bool = False,
        stage: Stage = "local",
        progress: bool = False,
        on_error: Callable[[CephError], None] | None = None,
    ) -> Detection | Iterator[Detection]:
        """Detect the landmarks of one film, or of several.

        One film gives a detection. Several give an iterator that works on a film when its detection is asked for, in
        their order: ``list(detector(films))`` works on all of them.

        Args:
            source: one film, or an iterable of films. A film is a path, an array, a tensor, a PIL image, a DICOM data
                set or a radiograph; :func:`~monai_ceph.readers.in_memory.as_radiograph` says which shapes.
            pixel_spacing: mm between pixel centres, for rows and columns, of all films given. It replaces what a file
                says. A radiograph has its own.
            force: keep an image that does not look like a cephalogram, with a warning.
            stage: ``global`` stops after the first stage; its scores are those of the global heatmaps. No profile
                moves its points.
            progress: show a bar; only for several films.
            on_error: called with the error of each film that cannot be read or is rejected, and the others go on; only
                for several films. Without it, the first such error is raised.

        Raises:
            TypeError: if a film is of another type, or an option for several films is given for one.
            ReadError: if a film cannot be read as a radiograph.
            RejectedError: if an image does not look like a lateral cephalogram.
            ValueError: if ``pixel_spacing`` is not from 0.01 to 2 mm, or a radiograph is given with it.
        """
        if is_several(source):
            return self._each(source, pixel_spacing, force, stage, progress, on_error)
        if progress or on_error is not None:
            raise TypeError("progress and on_error are for several films: give them as a list")
        return self._one(source, pixel_spacing, force, stage)

    def _each(
        self,
        films: Iterable[Source],
        pixel_spacing: float | None,
        force: bool,
        stage: Stage,
        progress: bool,
        on_error: Callable[[CephError], None] | None,
    ) -> Iterator[Detection]:
        if progress:
            films = track(films, "Detecting", console=Console(stderr=True))
        for number, film in enumerate(films, start=1):
            try:
                detection = self._one(film, pixel_spacing, force, stage, number)
            except (ReadError, RejectedError) as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                yield detection

    def _one(
        self, source: Source, pixel_spacing: float | None, force: bool, stage: Stage, number: int | None = None
    ) -> Detection:
        clock = Clock(self.device)
        if isinstance(source, Radiograph):
            radiograph = as_radiograph(source, pixel_spacing)
        else:
            with clock.part("reading"):
                radiograph = as_radiograph(source, pixel_spacing, number)
        check_film(radiograph)
        # the film is a MetaTensor, which has no types
        found: Any = self.stages(radiograph, stage, clock)
        stated = stated_view(radiograph.patient_orientation)
        film, pose, points, scores = found.film, found.pose, found.guide.landmarks, found.guide.peaks
        if found.windows is not None:
            with clock.part("decoding"):
                points = self._decode(found.windows.heatmaps) + found.windows.starts
                scores = found.windows.heatmaps.flatten(1).amax(dim=1)
        scores = scores.nan_to_num(nan=0.0).cpu()
        places = landmarks_to_source(points, affine_of(film))
        certainty = found.certainty.on_source(affine_of(film)) if found.certainty is not None else None
        view, evidence = (pose.view, pose.evidence) if pose else (UPRIGHT, None)
        warnings = view.warnings()
        if self._limits_note:
            warnings.append(self._limits_note)
        if cut := film.meta.get("cut", 0.0) if isinstance(film, MetaTensor) else 0.0:
            warnings.append(
                f"{100 * cut:.1f} % of the pixels have grey values far from all others and were clipped: "
                "unexposed, burnt, a marker or air."
            )
        if radiograph.patient_orientation and pose:
            warnings += _orientation_warnings(radiograph.patient_orientation, stated, view)
        problem = check_landmarks(points.numpy(), scores.numpy(), evidence, self._mean_shape, **self._rejection)
        if problem:
            if not force:
                raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: {problem}")
            warnings.append(f"Kept by force: {problem}.")
        scaled = check_scale(radiograph, places.numpy())
        spacing = scaled.pixel_spacing
        moved_by = profile = self.profile if stage == "local" else None
        raw: list[Any] = [None] * len(LANDMARKS)
        final = places.tolist()
        if profile is not None:
            # checks look at what the networks found, and measurements at what the profile makes of it
            moved = profile.moved(places.numpy()[:, ::-1], self.mean_shape, _aspect(radiograph))
            if moved is None:
                warnings.append(f"The profile {profile.name} moved nothing: too few landmarks were found.")
                moved_by = None
            else:
                raw, final = places.tolist(), moved[:, ::-1].tolist()
        radii, radius_source, limit = None, None, math.inf
        if certainty is not None:
            radii, radius_source = _radii(certainty, moved_by)
            limit = longest_sure_radius(self._uncertain_radius_mm, spacing, certainty.middle_mm_per_pixel)
        landmarks = tuple(
            detected_landmark(
                *(mark.number, mark.symbol, final[index], scores[index].item(), spacing, self._uncertain_below),
                raw=raw[index],
                radii=None if radii is None else radii[index],
                uncertain_above=limit,
                expected=None if certainty is None else certainty.expected[index],
            )
            for index, mark in enumerate(LANDMARKS)
        )
        return Detection(
            # bytes that are not UTF-8 are escaped
            file=os.fsencode(radiograph.path).decode("utf-8", errors="backslashreplace"),
            frame=radiograph.frame,
            study_uid=radiograph.study_uid,
            series_uid=radiograph.series_uid,
            image_uid=radiograph.image_uid,
            sop_class_uid=radiograph.sop_class_uid,
            rows=radiograph.pixels.shape[0],
            columns=radiograph.pixels.shape[1],
            pixel_spacing=spacing,
            spacing_source=scaled.spacing_source,
            stated_spacing=radiograph.pixel_spacing if scaled.spacing_source is SpacingSource.IMPLAUSIBLE else None,
            patient_orientation=radiograph.patient_orientation,
            turned=view.degrees,
            mirrored=view.mirrored,
            inverted=view.inverted,
            state=film_state(landmarks, self._film_uncertain_above, forced=problem is not None),
            landmarks=landmarks,
            model=_identity_of_call(self.identity, stage, kept_by_force=problem is not None),
            profile=profile.identity() if profile is not None else None,
            radius_source=radius_source,
            warnings=(*scaled.warnings, *warnings),
            created=datetime.now(timezone.utc).replace(microsecond=0),
            seconds=clock.seconds,
        )

    def stages(self, radiograph: Radiograph, stage: Stage = "local", clock: Clock | None = None) -> StageResults:
        """Return what the stages see on one film, before it becomes a detection: pose, guide and heatmaps.

        Args:
            radiograph: the film, large enough to be one.
            stage: ``global`` stops after the first stage.
            clock: measures the parts.
        """
        clock = clock or Clock(self.device)
        with clock.part("framing"):
            pixels = MetaTensor(torch.from_numpy(radiograph.pixels)[None], affine=torch.eye(3, dtype=torch.float64))
            film = self._frame({"image": pixels})["image"].to(self.device)
        stated = stated_view(radiograph.patient_orientation)
        parts = {"global": "stage_1", "local": "stage_2"}
        found: StageResults = self.inferer.detect(
            film, self.network, stated, stage, timer=lambda each: clock.part(parts[each])
        )
        return found
