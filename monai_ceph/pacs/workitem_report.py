"""What a node says of a work item: the performed procedure of a unified procedure step (PS3.4 CC.2.5, final state)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pydicom import Dataset

from monai_ceph.archives.config import TargetConfig
from monai_ceph.readers.dicom_elements import value
from monai_ceph.reports.header_identity import ObjectReference

__all__ = ["finished_step", "started_step"]

_LONG_TEXT = 1000


def started_step() -> Dataset:
    """Return the progress of a step that has begun."""
    step, progress = Dataset(), Dataset()
    progress.ProcedureStepProgress = "0"
    step.ProcedureStepProgressInformationSequence = [progress]
    return step


def finished_step(
    scheduled: Dataset,
    targets: TargetConfig,
    begun: str,
    ended: str,
    made: Sequence[ObjectReference],
    reasons: Sequence[str],
) -> Dataset:
    """Return what a step needs before its final state.

    Args:
        scheduled: the step as the worklist has it; its codes of station and procedure are those of what was done.
        targets: have the objects.
        begun: DICOM date time of the claim.
        ended: DICOM date time of the end.
        made: the objects that targets have.
        reasons: why the step is cancelled; empty if it is completed.
    """
    step, progress, performed = Dataset(), Dataset(), Dataset()
    progress.ProcedureStepProgress = "100"
    if reasons:
        progress.ProcedureStepCancellationDateTime = ended
        progress.ReasonForCancellation = "; ".join(reasons)[:_LONG_TEXT]
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = "110513", "DCM"
        code.CodeMeaning = "Discontinued for unspecified reason"
        progress.ProcedureStepDiscontinuationReasonCodeSequence = [code]
    step.ProcedureStepProgressInformationSequence = [progress]
    performed.PerformedStationNameCodeSequence = _items(scheduled, "ScheduledStationNameCodeSequence")
    performed.PerformedWorkitemCodeSequence = _items(scheduled, "ScheduledWorkitemCodeSequence")
    performed.PerformedProcedureStepStartDateTime = begun
    performed.PerformedProcedureStepEndDateTime = ended
    in_series = groupby(sorted(made, key=_series), _series)
    outputs = [_output(study, series, list(objects), targets) for (study, series), objects in in_series]
    performed.OutputInformationSequence = outputs
    step.UnifiedProcedureStepPerformedProcedureSequence = [performed]
    return step


def _series(made: ObjectReference) -> tuple[str, str]:
    return made.study, made.series


def _items(dataset: Dataset, name: str) -> list[Dataset]:
    return list(value(dataset, name) or ())


def _output(study: str, series: str, objects: Sequence[ObjectReference], targets: TargetConfig) -> Dataset:
    """Return where the objects of a series are (PS3.3 table 10-3b)."""
    output = Dataset()
    output.TypeOfInstances = "DICOM"
    output.StudyInstanceUID, output.SeriesInstanceUID = study, series
    references, places, services = [], [], []
    for each in objects:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = each.sop_class, each.uid
        references.append(reference)
    output.ReferencedSOPSequence = references
    for target in targets.dicom:
        place = Dataset()
        place.RetrieveAETitle = target.ae_title
        places.append(place)
    for service in targets.dicomweb:
        place = Dataset()
        place.RetrieveURL = f"{service.url.rstrip('/')}/studies/{study}/series/{series}"
        services.append(place)
    if places:
        output.DICOMRetrievalSequence = places
    if services:
        output.WADORSRetrievalSequence = services
    return output
