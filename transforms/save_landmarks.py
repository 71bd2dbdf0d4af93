"""The last step of an inference bundle: a table per film."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_ceph.reports.tables import save_landmarks

__all__ = ["SaveLandmarksd"]


class SaveLandmarksd(MapTransform):
    """Write the landmarks of a film as ``<file name>.landmarks.csv``: file, landmark, symbol, x, y.

    Films of the same name in different folders get a number: ``<file name>.2.landmarks.csv``.

    Args:
        keys: landmarks, (19, 2), (row, column) in pixels of the source image.
        file_key: the film's file, for the table and for its name.
        output_dir: folder of the tables; made if it is not there.
    """

    def __init__(self, keys: KeysCollection, file_key: str, output_dir: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.file_key, self.output_dir = file_key, Path(output_dir)
        self._tables: dict[str, str] = {}

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Write the table and pass the data on."""
        file = str(data[self.file_key])
        for key in self.key_iterator(dict(data)):
            points = torch.as_tensor(data[key]).cpu().numpy()
            save_landmarks(self.output_dir / self._table(file), file, points)
        return dict(data)

    def _table(self, file: str) -> str:
        if file not in self._tables:
            taken = {name.lower() for name in self._tables.values()}
            stem, count = Path(file).name, 1
            while (name := f"{stem}.landmarks.csv" if count == 1 else f"{stem}.{count}.landmarks.csv").lower() in taken:
                count += 1
            self._tables[file] = name
        return self._tables[file]
