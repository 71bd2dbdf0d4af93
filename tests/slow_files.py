"""The order of a run in several processes: a file that takes long must not be begun last, when the others are done."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# those that take half a minute and more, the longest first
SLOW = (
    "integration/test_node.py",
    "onnx_graph/test_onnx_model.py",
    "integration/test_ray.py",
    "integration/test_monai_label.py",
    "integration/test_ohif.py",
    "test_bundle_runs.py",
    "integration/test_node_watch.py",
    "pacs/test_slow_clients.py",
    "zoo/test_loaders.py",
    "zoo/test_bundle.py",
    "batch/test_ends.py",
    "test_without_torch.py",
    "test_detection.py",
    "integration/test_review_by_hand.py",
    "integration/test_multi_gpu.py",
    "integration/test_interrupted_training.py",
    "review/test_review_heatmaps.py",
    "archives/test_slow_archives.py",
    "reports/test_tracing.py",
    "batch/test_privacy.py",
    "commands/test_detect_command.py",
    "commands/test_evaluate_command.py",
    "test_notebooks.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put slow files first, then those that start servers. In a single process the order does not matter."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.path))


def rank(path: Path) -> int:
    """Return the place of a file in the order: a low number comes first."""
    place = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return SLOW.index(place) if place in SLOW else len(SLOW) + (not place.startswith("integration/"))
