"""A node whose detector takes no time: ``python stand_in.py node.yaml [SECONDS]``, through the hook of `run_node`."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "batch"))
from fakes import FakeDetector

from monai_ceph.commands.signed_films import SignedFilmReader
from monai_ceph.errors import CephError, RejectedError
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.logs import log_json
from monai_ceph.pacs.node import run_node
from monai_ceph.readers import Radiograph
from monai_ceph.result import Detection


class StandIn(FakeDetector):
    """`FakeDetector`, which the pixels of a film tell what to do: names of files are hashes in a node."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(seconds=seconds)
        # profiles refuse anything else
        self.identity = self.identity.model_copy(update={"weights_sha256": "0" * 64})

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        """Follow the pixel value of a film that has only one."""
        level = float(radiograph.pixels.max())
        told = {1.0: "reject", 2.0: "die", 3.0: "explode"}.get(level) if level == radiograph.pixels.min() else None
        if told is None:
            return super().__call__(radiograph, force=force)
        path = radiograph.path
        try:
            return super().__call__(replace(radiograph, path=path.with_name(told)), force=force)
        except RejectedError as error:
            raise RejectedError(f"{path}: {str(error).partition(': ')[2]}") from None


if __name__ == "__main__":
    log_json()
    try:
        settings = read_config(Path(sys.argv[1]))
        signed = SignedFilmReader(settings.review_folder) if settings.review_folder is not None else None
        run_node(settings, partial(StandIn, seconds=float((*sys.argv, "0")[2])), signed)
    except CephError as error:
        sys.exit(f"stopped: {error}")
