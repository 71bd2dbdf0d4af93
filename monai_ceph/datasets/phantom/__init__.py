"""Synthetic lateral cephalograms with exactly known landmarks, for tests and demonstrations.

The phantom is procedural: splines, polygons and noise. No pixel comes from a real film, and accuracy on
phantoms says nothing about patients.

Every landmark is tied to something that the film shows (a tip, a corner, an extreme of an outline, the
centre of a pit), so that a model can find it in the pixels and not only from the mean shape. Extremes
("lowest", "most anterior") refer to the head's own frame, whose x axis is the Frankfort plane from
Porion to Orbitale. Structures of both sides of the head appear twice; the landmarks belong to the
sharper, brighter copy.

`shape` places the landmarks and contours (from `skull`, `jaws`, `skin`, `airway` and `spine`). `head` and `ruler`
draw them on a `plate`, and `exposure` turns the plate into grey values. `drawing` combines these steps; `writer` and
`dicom` save the files.
"""

from __future__ import annotations

from monai_ceph.datasets.phantom.drawing import Phantom, draw_phantom
from monai_ceph.datasets.phantom.writer import phantom_names, write_phantoms

__all__ = ["Phantom", "draw_phantom", "phantom_names", "write_phantoms"]
