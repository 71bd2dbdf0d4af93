"""Landmarks on lateral cephalograms as an application for MONAI Deploy: DICOM films in, SR, GSPS and SC out.

Research use, not a medical device; a trained person reviews every result.
"""

from __future__ import annotations

import json
from pathlib import Path

from landmarks_operator import CephalogramLandmarksOperator
from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application
from monai.deploy.operators import DICOMDataLoaderOperator, DICOMSeriesSelectorOperator

# an image of these that is no cephalogram is rejected by the detector
_RULES = {"selections": [{"name": "radiographs", "conditions": {"Modality": "^(CR|DX|RG|OT)$"}}]}


class CephalogramApp(Application):
    """Load the studies of the input folder, select their radiographs, and find the landmarks on each."""

    def compose(self) -> None:
        """Connect the operators."""
        context = Application.init_app_context(self.argv)
        # once: without the condition the loader would read the folder again and again
        load = DICOMDataLoaderOperator(
            self, CountCondition(self, 1), input_folder=Path(context.input_path), name="load"
        )
        select = DICOMSeriesSelectorOperator(self, rules=json.dumps(_RULES), all_matched=True, name="select")
        find = CephalogramLandmarksOperator(self, output_folder=Path(context.output_path), name="find")
        self.add_flow(load, select, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(select, find, {("study_selected_series_list", "study_selected_series_list")})
