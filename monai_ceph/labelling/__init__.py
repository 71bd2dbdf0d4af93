"""The MONAI Label app: films from a folder or a PACS, landmarks to clients, corrections back as training data.

``monai-ceph label`` starts it. Markups, label maps and stores need no MONAI Label; the rest imports it on use.
"""
