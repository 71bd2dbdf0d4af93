"""MONAI transforms for landmarks on radiographs, one per file. Import them as ``monai_ceph.transforms``."""

from __future__ import annotations

from monai_ceph.transforms.geometry import affine_of, landmarks_to_grid, landmarks_to_source, resample
from monai_ceph.transforms.heatmaps_to_landmarks import (
    HeatmapsToLandmarks,
    HeatmapsToLandmarksD,
    HeatmapsToLandmarksd,
    HeatmapsToLandmarksDict,
)
from monai_ceph.transforms.landmarks_to_heatmaps import (
    LandmarksToHeatmaps,
    LandmarksToHeatmapsD,
    LandmarksToHeatmapsd,
    LandmarksToHeatmapsDict,
)
from monai_ceph.transforms.load_radiograph import LoadRadiograph, LoadRadiographD, LoadRadiographd, LoadRadiographDict
from monai_ceph.transforms.pose_film import PoseFilm, PoseFilmD, PoseFilmd, PoseFilmDict
from monai_ceph.transforms.rand_annotation import RandAnnotation, RandAnnotationD, RandAnnotationd, RandAnnotationDict
from monai_ceph.transforms.rand_film_affine import RandFilmAffine, RandFilmAffineD, RandFilmAffined, RandFilmAffineDict
from monai_ceph.transforms.rand_film_occlusion import (
    RandFilmOcclusion,
    RandFilmOcclusionD,
    RandFilmOcclusiond,
    RandFilmOcclusionDict,
)
from monai_ceph.transforms.rand_guide import RandGuide, RandGuideD, RandGuided, RandGuideDict
from monai_ceph.transforms.rand_landmark_patch import (
    RandLandmarkPatch,
    RandLandmarkPatchD,
    RandLandmarkPatchd,
    RandLandmarkPatchDict,
)
from monai_ceph.transforms.scale_film_intensity import (
    ScaleFilmIntensity,
    ScaleFilmIntensityD,
    ScaleFilmIntensityd,
    ScaleFilmIntensityDict,
)
from monai_ceph.transforms.square_film import SquareFilm, SquareFilmD, SquareFilmd, SquareFilmDict
from monai_ceph.transforms.whole_film import WholeFilm, WholeFilmD, WholeFilmd, WholeFilmDict

__all__ = [
    "HeatmapsToLandmarks",
    "HeatmapsToLandmarksD",
    "HeatmapsToLandmarksDict",
    "HeatmapsToLandmarksd",
    "LandmarksToHeatmaps",
    "LandmarksToHeatmapsD",
    "LandmarksToHeatmapsDict",
    "LandmarksToHeatmapsd",
    "LoadRadiograph",
    "LoadRadiographD",
    "LoadRadiographDict",
    "LoadRadiographd",
    "PoseFilm",
    "PoseFilmD",
    "PoseFilmDict",
    "PoseFilmd",
    "RandAnnotation",
    "RandAnnotationD",
    "RandAnnotationDict",
    "RandAnnotationd",
    "RandFilmAffine",
    "RandFilmAffineD",
    "RandFilmAffineDict",
    "RandFilmAffined",
    "RandFilmOcclusion",
    "RandFilmOcclusionD",
    "RandFilmOcclusionDict",
    "RandFilmOcclusiond",
    "RandGuide",
    "RandGuideD",
    "RandGuideDict",
    "RandGuided",
    "RandLandmarkPatch",
    "RandLandmarkPatchD",
    "RandLandmarkPatchDict",
    "RandLandmarkPatchd",
    "ScaleFilmIntensity",
    "ScaleFilmIntensityD",
    "ScaleFilmIntensityDict",
    "ScaleFilmIntensityd",
    "SquareFilm",
    "SquareFilmD",
    "SquareFilmDict",
    "SquareFilmd",
    "WholeFilm",
    "WholeFilmD",
    "WholeFilmDict",
    "WholeFilmd",
    "affine_of",
    "landmarks_to_grid",
    "landmarks_to_source",
    "resample",
]
