"""What pyproject.toml cannot say: where two packages lie, and the README for a place without the repository.

It does not name the repository: whoever publishes gives the address as SOURCE_URL (.github/workflows/release.yml).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent
# folders at the top that belong into the package. monai_ceph/ has links to them, which some systems check out as text.
OUTSIDE = ("bundles", "transforms")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
SOURCE = os.environ.get("SOURCE_URL", "").rstrip("/")
REVISION = os.environ.get("SOURCE_REVISION", "main")


def packages() -> list[str]:
    """Return all packages with the names that they have when they are installed."""
    found = find_namespace_packages(str(HERE), include=["monai_ceph*", *(f"{name}*" for name in OUTSIDE)])
    links = tuple(f"monai_ceph.{name}" for name in OUTSIDE)
    inside = [name for name in found if name.startswith("monai_ceph") and not name.startswith(links)]
    outside = [f"monai_ceph.{name}" for name in found if name.startswith(OUTSIDE)]
    return [name for name in (*inside, *outside) if "__pycache__" not in name]


def readme() -> str:
    """Return README.md with absolute links; without an address their text stays, and pictures go."""

    def absolute(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        if not SOURCE:
            return "" if picture else text
        return f"{picture}[{text}]({SOURCE}/{'raw' if picture else 'blob'}/{REVISION}/{target})"

    return LINK.sub(absolute, (HERE / "README.md").read_text(encoding="utf-8"))


setup(
    packages=packages(),
    package_dir={f"monai_ceph.{name}": name for name in OUTSIDE},
    long_description=readme(),
    long_description_content_type="text/markdown",
    project_urls={
        "Source": SOURCE,
        "Documentation": f"{SOURCE}/tree/{REVISION}/docs",
        "Changelog": f"{SOURCE}/blob/{REVISION}/CHANGELOG.md",
    }
    if SOURCE
    else {},
)
