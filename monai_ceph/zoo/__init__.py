"""The method as one bundle, in the form of the MONAI Model Zoo: what ``monai-ceph bundle`` writes."""
