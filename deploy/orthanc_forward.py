"""Plugin of Orthanc: a series that is complete and may be a cephalogram goes to the modality ``ceph``, the node.

Reports and presentation states, which come back from there, are not sent again.
"""

import json

import orthanc

MODALITIES = ("DX", "CR", "RG", "PX", "OT")


def on_change(change, level, resource):
    """Send a series on once nothing was added to it for StableAge seconds."""
    if change != orthanc.ChangeType.STABLE_SERIES:
        return
    series = json.loads(orthanc.RestApiGet("/series/" + resource))
    if series["MainDicomTags"].get("Modality") in MODALITIES:
        orthanc.RestApiPost("/modalities/ceph/store", json.dumps({"Resources": [resource], "Asynchronous": True}))


orthanc.RegisterOnChangeCallback(on_change)
