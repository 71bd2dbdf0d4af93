"""The server's detectors: one with the shipped weights, one with the weights fine-tuned here."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import CephError
from monai_ceph.inference_config import inference_config, model_identity, used_weights
from monai_ceph.labelling.errors import named
from monai_ceph.profiles import Profile
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["Detectors", "Weights"]

logger = logging.getLogger(__name__)

Weights = Literal["latest", "shipped"]


class Detectors:
    """Creates each detector once, and the fine-tuned one again when its file changes. Several threads may use it.

    Args:
        tuned: file of the local network's fine-tuned weights, which may not exist yet.
        device: a torch device; by default the GPU if there is one.
        overlays: further bundle configs, see :class:`~monai_ceph.CephalogramDetector`.
        profile: a clinic's profile. It moves the points of a detector with the weights that it was learned with;
            detections of others have a warning.
    """

    def __init__(
        self,
        tuned: Path,
        device: str | None = None,
        overlays: Sequence[str | Path] = (),
        profile: Profile | None = None,
    ) -> None:
        self.tuned = tuned
        self.device = device
        self._overlays = tuple(overlays)
        self._profile = profile
        self._made: dict[tuple[str | None, bool], tuple[int, CephalogramDetector]] = {}
        self._lock = threading.RLock()

    def get(self, weights: str = "latest", device: str | None = None) -> CephalogramDetector:
        """Return a detector.

        Args:
            weights: ``latest`` for the fine-tuned weights if there are any, ``shipped`` for those of the package.
            device: torch device to use instead of the server's.

        Raises:
            CephError: the weights or the device cannot be used.
        """
        if weights not in ("latest", "shipped"):
            raise CephError(f"weights must be 'latest' or 'shipped', not {weights!r}")
        tuned = weights == "latest" and self.tuned.is_file()
        version = self.tuned.stat().st_mtime_ns if tuned else 0
        key = (device or self.device, tuned)
        with self._lock:
            made = self._made.get(key)
            if made is None or made[0] != version:
                overrides = self._with_local(self.tuned) if tuned else {}
                made = (version, CephalogramDetector(key[0], self._overlays, overrides, self._fitting(overrides)))
                self._made[key] = made
            return made[1]

    def _fitting(self, overrides: dict[str, str | None]) -> Profile | None:
        """Return the profile if it was learned with these weights: fine-tuning changes them."""
        if self._profile is None:
            return None
        try:
            self._profile.check(model_identity(inference_config(self._overlays, overrides)))
        except CephError:
            return None
        return self._profile

    def _with_local(self, weights: Path) -> dict[str, str | None]:
        """Return overrides that replace only the local network; the context network stays."""
        used = used_weights(inference_config(self._overlays))
        return {"local_weights": str(weights), "context_weights": used.get("context")}

    def detect(self, film: Path, weights: str = "latest", device: str | None = None, force: bool = False) -> Detection:
        """Detect on a film, see :class:`~monai_ceph.CephalogramDetector`; one thread at a time."""
        with self._lock:
            detector = self.get(weights, device)
            detection = detector(film, force=force)
        if self._profile is None or detector.profile is not None:
            return detection
        return detection.model_copy(update={"warnings": (*detection.warnings, _not_moved(self._profile))})

    def replace(self, weights: Path) -> None:
        """Replace the fine-tuned weights by a file, after loading it into the network as a check.

        Raises:
            CephError: the file does not hold weights of this network. The old weights stay.
        """
        with named(weights, "the upload"):
            CephalogramDetector(self.device, self._overlays, self._with_local(weights))
        with written_beside(self.tuned) as part:
            shutil.copyfile(weights, part)

    def load_or_set_aside(self) -> None:
        """Load the default weights. Fine-tuned ones that cannot be loaded are renamed, with a warning.

        Raises:
            CephError: the device or the shipped weights cannot be used, or the profile fits no weights of the server.
        """
        try:
            self.get()
        except CephError as error:
            # if the shipped weights fail as well, the fault lies elsewhere
            self.get("shipped")
            aside = self.tuned.with_suffix(".unusable")
            self.tuned.replace(aside)
            logger.warning(
                "using the shipped weights; the fine-tuned ones cannot be loaded and were renamed to %s: %s",
                aside.name,
                error,
            )
        if self._profile is not None and self.get().profile is None:
            # after fine-tuning it fits at least the shipped ones; another profile was given by mistake
            self._profile.check(self.get("shipped").identity)
            logger.warning(_not_moved(self._profile))


def _not_moved(profile: Profile) -> str:
    return (
        f"The profile {profile.name} moved nothing: it was learned with other weights. Learn it again, or "
        "ask for the weights that it fits."
    )
