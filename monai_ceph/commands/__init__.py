"""The commands of ``monai-ceph``, one file each, and the code that prints their output."""
