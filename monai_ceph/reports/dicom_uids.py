"""UIDs that are a function of what they name, so that the same work done again gives the same objects.

Every UID is a UUID of version 5 under the root 2.25 (PS3.5 annex B.2, RFC 9562): a hash, needing no registry.
"""

from __future__ import annotations

import json
import uuid
from typing import Literal

from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.result import Detection, ModelIdentity

__all__ = ["NAMESPACE", "ObjectKind", "derived_uid", "device_uid", "instance_uid", "series_uid", "tracking_uid"]

NAMESPACE = uuid.UUID("afafd9b5-8fa6-4106-a2c3-27676ddcae90")
"""The name space of all derived UIDs."""

ObjectKind = Literal["SR", "PR"]


def derived_uid(*parts: str | int | float | None) -> str:
    """Return the UID of a list of values: the UUID of version 5 of its JSON text in :data:`NAMESPACE`."""
    return f"2.25.{uuid.uuid5(NAMESPACE, json.dumps(parts)).int}"


def _model(model: ModelIdentity) -> tuple[str, ...]:
    return model.weights_sha256, model.recipe_sha256, model.software


def instance_uid(kind: ObjectKind, image_uid: str, detection: Detection) -> str:
    """Return the SOP Instance UID of the object of a kind that a model makes of one image, or of one of its frames.

    A scale that the user gave, or that was refused, is part of it: another scale gives another report.
    """
    given = detection.pixel_spacing if detection.spacing_source is SpacingSource.USER else detection.stated_spacing
    return derived_uid("instance", kind, image_uid, detection.frame, *_model(detection.model), *(given or ()))


def series_uid(kind: ObjectKind, study_uid: str, model: ModelIdentity) -> str:
    """Return the Series Instance UID: one series per study, kind of object and model."""
    return derived_uid("series", kind, study_uid, *_model(model))


def device_uid(model: ModelIdentity) -> str:
    """Return the UID of the software with its weights and parameters, as the observer of a report."""
    return derived_uid("device", *_model(model))


def tracking_uid(image_uid: str, frame: int | None, name: str) -> str:
    """Return the Tracking UID of a landmark on an image or frame: the same for every model and kind of object."""
    return derived_uid("tracking", image_uid, frame, name)
