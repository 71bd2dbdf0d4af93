"""The commands of ``monai-ceph``, one file each, and what they print with."""
