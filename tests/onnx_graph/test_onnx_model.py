"""The ONNX graph finds what the detector finds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import noise

pytest.importorskip("onnx", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("ndonnx", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("spox", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed (make optional)")

import onnx
import onnxruntime
from typer.testing import CliRunner

from monai_ceph import CephalogramDetector, __version__
from monai_ceph.cli import app
from monai_ceph.errors import CephError, RejectedError
from monai_ceph.folders import BUNDLES
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.onnx_graph.model import write_onnx
from monai_ceph.readers import Radiograph, read_radiograph
from monai_ceph.result import Detection

# pixels of the film; torch and onnxruntime sum in another order
TOLERANCE = 0.05

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def session(file: Path) -> Run:
    """Return a function that runs a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in opened.get_outputs()]
    return lambda film: dict(zip(names, opened.run(None, {"film": film.astype(np.float32)}), strict=True))


def detector(**overrides: Any) -> CephalogramDetector:
    return CephalogramDetector("cpu", overrides={"mixed_precision": False, **overrides})


def assert_same(found: dict[str, np.ndarray], expected: Detection) -> None:
    points = expected.points()
    assert np.array_equal(np.isnan(found["landmarks"]), np.isnan(points))
    assert np.nanmax(np.abs(found["landmarks"] - points)) < TOLERANCE
    np.testing.assert_allclose(found["scores"], [mark.score for mark in expected.landmarks], atol=1e-3)
    assert found["view"].tolist() == [expected.turned // 90, expected.mirrored, expected.inverted]
    assert ("radius_90" in found) == (expected.radius_source is not None)
    if expected.radius_source is None:
        return
    for name in ("radius_90", "radius_95"):
        assert_close(found[name], [getattr(mark, f"{name}_px") for mark in expected.landmarks], TOLERANCE)
    for axis, name in enumerate(("expected_x", "expected_y")):
        assert_close(found["expected"][:, axis], [getattr(mark, name) for mark in expected.landmarks], TOLERANCE)


def assert_close(found: np.ndarray, expected: list[float | None], tolerance: float) -> None:
    """Compare values, some of which are not there."""
    there = np.array([np.nan if value is None else value for value in expected])
    assert np.array_equal(np.isnan(found), np.isnan(there))
    np.testing.assert_allclose(found, there, rtol=1e-3, atol=tolerance)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    done = CliRunner().invoke(app, ["onnx", str(path)])
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def run(file: Path) -> Run:
    return session(file)


@pytest.fixture(scope="module")
def torch_detector() -> CephalogramDetector:
    return detector()


@pytest.fixture(scope="module")
def pixels(phantoms: Path) -> np.ndarray:
    return read_radiograph(phantoms / "001.png").pixels


def as_it_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def turned_mirrored_and_inverted(pixels: np.ndarray) -> np.ndarray:
    return np.rot90(pixels.max() - pixels)[:, ::-1].copy()


def with_a_shutter_and_a_marker(pixels: np.ndarray) -> np.ndarray:
    film = pixels * 8.0
    film[:, :90] = film[-60:] = 0
    film[20:60, 300:340] = 65535
    return film


def small_with_wide_pixels(pixels: np.ndarray) -> np.ndarray:
    return pixels[::3, ::2].copy()


@pytest.mark.parametrize(
    "change", [as_it_is, turned_mirrored_and_inverted, with_a_shutter_and_a_marker, small_with_wide_pixels]
)
def test_a_film_has_the_same_points(
    run: Run, torch_detector: CephalogramDetector, pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    film = change(pixels)
    assert_same(run(film), torch_detector(Radiograph(film.astype(np.float32), Path("film")), force=True))


def test_films_of_patients_have_the_same_points(run: Run, torch_detector: CephalogramDetector) -> None:
    root = os.environ.get("ISBI2015_DIR")
    if not root:
        pytest.skip("ISBI2015_DIR is not set")
    films = sorted(path for path in (Path(root) / "RawImage").rglob("*.*") if path.is_file())
    # ten of all, from the first to the last
    for number in np.linspace(0, len(films) - 1, 10).round().astype(int):
        film = read_radiograph(films[number])
        assert_same(run(film.pixels), torch_detector(film, force=True))


def test_a_film_is_accepted(run: Run, torch_detector: CephalogramDetector, pixels: np.ndarray) -> None:
    torch_detector(Radiograph(pixels, Path("film")))
    found = run(pixels)
    assert found["accepted"]
    assert found["evidence"] > 0.5


@pytest.mark.parametrize(
    "image",
    [noise(400, 500), np.zeros((300, 300)), np.full((200, 200), np.nan), noise(100, 400)],
    ids=["noise", "black", "NaN", "strip"],
)
def test_what_the_detector_rejects_is_not_accepted(
    run: Run, torch_detector: CephalogramDetector, image: np.ndarray
) -> None:
    with pytest.raises(RejectedError):
        torch_detector(Radiograph(image.astype(np.float32), Path("film")))
    assert not run(image)["accepted"]


def test_one_graph_describes_itself(file: Path, torch_detector: CephalogramDetector) -> None:
    model = onnx.load(file)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 21)]
    assert not model.functions
    assert [each.name for each in model.graph.output] == [
        *("landmarks", "scores", "accepted", "evidence", "view"),
        *("radius_90", "radius_95", "expected", "middle_mm_per_pixel"),
    ]
    # weights once, in single precision
    assert file.stat().st_size < 40_000_000
    said = {each.key: each.value for each in model.metadata_props}
    assert said["software"] == f"monai-ceph {__version__}"
    assert said["weights_sha256"] == torch_detector.identity.weights_sha256
    assert said["recipe_sha256"] == torch_detector.identity.recipe_sha256
    assert tuple(json.loads(said["landmarks"])) == SYMBOLS
    assert 0 == json.loads(said["missing_below"]) < json.loads(said["uncertain_below"]) < 1
    assert json.loads(said["uncertain_radius_mm"]) == 4.0
    assert "not a medical device" in said["notice"]


def test_the_program_of_the_documentation_needs_only_numpy_and_onnxruntime(
    file: Path, pixels: np.ndarray, run: Run, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "onnx.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shutil.copy(file, tmp_path / "model.onnx")
    np.save(tmp_path / "film.npy", pixels)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.modules['torch'] = sys.modules['monai'] = None\n{program}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == list(SYMBOLS)
    found = run(pixels)["landmarks"]
    np.testing.assert_allclose([[float(x), float(y)] for _, x, y, *_ in lines], found, atol=0.1)
    expected = CephalogramDetector("cpu", overrides={"mixed_precision": False})(Radiograph(pixels, Path("film")))
    assert [line[3] for line in lines] == [mark.status for mark in expected.landmarks]


def test_a_config_without_context_and_without_the_checks_of_the_guide(tmp_path: Path, pixels: np.ndarray) -> None:
    """Without the context network there is no error model, and so no radii."""
    values = {"context_weights": None, "edge_margin": 0.0, "max_guide_distance": None, "guide_sd": None}
    (tmp_path / "own.json").write_text(json.dumps(values))
    write_onnx(tmp_path / "own.onnx", [tmp_path / "own.json"])
    found = session(tmp_path / "own.onnx")(pixels)
    assert_same(found, detector(**values)(Radiograph(pixels, Path("film")), force=True))


class TestErrors:
    def test_an_existing_file_is_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "model.onnx"
        file.write_text("mine")
        done = CliRunner().invoke(app, ["onnx", str(file)])
        assert done.exit_code == 2
        assert "model.onnx: the file exists" in done.output
        assert file.read_text() == "mine"

    def test_another_ending(self, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, ["onnx", str(tmp_path / "model.pt")])
        assert (done.exit_code, "must end with .onnx" in done.output) == (2, True)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (json.loads((BUNDLES / "overlays" / "paper.json").read_text()), "frame_transforms must be empty"),
            ({"pose": None}, "needs a config with a pose"),
            ({"shared_pixels": False, "shifts": [0], "context_weights": None}, "shared_pixels must be true"),
            ({"guide_method": "argmax"}, "guide_method must be mean"),
            ({"patch_size": 0}, "patch_size must be a whole number of at least 1, got 0"),
            ({"patch_sizes": 90}, "did you mean patch_size"),
            ({"local_weights": "/nosuch.pt"}, "nosuch.pt"),
        ],
    )
    def test_a_config_that_the_graph_cannot_have(self, values: dict[str, Any], message: str, tmp_path: Path) -> None:
        (tmp_path / "own.json").write_text(json.dumps(values))
        with pytest.raises(CephError, match=message):
            write_onnx(tmp_path / "own.onnx", [tmp_path / "own.json"])
        assert [path.name for path in tmp_path.iterdir()] == ["own.json"]
