"""Styles of other machines: MONAI transforms that change how a cephalogram looks, one per file."""

from __future__ import annotations

from monai_ceph.transforms.styles.rand_chin_rest import (
    RandChinRest,
    RandChinRestD,
    RandChinRestd,
    RandChinRestDict,
)
from monai_ceph.transforms.styles.rand_collimator import (
    RandCollimator,
    RandCollimatorD,
    RandCollimatord,
    RandCollimatorDict,
)
from monai_ceph.transforms.styles.rand_dental_work import (
    RandDentalWork,
    RandDentalWorkD,
    RandDentalWorkd,
    RandDentalWorkDict,
)
from monai_ceph.transforms.styles.rand_detector import (
    RandDetector,
    RandDetectorD,
    RandDetectord,
    RandDetectorDict,
)
from monai_ceph.transforms.styles.rand_ear_rods import (
    RandEarRods,
    RandEarRodsD,
    RandEarRodsd,
    RandEarRodsDict,
)
from monai_ceph.transforms.styles.rand_edge_enhancement import (
    RandEdgeEnhancement,
    RandEdgeEnhancementD,
    RandEdgeEnhancementd,
    RandEdgeEnhancementDict,
)
from monai_ceph.transforms.styles.rand_faded_rods import (
    RandFadedRods,
    RandFadedRodsD,
    RandFadedRodsd,
    RandFadedRodsDict,
)
from monai_ceph.transforms.styles.rand_film_scan import (
    RandFilmScan,
    RandFilmScanD,
    RandFilmScand,
    RandFilmScanDict,
)
from monai_ceph.transforms.styles.rand_grid_lines import (
    RandGridLines,
    RandGridLinesD,
    RandGridLinesd,
    RandGridLinesDict,
)
from monai_ceph.transforms.styles.rand_head_holder import (
    RandHeadHolder,
    RandHeadHolderD,
    RandHeadHolderd,
    RandHeadHolderDict,
)
from monai_ceph.transforms.styles.rand_local_contrast import (
    RandLocalContrast,
    RandLocalContrastD,
    RandLocalContrastd,
    RandLocalContrastDict,
)
from monai_ceph.transforms.styles.rand_machine_style import (
    PART_STYLES,
    PROCESSING_STYLES,
    STYLES,
    RandMachineStyle,
    RandMachineStyleD,
    RandMachineStyled,
    RandMachineStyleDict,
)
from monai_ceph.transforms.styles.rand_nasion_rest import (
    RandNasionRest,
    RandNasionRestD,
    RandNasionRestd,
    RandNasionRestDict,
)
from monai_ceph.transforms.styles.rand_pixels import (
    RandPixels,
    RandPixelsD,
    RandPixelsd,
    RandPixelsDict,
)
from monai_ceph.transforms.styles.rand_quantum_noise import (
    RandQuantumNoise,
    RandQuantumNoiseD,
    RandQuantumNoised,
    RandQuantumNoiseDict,
)
from monai_ceph.transforms.styles.rand_ruler import (
    RandRuler,
    RandRulerD,
    RandRulerd,
    RandRulerDict,
)
from monai_ceph.transforms.styles.rand_scatter import (
    RandScatter,
    RandScatterD,
    RandScatterd,
    RandScatterDict,
)
from monai_ceph.transforms.styles.rand_scratches import (
    RandScratches,
    RandScratchesD,
    RandScratchesd,
    RandScratchesDict,
)
from monai_ceph.transforms.styles.rand_tracing import (
    RandTracing,
    RandTracingD,
    RandTracingd,
    RandTracingDict,
)
from monai_ceph.transforms.styles.rand_wedge import (
    RandWedge,
    RandWedgeD,
    RandWedged,
    RandWedgeDict,
)
from monai_ceph.transforms.styles.rand_writing import (
    RandWriting,
    RandWritingD,
    RandWritingd,
    RandWritingDict,
)
from monai_ceph.transforms.styles.style import RandStyle, RandStyled

__all__ = [
    "PART_STYLES",
    "PROCESSING_STYLES",
    "STYLES",
    "RandChinRest",
    "RandChinRestD",
    "RandChinRestDict",
    "RandChinRestd",
    "RandCollimator",
    "RandCollimatorD",
    "RandCollimatorDict",
    "RandCollimatord",
    "RandDentalWork",
    "RandDentalWorkD",
    "RandDentalWorkDict",
    "RandDentalWorkd",
    "RandDetector",
    "RandDetectorD",
    "RandDetectorDict",
    "RandDetectord",
    "RandEarRods",
    "RandEarRodsD",
    "RandEarRodsDict",
    "RandEarRodsd",
    "RandEdgeEnhancement",
    "RandEdgeEnhancementD",
    "RandEdgeEnhancementDict",
    "RandEdgeEnhancementd",
    "RandFadedRods",
    "RandFadedRodsD",
    "RandFadedRodsDict",
    "RandFadedRodsd",
    "RandFilmScan",
    "RandFilmScanD",
    "RandFilmScanDict",
    "RandFilmScand",
    "RandGridLines",
    "RandGridLinesD",
    "RandGridLinesDict",
    "RandGridLinesd",
    "RandHeadHolder",
    "RandHeadHolderD",
    "RandHeadHolderDict",
    "RandHeadHolderd",
    "RandLocalContrast",
    "RandLocalContrastD",
    "RandLocalContrastDict",
    "RandLocalContrastd",
    "RandMachineStyle",
    "RandMachineStyleD",
    "RandMachineStyleDict",
    "RandMachineStyled",
    "RandNasionRest",
    "RandNasionRestD",
    "RandNasionRestDict",
    "RandNasionRestd",
    "RandPixels",
    "RandPixelsD",
    "RandPixelsDict",
    "RandPixelsd",
    "RandQuantumNoise",
    "RandQuantumNoiseD",
    "RandQuantumNoiseDict",
    "RandQuantumNoised",
    "RandRuler",
    "RandRulerD",
    "RandRulerDict",
    "RandRulerd",
    "RandScatter",
    "RandScatterD",
    "RandScatterDict",
    "RandScatterd",
    "RandScratches",
    "RandScratchesD",
    "RandScratchesDict",
    "RandScratchesd",
    "RandStyle",
    "RandStyled",
    "RandTracing",
    "RandTracingD",
    "RandTracingDict",
    "RandTracingd",
    "RandWedge",
    "RandWedgeD",
    "RandWedgeDict",
    "RandWedged",
    "RandWriting",
    "RandWritingD",
    "RandWritingDict",
    "RandWritingd",
]
