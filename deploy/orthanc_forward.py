"""Plugin of Orthanc: sends every complete series that may be a cephalogram to the modality ``ceph``, the node.

Reports and presentation states that come back from the node are not sent again.
"""

import json

import orthanc

MODALITIES = ("DX", "CR", "RG", "PX", "OT")


def on_change(change, level, resource):
    """Forward a series when nothing was added to it for StableAge seconds."""
    if change != orthanc.ChangeType.STABLE_SERIES:
        return
    series = json.loads(orthanc.RestApiGet("/series/" + resource))
    if series["MainDicomTags"].get("Modality") in MODALITIES:
        orthanc.RestApiPost("/modalities/ceph/store", json.dumps({"Resources": [resource], "Asynchronous": True}))


orthanc.RegisterOnChangeCallback(on_change)
