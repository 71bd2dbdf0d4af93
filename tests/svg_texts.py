"""The texts of an SVG that this package wrote, with the boxes that their letters fill."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"


def texts_of(svg: str, within: str = "") -> dict[str, np.ndarray]:
    """Return left, top, right, bottom of each text, in the unit of the SVG.

    Args:
        svg: the document.
        within: id of the group that is looked at, all of them without it.
    """
    root = ElementTree.fromstring(svg)
    groups = [group for group in root.iter(f"{SVG}g") if group.get("id") == within] if within else [root]
    found = {}
    for text in (each for group in groups for each in group.iter(f"{SVG}text")):
        x, y, size, width = (float(text.get(name, "nan")) for name in ("x", "y", "font-size", "textLength"))
        found[text.text or ""] = np.array([x, y - 0.78 * size, x + width, y + 0.24 * size])
    return found
