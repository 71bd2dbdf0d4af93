"""A node whose detector takes no time, through the hook of `run_node`.

``python stand_in.py node.yaml [SECONDS [MODULE.NAME=VALUE ...]]``: the time of a film, and shorter limits of modules in
`monai_ceph.pacs` than those of a real node.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
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
    config, seconds, *limits = (*sys.argv[1:], "0") if len(sys.argv) == 2 else sys.argv[1:]
    for limit in limits:
        place, _, value = limit.partition("=")
        module, _, name = place.partition(".")
        # a name that is not there would change nothing
        assert isinstance(getattr(import_module(f"monai_ceph.pacs.{module}"), name), float), place
        setattr(import_module(f"monai_ceph.pacs.{module}"), name, float(value))
    try:
        settings = read_config(Path(config))
        signed = SignedFilmReader(settings.review_folder) if settings.review_folder is not None else None
        run_node(settings, partial(StandIn, seconds=float(seconds)), signed)
    except CephError as error:
        sys.exit(f"stopped: {error}")
