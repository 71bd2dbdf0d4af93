"""The MONAI Label app. It reads films from a folder or a PACS, sends landmarks to clients and saves corrections.

``monai-ceph label`` starts it. Corrections can be used for training. Importing this package, its markups or its label
maps does not import MONAI Label.
"""
