"""Derived UIDs, so that repeated work gives the same objects.

Every UID is a version 5 UUID under the root 2.25 (PS3.5 annex B.2, RFC 9562), which is a hash and needs no registry.
"""

from __future__ import annotations

import json
import uuid
from typing import Literal

from monai_ceph.result import Detection, ModelIdentity

__all__ = ["NAMESPACE", "ObjectKind", "derived_uid", "device_uid", "instance_uid", "series_uid", "tracking_uid"]

NAMESPACE = uuid.UUID("afafd9b5-8fa6-4106-a2c3-27676ddcae90")
"""The namespace of all derived UIDs."""

ObjectKind = Literal["SR", "PR", "SC", "DOC"]


def derived_uid(*parts: str | int | float | None) -> str:
    """Return the UID of a list of values: the version 5 UUID of its JSON text in :data:`NAMESPACE`."""
    return f"2.25.{uuid.uuid5(NAMESPACE, json.dumps(parts)).int}"


def _model(model: ModelIdentity) -> tuple[str, ...]:
    return model.weights_sha256, model.recipe_sha256, model.software


def instance_uid(
    kind: ObjectKind,
    image_uid: str,
    detection: Detection,
    header: str,
    replaces: str | None = None,
    settings: tuple[str, ...] = (),
) -> str:
    """Return the SOP Instance UID of an object that a model makes for one image or one of its frames.

    Another header, another scale or other settings give another report, and so another UID.

    Args:
        kind: of the object.
        image_uid: SOP Instance UID of the image.
        detection: of the image or frame.
        header: from :func:`monai_ceph.reports.header_identity.header_identity`.
        replaces: UID of the object that this one says it replaces.
        settings: :attr:`~monai_ceph.reports.object_settings.ObjectSettings.identity`.
    """
    scale = [detection.spacing_source.value, detection.pixel_spacing, detection.stated_spacing]
    parts = (*_model(detection.model), json.dumps(scale), header, *(() if replaces is None else (replaces,)), *settings)
    return derived_uid("instance", kind, image_uid, detection.frame, *parts)


def series_uid(kind: ObjectKind, study_uid: str, model: ModelIdentity) -> str:
    """Return the Series Instance UID: one series per study, kind of object and model."""
    return derived_uid("series", kind, study_uid, *_model(model))


def device_uid(model: ModelIdentity) -> str:
    """Return the UID of the software with its weights and parameters, which is the observer of a report."""
    return derived_uid("device", *_model(model))


def tracking_uid(image_uid: str, frame: int | None, name: str) -> str:
    """Return the Tracking UID of a landmark on an image or frame; it does not depend on model or kind of object."""
    return derived_uid("tracking", image_uid, frame, name)
