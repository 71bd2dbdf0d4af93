"""Landmarks on lateral cephalograms with MONAI.

Research use, not a medical device; a trained person reviews every result.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.version import __version__

if TYPE_CHECKING:
    from monai_ceph.detection import CephalogramDetector
    from monai_ceph.result import Detection

__all__ = ["CephalogramDetector", "Detection", "__version__"]

if not (Path(__file__).parent / "transforms").is_dir():
    # a checkout whose links are text files, as on Windows: transforms/ and bundles/ lie beside the package
    __path__.append(str(Path(__file__).parents[1]))


def __getattr__(name: str) -> Any:
    # torch and MONAI take seconds to import: only who detects pays for them
    if name in ("CephalogramDetector", "Detection"):
        from monai_ceph import detection

        return getattr(detection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
