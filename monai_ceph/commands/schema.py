"""``monai-ceph schema``: the JSON Schema of a result."""

from __future__ import annotations

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON Schema of a result, as in the files in json/."""
    from monai_ceph.reports.json_result import result_schema

    print(result_schema(), end="")
