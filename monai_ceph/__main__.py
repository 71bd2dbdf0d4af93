"""``python -m monai_ceph`` is ``monai-ceph``."""

from monai_ceph.cli import run

run()
