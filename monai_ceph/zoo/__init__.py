"""The model as a bundle for the MONAI Model Zoo: what ``monai-ceph bundle`` writes."""
