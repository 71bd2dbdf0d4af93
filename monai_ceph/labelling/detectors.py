"""The detectors that a server holds: the shipped one, and the one with weights that were fine-tuned here."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from monai_ceph.detection import CephalogramDetector, inference_config, used_weights
from monai_ceph.errors import CephError
from monai_ceph.labelling.errors import named
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["Detectors", "Weights"]

logger = logging.getLogger(__name__)

Weights = Literal["latest", "shipped"]


class Detectors:
    """Makes each detector once, and the fine-tuned one again when its file changes. Threads take turns.

    Args:
        tuned: the file of fine-tuned weights of the local stage; it need not exist.
        device: a torch device; by default the GPU if there is one.
        overlays: further bundle configs, see :class:`~monai_ceph.CephalogramDetector`.
    """

    def __init__(self, tuned: Path, device: str | None = None, overlays: Sequence[str | Path] = ()) -> None:
        self.tuned = tuned
        self.device = device
        self._overlays = tuple(overlays)
        self._made: dict[tuple[str | None, bool], tuple[int, CephalogramDetector]] = {}
        self._lock = threading.RLock()

    def get(self, weights: str = "latest", device: str | None = None) -> CephalogramDetector:
        """Return a detector.

        Args:
            weights: ``latest`` is the fine-tuned one if there is one; ``shipped`` is the one of the package.
            device: another one than the server's.

        Raises:
            CephError: there are no such weights, or they or the device cannot be used.
        """
        if weights not in ("latest", "shipped"):
            raise CephError(f"weights are 'latest' or 'shipped', not {weights!r}")
        tuned = weights == "latest" and self.tuned.is_file()
        version = self.tuned.stat().st_mtime_ns if tuned else 0
        key = (device or self.device, tuned)
        with self._lock:
            made = self._made.get(key)
            if made is None or made[0] != version:
                overrides = self._with_local(self.tuned) if tuned else {}
                made = (version, CephalogramDetector(key[0], self._overlays, overrides))
                self._made[key] = made
            return made[1]

    def _with_local(self, weights: Path) -> dict[str, str | None]:
        """Return what changes only the local network: a fine-tuned one works beside the same context network."""
        used = used_weights(inference_config(self._overlays))
        return {"local_weights": str(weights), "context_weights": used.get("context")}

    def detect(self, film: Path, weights: str = "latest", device: str | None = None, force: bool = False) -> Detection:
        """Detect on a film, see :class:`~monai_ceph.CephalogramDetector`; one thread at a time."""
        with self._lock:
            return self.get(weights, device)(film, force=force)

    def replace(self, weights: Path) -> None:
        """Let a file take the place of the fine-tuned weights, after it was loaded into the network.

        Raises:
            CephError: they are no weights of this network; those that were there stay.
        """
        with named(weights, "the upload"):
            CephalogramDetector(self.device, self._overlays, self._with_local(weights))
        with written_beside(self.tuned) as part:
            shutil.copyfile(weights, part)

    def load_or_set_aside(self) -> None:
        """Load the weights that are used by default. Fine-tuned ones that do not work are renamed, with a warning.

        Raises:
            CephError: the device or the shipped weights cannot be used.
        """
        try:
            self.get()
        except CephError as error:
            # what fails with the shipped weights, too, is no fault of the others
            self.get("shipped")
            aside = self.tuned.with_suffix(".unusable")
            self.tuned.replace(aside)
            logger.warning("the shipped weights are used, and the fine-tuned ones are now %s: %s", aside.name, error)
