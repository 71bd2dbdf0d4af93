"""The classical method: forests vote for each landmark, coarse to fine, and a shape model holds the votes together.

Random-forest regression voting as Lindner et al. 2015 describe it (doi:10.1109/TMI.2014.2382570), rewritten with
scikit-learn: extremely randomised trees tell the step from a patch to the landmark, the steps of many patches vote,
and a statistical shape model says where each landmark may be. A comparison for benchmarks/peers.py, not a product.
"""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import torch
from peer import Peer, grey_film
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.ensemble import ExtraTreesRegressor

from monai_ceph.datasets import Film
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.storage.atomic import written_beside
from monai_ceph.transforms.geometry import apply, fit_similarity

# mm per pixel of each stage, and how far from the landmark its patches lie, in mm
STAGES = ((1.6, 60.0), (0.8, 18.0), (0.4, 6.0))
# levels of a patch: each sees twice as far as the one before
LEVELS = (1, 2, 4)
HALF = 6
PATCHES = {1.6: 240, 0.8: 160, 0.4: 160}
TREES, LEAF, FEATURES = 60, 4, 0.15
VARIANCE = 0.98
# the standard deviation of a landmark around the place that the shape tells, beside that of the model
LOOSE_MM = {1.6: 6.0, 0.8: 3.0, 0.4: 1.5}


class Shapes:
    """A statistical shape model: the landmarks' mean and main modes after a similarity map (Cootes et al. 1995)."""

    def __init__(self, landmarks: np.ndarray) -> None:
        mean = landmarks[0] - landmarks[0].mean(axis=0)
        for _ in range(5):
            aligned = np.array([self._onto(each, mean) for each in landmarks])
            mean = aligned.mean(axis=0)
        self.mean = mean
        _, spread, modes = np.linalg.svd((aligned - mean).reshape(len(aligned), -1), full_matrices=False)
        variance = spread**2 / (len(aligned) - 1)
        count = int(np.searchsorted(np.cumsum(variance) / variance.sum(), VARIANCE)) + 1
        self.modes, self.limits = modes[:count], 3 * np.sqrt(variance[:count])

    @staticmethod
    def _onto(points: np.ndarray, target: np.ndarray) -> np.ndarray:
        matrix = fit_similarity(torch.from_numpy(points), torch.from_numpy(target))
        moved: np.ndarray = apply(matrix, torch.from_numpy(points)).numpy()
        return moved

    def nearest(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the likely shape that is nearest to these (19, 2) points."""
        matrix = fit_similarity(
            torch.from_numpy(self.mean), torch.from_numpy(points), weights=torch.from_numpy(weights)
        )
        shifts = apply(torch.linalg.inv(matrix), torch.from_numpy(points)).numpy() - self.mean
        pull = np.repeat(weights / weights.max(), 2)
        # weighted least squares: a landmark without votes does not bend the shape
        modes = self.modes.T * pull[:, None]
        amounts = np.linalg.lstsq(
            np.vstack((modes, 0.05 * np.eye(len(self.limits)))),
            np.concatenate((shifts.ravel() * pull, np.zeros(len(self.limits)))),
            rcond=None,
        )[0]
        shape = self.mean + (np.clip(amounts, -self.limits, self.limits) @ self.modes).reshape(-1, 2)
        told: np.ndarray = apply(matrix, torch.from_numpy(shape)).numpy()
        return told


def pyramid(film: np.ndarray, spacing: float, size: float) -> list[np.ndarray]:
    """Return the film at ``size`` mm per pixel, and blurred for each level."""
    ratio = size / spacing
    rows, columns = (int(side / ratio) for side in film.shape)
    places = np.meshgrid((np.arange(rows) + 0.5) * ratio - 0.5, (np.arange(columns) + 0.5) * ratio - 0.5, indexing="ij")
    # half a pixel of the result is what it can hold
    small = map_coordinates(gaussian_filter(film, 0.5 * ratio), places, order=1, mode="nearest")
    return [gaussian_filter(small, 0.5 * level) if level > 1 else small for level in LEVELS]


def patches(levels: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Return the features of patches around (N, 2) places: grey values of each level, without their mean."""
    steps = np.stack(np.meshgrid(*[np.arange(-HALF, HALF + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    columns = []
    for level, image in zip(LEVELS, levels, strict=True):
        at = np.rint(places[:, None] + steps * level).astype(int)
        values = image[np.clip(at[..., 0], 0, image.shape[0] - 1), np.clip(at[..., 1], 0, image.shape[1] - 1)]
        values = values - values.mean(axis=1, keepdims=True)
        columns.append(values / (values.std(axis=1, keepdims=True) + 0.02))
    return np.concatenate(columns, axis=1).astype(np.float32)


class Forest(Peer):
    """Forests of three stages, and the shapes."""

    label = "random forests and a shape model"

    def __init__(self) -> None:
        self.forests: dict[float, list[ExtraTreesRegressor]] = {}
        self.shapes: Shapes | None = None

    def train(self, films: list[Film], folder: Path, minutes: float) -> float:
        """Train the stages that are not there yet, and return the minutes of processor time."""
        file, start = folder / "forests.pickle", time.process_time()
        self.shapes = Shapes(np.array([film.landmarks * film.pixel_spacing for film in films]))
        grey = [grey_film(film) for film in films]
        rng = np.random.default_rng(0)
        for size, reach in STAGES:
            several = size == STAGES[0][0]
            inputs: list[list[np.ndarray]] = [[] for _ in range(1 if several else len(SYMBOLS))]
            steps: list[list[np.ndarray]] = [[] for _ in inputs]
            for film, pixels in zip(films, grey, strict=True):
                levels = pyramid(pixels, film.pixel_spacing, size)
                marks = (film.landmarks + 0.5) * film.pixel_spacing / size - 0.5
                for index in range(len(inputs)):
                    if several:
                        places = rng.uniform((0, 0), levels[0].shape, (PATCHES[size], 2))
                        told = (marks[None] - places[:, None]).reshape(len(places), -1)
                    else:
                        places = marks[index] + rng.uniform(-1, 1, (PATCHES[size], 2)) * reach / size
                        told = marks[index] - places
                    inputs[index].append(patches(levels, places))
                    steps[index].append(told)
            self.forests[size] = []
            for x, y in zip(inputs, steps, strict=True):
                forest = ExtraTreesRegressor(
                    TREES, min_samples_leaf=LEAF, max_features=FEATURES, n_jobs=1, random_state=0
                )
                self.forests[size].append(forest.fit(np.concatenate(x), np.concatenate(y)))
            spent = (time.process_time() - start) / 60
            print(f"stage of {size} mm: {spent:.0f} min", flush=True)
            if spent > minutes:
                raise RuntimeError(f"the forests need more than {minutes:g} minutes")
        with written_beside(file) as part:
            part.write_bytes(pickle.dumps((self.forests, self.shapes)))
        return (time.process_time() - start) / 60

    def load(self, folder: Path) -> None:
        """Read what :meth:`train` wrote."""
        self.forests, self.shapes = pickle.loads((folder / "forests.pickle").read_bytes())

    def parameters(self) -> int:
        """Return the number of nodes of all trees."""
        return sum(tree.tree_.node_count for each in self.forests.values() for forest in each for tree in forest)

    def detect(self, film: np.ndarray, spacing: float) -> np.ndarray:
        """Return (19, 2) landmarks, (row, column) in pixels of the film."""
        assert self.shapes is not None
        # in mm from the film's corner
        found = np.full((len(SYMBOLS), 2), np.nan)
        for size, reach in STAGES:
            levels, forests = pyramid(film, spacing, size), self.forests[size]
            loose, shape = LOOSE_MM[size] / size, levels[0].shape
            votes, told = [], found / size - 0.5
            if len(forests) == 1:
                grid = np.stack(np.meshgrid(*(np.arange(0, side, 3) for side in shape), indexing="ij"), -1)
                places = grid.reshape(-1, 2).astype(float)
                steps = forests[0].predict(patches(levels, places)).reshape(len(places), -1, 2)
                votes = [(places + steps[:, index], steps[:, index]) for index in range(len(SYMBOLS))]
            else:
                around = np.arange(-reach / 2, reach / 2 + 1e-6, 2 * size) / size
                grid = np.stack(np.meshgrid(around, around, indexing="ij"), -1).reshape(-1, 2)
                for index, forest in enumerate(forests):
                    steps = forest.predict(patches(levels, told[index] + grid))
                    votes.append((told[index] + grid + steps, steps))
            peaks, heights = [], []
            for index, (ends, steps) in enumerate(votes):
                # a patch near the landmark knows better where it is
                weights = np.exp(-0.5 * ((steps * size / (reach / 3)) ** 2).sum(axis=1))
                heat = np.zeros(shape)
                cells = np.rint(ends).astype(int)
                inside = ((cells >= 0) & (cells < shape)).all(axis=1)
                np.add.at(heat, tuple(cells[inside].T), weights[inside])
                heat = gaussian_filter(heat, 1.5)
                if np.isfinite(told[index]).all():
                    rows, columns = np.ogrid[: shape[0], : shape[1]]
                    squared = (rows - told[index][0]) ** 2 + (columns - told[index][1]) ** 2
                    heat *= np.exp(-0.5 * squared / loose**2)
                peaks.append(_centre(heat))
                heights.append(heat.max() / (weights.sum() + 1e-9) + 1e-3)
            points = (np.array(peaks) + 0.5) * size
            if size != STAGES[-1][0]:
                points = self.shapes.nearest(points, np.array(heights))
            found = points
        return found / spacing - 0.5


def _centre(heat: np.ndarray, reach: int = 2) -> np.ndarray:
    """Return the centre of what lies around the maximum."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    rows, columns = (np.arange(max(at - reach, 0), at + reach + 1) for at in (int(row), int(column)))
    area = heat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    total = area.sum()
    if total <= 0:
        return np.array((row, column), float)
    near = np.array(((area.sum(1) @ rows[: area.shape[0]]), (area.sum(0) @ columns[: area.shape[1]])))
    return near / total
