"""The operator of the application: it finds the landmarks on films, and writes DICOM objects that refer to them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from monai.deploy.core import Operator, OperatorSpec
from pydicom import Dataset

from monai_ceph import CephalogramDetector
from monai_ceph.errors import CephError, ReadError
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.secondary_capture import save_sc
from monai_ceph.reports.structured_report import save_sr

__all__ = ["CephalogramLandmarksOperator"]

logger = logging.getLogger(__name__)


class CephalogramLandmarksOperator(Operator):
    """Find the landmarks on every film of the selected series.

    For each film it writes ``UID.sr.dcm`` (Comprehensive SR, TID 1500), ``UID.gsps.dcm`` (Grayscale Softcopy
    Presentation State) and ``UID.sc.dcm`` (Secondary Capture of the tracing), where UID is the film's SOP Instance UID.
    A film that cannot be read, is no cephalogram or has its files already is named in the log, and the others go on.

    Named input:
        study_selected_series_list: a list of ``StudySelectedSeries``, from ``DICOMSeriesSelectorOperator``.

    Args:
        fragment: the application.
        output_folder: where the objects go; created if it does not exist.
        args: see MONAI Deploy's ``Operator``.
        kwargs: see MONAI Deploy's ``Operator``.
    """

    def __init__(self, fragment: Any, *args: Any, output_folder: Path, **kwargs: Any) -> None:
        self.output_folder = output_folder
        self._detector: CephalogramDetector | None = None
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input."""
        spec.input("study_selected_series_list")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Work on all films.

        Raises:
            CephError: if not one film has results.
        """
        done, failed = 0, 0
        for film in _films(op_input.receive("study_selected_series_list")):
            try:
                self._work_on(film)
                done += 1
            except CephError as error:
                failed += 1
                logger.error("%s", error)
        logger.info("%d films have results, %d have none", done, failed)
        if not done:
            reason = "the errors above say why" if failed else "the input has no series of radiographs"
            raise CephError(f"no film has results: {reason}")

    def _work_on(self, film: Dataset) -> None:
        if self._detector is None:
            self._detector = CephalogramDetector()
        file = Path(str(film.filename))
        uid = str(film.get("SOPInstanceUID", ""))
        if not re.fullmatch(r"[0-9.]{1,64}", uid):
            raise ReadError(f"{file}: no valid SOP Instance UID, so no object can refer to the film")
        targets = {kind: self.output_folder / f"{uid}.{kind}.dcm" for kind in ("sr", "gsps", "sc")}
        if there := [target for target in targets.values() if target.exists()]:
            raise CephError(f"{there[0]}: the file exists. Give another output folder")
        radiograph = read_radiograph(file)
        detection = self._detector(radiograph)
        source = source_header(file)
        self.output_folder.mkdir(parents=True, exist_ok=True)
        save_sr(targets["sr"], detection, source)
        save_gsps(targets["gsps"], detection, source)
        save_sc(targets["sc"], detection, source, radiograph)


def _films(studies: Iterable[Any]) -> Iterator[Dataset]:
    for study in studies:
        for selected in study.selected_series:
            for instance in selected.series.get_sop_instances():
                yield instance.get_native_sop_instance()
