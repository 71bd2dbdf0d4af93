"""One ONNX file of the whole method: what ``monai-ceph onnx`` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ndonnx as ndx
import numpy as np
import onnx
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from spox._future import ValuePropBackend, value_prop_backend

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.inference_config import inference_config, model_identity, root_cause, used_weights
from monai_ceph.inferers import AttentionGuidedInferer, SharedWindowsInferer
from monai_ceph.inferers.plausibility import MAX_ASPECT, MIN_SIDE
from monai_ceph.inferers.pose import VIEWS, PoseFinder
from monai_ceph.networks import PaddedNetwork, fold
from monai_ceph.onnx_graph.certainty import GraphCertainty, certainty
from monai_ceph.onnx_graph.decoding import maxima, mean_points
from monai_ceph.onnx_graph.geometry import Array, affine, apply, constant, fit_similarity, inverse, resize, sample
from monai_ceph.onnx_graph.intensity import depth
from monai_ceph.onnx_graph.networks import GraphNetwork
from monai_ceph.onnx_graph.pose import GraphPose, find_pose, fit, shape_distance
from monai_ceph.onnx_graph.windows import explore
from monai_ceph.storage.atomic import written_beside
from monai_ceph.transforms import HeatmapsToLandmarks
from monai_ceph.transforms.geometry import affine_of

__all__ = ["write_onnx"]

_NOTICE = "Research use, not a medical device; a trained person reviews every result."


@dataclass(frozen=True)
class _Recipe:
    """What the graph needs of a config."""

    inferer: AttentionGuidedInferer
    local: SharedWindowsInferer
    pose: PoseFinder
    decoder: HeatmapsToLandmarks
    networks: dict[str, PaddedNetwork]
    rejection: dict[str, float]


def write_onnx(out: Path, overlays: Sequence[Path] = ()) -> None:
    """Write the model of ``inference.json`` as one ONNX graph: a film goes in, landmarks come out.

    The graph computes in single precision what :class:`monai_ceph.CephalogramDetector` computes with
    ``mixed_precision`` off. docs/how-to/onnx.md describes its input and outputs.

    Args:
        out: the file, which must not exist.
        overlays: configs that change keys of ``inference.json``, such as other weights.

    Raises:
        CephError: if a config or weights cannot be read, the graph has no operators for the config, a network cannot be
            exported, or the file exists.
        OSError: if the file cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise CephError(f"{out}: the file exists. Remove it, or give another name")
    plain = {"mixed_precision": False, "runtime": "torch", "device": "$torch.device('cpu')"}
    config = inference_config(overlays, plain)
    try:
        recipe = _recipe(config)
        properties = _properties(config)
    except RuntimeError as error:
        # MONAI says which part of the config failed; its cause says why
        raise CephError(f"the config does not work: {root_cause(error)}") from error
    film = ndx.argument(shape=("rows", "columns"), dtype=ndx.float32)
    # onnxruntime, ndonnx's own choice, would start a session for every constant
    with value_prop_backend(ValuePropBackend.REFERENCE):
        model = ndx.build({"film": film}, _outputs(film, recipe))
    # the schema with which ndonnx reads its own arrays
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    model.producer_name, model.producer_version = properties["software"].split()
    model.doc_string = f"Landmarks of a lateral cephalogram. {_NOTICE}"
    onnx.checker.check_model(model)
    with written_beside(out) as part:
        part.write_bytes(model.SerializeToString())


def _recipe(config: ConfigParser) -> _Recipe:
    """Return the parts of a config, with weights in the networks, or say which part the graph does not have."""
    for stage, file in used_weights(config).items():
        weights.load(config.get_parsed_content(f"{stage}_network_def"), file)
    if config["frame_transforms"]:
        raise CephError("frame_transforms must be empty for ONNX: the graph takes the film as it is read")
    # an inferer with an error model cannot be built without it
    has_pose = config["pose"] is not None
    inferer = config.get_parsed_content("inferer") if has_pose else None
    decoder = config.get_parsed_content("decoder")
    if not isinstance(inferer, AttentionGuidedInferer) or inferer.pose is None:
        raise CephError("ONNX needs a config with a pose, as bundles/inference.json has one")
    if not isinstance(inferer.local, SharedWindowsInferer):
        raise CephError("shared_pixels must be true for ONNX")
    if {decoder.method, inferer.to_landmarks.method} != {"mean"}:
        raise CephError("guide_method must be mean for ONNX")
    networks = {"global": inferer.global_network, "local": config.get_parsed_content("network")}
    if inferer.context_network is not None:
        networks["context"] = inferer.context_network
    for stage, network in networks.items():
        if not isinstance(network, PaddedNetwork):
            raise CephError(f"the {stage} network must be one of monai_ceph.networks for ONNX, got {type(network)}")
        fold(network)
    rejection = config.get_parsed_content("rejection")
    return _Recipe(inferer, inferer.local, inferer.pose, decoder, networks, rejection)


def _properties(config: ConfigParser) -> dict[str, str]:
    """Return what the file says about itself."""
    identity = model_identity(config)
    keys = ["landmarks", "uncertain_below", "missing_below"]
    if config.get_parsed_content("error_model"):
        keys.append("uncertain_radius_mm")
    values = {key: config.get_parsed_content(key) for key in keys}
    return {
        "software": identity.software,
        "model": f"{identity.name} {identity.version}",
        "weights_sha256": identity.weights_sha256,
        "recipe_sha256": identity.recipe_sha256,
        **{key: json.dumps(value) for key, value in values.items()},
        "notice": _NOTICE,
    }


def _outputs(film: Array, recipe: _Recipe) -> dict[str, Array]:
    """Return the outputs of the graph by name. Whatever else a stage says about a landmark belongs here."""
    networks = {stage: GraphNetwork(network, stage) for stage, network in recipe.networks.items()}
    pose = find_pose(film, recipe.pose, networks["global"])
    guide = _guide(pose, recipe.inferer, recipe.pose)
    heatmaps, starts = _local_stage(pose, guide, recipe, networks)
    points, scores = mean_points(heatmaps, recipe.decoder)
    points = points + starts.astype(ndx.float64)
    scores = ndx.where(ndx.isnan(scores), constant(0, np.float32), scores)
    lengths: dict[str, Array] = {}
    if (model := recipe.inferer.error_model) is not None:
        radius = recipe.pose.frame.radius
        seen = certainty(heatmaps, starts, points, guide, pose.peaks, model, radius)
        points = ndx.where(seen.hidden[:, None], constant(np.nan), points)
        scores = ndx.where(seen.hidden, constant(0, np.float32), scores)
        lengths = _lengths(seen, points, pose, model.head_radius_mm / radius)
    view = constant([[each.turned, each.mirrored, each.inverted] for each in VIEWS], np.int64)
    return {
        "landmarks": _on_film(pose, points),
        "scores": scores,
        "accepted": _accepted(film, pose, points, scores, recipe),
        "evidence": pose.evidence.astype(ndx.float32),
        "view": view[pose.view, ...],
        **lengths,
    }


def _on_film(pose: GraphPose, points: Array) -> Array:
    """Return (x, y) in pixels of the film."""
    return ndx.flip(apply(pose.to_film, points), axis=1).astype(ndx.float32)


def _lengths(seen: GraphCertainty, points: Array, pose: GraphPose, middle_mm_per_pixel: float) -> dict[str, Array]:
    """Return the outputs of an error model, in pixels of the film: radii of what was found, places of what was not."""
    missing, step = ndx.any(ndx.isnan(points), axis=1), _pixel_size(pose.to_film)
    radii = ndx.where(missing[:, None], constant(np.nan), seen.radii * step).astype(ndx.float32)
    return {
        "radius_90": radii[:, 0],
        "radius_95": radii[:, 1],
        "expected": _on_film(pose, ndx.where(missing[:, None], seen.expected, constant(np.nan))),
        "middle_mm_per_pixel": (middle_mm_per_pixel / step).astype(ndx.float32),
    }


def _pixel_size(matrix: Array) -> Array:
    """Return the side of a pixel of the grid that a 3x3 matrix maps from."""
    return ndx.sqrt(ndx.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def _local_stage(
    pose: GraphPose, guide: Array, recipe: _Recipe, networks: dict[str, GraphNetwork]
) -> tuple[Array, Array]:
    """Return the heatmaps (N, side, side) of the local stage and the context, and the windows' first pixels (N, 2)."""
    inferer, size, side = recipe.inferer, recipe.pose.frame.size, recipe.local.side
    heatmaps, starts = explore(pose.film, size, guide, networks["local"], recipe.local, None)
    if "context" in networks:
        assert inferer.to_context_grid is not None
        assert inferer.context is not None
        small_size = inferer.to_context_grid.size
        small = resize(pose.film, small_size, small_size)
        to_small = inverse(constant(_square_map(inferer, size)))
        seen, first = explore(
            small, small_size, apply(to_small, guide), networks["context"], inferer.context, small_size / size
        )
        shifts = apply(to_small, starts.astype(ndx.float64)) - first.astype(ndx.float64)
        maps = [affine(to_small[:2, :2], shifts[number, :]) for number in range(len(recipe.pose.frame.model))]
        heatmaps = ndx.sqrt(heatmaps * sample(seen, ndx.stack(maps), (side, side)))
    if inferer.edge_margin:
        places = apply(pose.to_film, maxima(heatmaps) + starts.astype(ndx.float64))
        inside = depth(pose.field, places) / _pixel_size(pose.to_film)
        outside = inside < inferer.edge_margin * recipe.pose.frame.radius
        heatmaps = ndx.where(outside[:, None, None], constant(0, np.float32), heatmaps)
    return heatmaps, starts


def _square_map(inferer: AttentionGuidedInferer, size: int) -> np.ndarray:
    """Return the map from the context network's grid to the local stage's."""
    assert inferer.to_context_grid is not None
    film = MetaTensor(torch.zeros(1, size, size), affine=torch.eye(3, dtype=torch.float64))
    return affine_of(inferer.to_context_grid(film)).numpy()


def _guide(pose: GraphPose, inferer: AttentionGuidedInferer, finder: PoseFinder) -> Array:
    """Return the (N, 2) landmarks of the pose; those too far from the mean shape are replaced by its points."""
    if inferer.max_guide_distance is None:
        return pose.landmarks
    _, matrix, valid = fit(finder.frame, pose.landmarks, pose.peaks)
    outlier = valid & (shape_distance(finder.frame, pose.landmarks, matrix) > inferer.max_guide_distance)
    return ndx.where(outlier[:, None], apply(matrix, constant(finder.frame.model)), pose.landmarks)


def _accepted(film: Array, pose: GraphPose, points: Array, scores: Array, recipe: _Recipe) -> Array:
    """Return whether the image looks like a lateral cephalogram; see :mod:`monai_ceph.inferers.plausibility`."""
    limits, model = recipe.rejection, constant(recipe.pose.frame.model)
    short, long = ndx.min(film.dynamic_shape), ndx.max(film.dynamic_shape)
    known = ~ndx.any(ndx.isnan(points), axis=1)
    count = ndx.sum(known.astype(ndx.float64))
    mean = ndx.sum(ndx.where(known, scores.astype(ndx.float64), constant(0))) / ndx.maximum(count, constant(1))
    matrix, determined = fit_similarity(model, points, ndx.ones_like(scores).astype(ndx.float64))
    mapped = apply(matrix, model)
    squares = [
        _mean_where(known, ndx.sum(offset**2, axis=1), count)
        for offset in (points - mapped, mapped - _mean_where(known[:, None], mapped, count))
    ]
    residual = ndx.sqrt(squares[0] / squares[1])
    return (
        (short >= MIN_SIDE)
        & (long <= MAX_ASPECT * short)
        & (pose.evidence >= limits["min_evidence"])
        & (mean >= limits["min_mean_score"])
        & determined
        & (count >= 3)
        & (residual <= limits["max_shape_residual"])
    )


def _mean_where(known: Array, values: Array, count: Array) -> Array:
    return ndx.sum(ndx.where(known, values, constant(0)), axis=0) / count
