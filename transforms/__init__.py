"""MONAI transforms for landmarks on radiographs, one per file. Import them as ``monai_ceph.transforms``."""

from __future__ import annotations

from monai_ceph.transforms.geometry import affine_of, landmarks_to_grid, landmarks_to_source, resample
from monai_ceph.transforms.heatmaps_to_landmarks import HeatmapsToLandmarks, HeatmapsToLandmarksd
from monai_ceph.transforms.landmarks_to_heatmaps import LandmarksToHeatmaps, LandmarksToHeatmapsd
from monai_ceph.transforms.load_radiograph import LoadRadiograph, LoadRadiographd
from monai_ceph.transforms.pose_film import PoseFilm, PoseFilmd
from monai_ceph.transforms.rand_annotation import RandAnnotation, RandAnnotationd
from monai_ceph.transforms.rand_film_affine import RandFilmAffine, RandFilmAffined
from monai_ceph.transforms.rand_film_occlusion import RandFilmOcclusion, RandFilmOcclusiond
from monai_ceph.transforms.rand_guide import RandGuide, RandGuided
from monai_ceph.transforms.rand_landmark_patch import RandLandmarkPatch, RandLandmarkPatchd
from monai_ceph.transforms.scale_film_intensity import ScaleFilmIntensity, ScaleFilmIntensityd
from monai_ceph.transforms.square_film import SquareFilm, SquareFilmd
from monai_ceph.transforms.whole_film import WholeFilm, WholeFilmd

__all__ = [
    "HeatmapsToLandmarks",
    "HeatmapsToLandmarksd",
    "LandmarksToHeatmaps",
    "LandmarksToHeatmapsd",
    "LoadRadiograph",
    "LoadRadiographd",
    "PoseFilm",
    "PoseFilmd",
    "RandAnnotation",
    "RandAnnotationd",
    "RandFilmAffine",
    "RandFilmAffined",
    "RandFilmOcclusion",
    "RandFilmOcclusiond",
    "RandGuide",
    "RandGuided",
    "RandLandmarkPatch",
    "RandLandmarkPatchd",
    "ScaleFilmIntensity",
    "ScaleFilmIntensityd",
    "SquareFilm",
    "SquareFilmd",
    "WholeFilm",
    "WholeFilmd",
    "affine_of",
    "landmarks_to_grid",
    "landmarks_to_source",
    "resample",
]
