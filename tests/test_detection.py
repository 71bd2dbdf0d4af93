from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from samples import HEIGHT, WIDTH, noise, row_column, save_grey

import monai_ceph
from monai_ceph import CephalogramDetector, weights
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.folders import BUNDLES
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS
from monai_ceph.networks import bfloat16_is_native
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.dicom_uids import instance_uid
from monai_ceph.timing import Clock

Detect = Callable[[Path], monai_ceph.Detection]
CONTRADICTS = "PatientOrientation {} contradicts the film, so the direction seen on the film was used."


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one - other, axis=1)


def fields(detection: monai_ceph.Detection) -> dict:
    """Everything but the file and the times."""
    return detection.model_dump(exclude={"file", "created", "seconds"})


@pytest.mark.parametrize(("device", "waits"), [("cuda:1", [torch.device("cuda:1")]), ("cpu", [])])
def test_a_part_ends_when_the_gpu_has_done_it(
    device: str, waits: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    clock = Clock(device)
    with clock.part("stage_2"):
        assert not waited
    assert waited == waits


class TestWithTrainedWeights:
    """These tests need fully trained weights."""

    def test_landmarks_of_a_phantom_are_found(
        self, detect: Detect, film: Path, truth: np.ndarray, spacing: float
    ) -> None:
        errors = distances(row_column(detect(film)), truth) * spacing
        assert np.mean(errors) < 2.0
        assert np.median(errors) < 1.5

    def test_a_phantom_is_not_rejected(self, detect: Detect, film: Path, dicom: Path) -> None:
        for path in (film, dicom):
            assert not detect(path).warnings
            assert [mark.status for mark in detect(path).landmarks].count("ok") >= 15

    def test_the_global_stage_alone_is_roughly_right(
        self, detector: CephalogramDetector, film: Path, truth: np.ndarray, spacing: float
    ) -> None:
        errors = distances(row_column(detector(film, stage="global")), truth) * spacing
        assert np.mean(errors) < 4.0

    def test_films_with_eight_bits_work(self, detect: Detect, film: Path, dicom: Path) -> None:
        moved = distances(detect(film).points(), detect(dicom).points())
        assert np.median(moved) < 0.5
        assert np.percentile(moved, 90) < 2

    def test_twice_as_large(self, detect: Detect, film: Path, tmp_path: Path) -> None:
        # coordinates are those of the source image, so they follow its pixels
        with Image.open(film) as opened:
            large = opened.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)
        large.save(tmp_path / "large.png")
        found = detect(tmp_path / "large.png")
        assert (found.rows, found.columns) == (2 * HEIGHT, 2 * WIDTH)
        expected = (detect(film).points() + 0.5) * 2 - 0.5
        moved = distances(found.points(), expected)
        assert np.median(moved) < 2
        assert np.percentile(moved, 90) < 8

    @pytest.mark.parametrize("kind", ["noise", "ramp"])
    def test_an_image_without_a_head_is_rejected(
        self, detector: CephalogramDetector, tmp_path: Path, kind: str
    ) -> None:
        images = {"noise": noise(HEIGHT, WIDTH), "ramp": np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1))}
        path = save_grey(tmp_path / f"{kind}.png", images[kind])
        with pytest.raises(RejectedError) as caught:
            detector(path)
        assert str(caught.value).startswith(f"{path}: not a lateral cephalogram: ")


class TestFilmsFromElsewhere:
    """Rotated, mirrored, inverted, cropped or framed films give the same landmarks, in their own pixels."""

    @pytest.mark.parametrize(
        ("quarters", "mirrored", "inverted"),
        [(0, True, False), (0, False, True), (1, False, False), (2, False, False), (3, True, True)],
    )
    def test_any_direction(
        self, detector: CephalogramDetector, detect: Detect, film: Path, quarters: int, mirrored: bool, inverted: bool
    ) -> None:
        upright, image = row_column(detect(film)), read_radiograph(film)
        # the head is first mirrored and then turned clockwise, so that the counterclockwise turn undoes it
        pixels = image.pixels[:, ::-1] if mirrored else image.pixels
        pixels = np.rot90(pixels, -quarters)
        pixels = 255 - pixels if inverted else pixels
        found = detector(replace(image, pixels=np.ascontiguousarray(pixels)))
        assert (found.turned, found.mirrored, found.inverted) == (90 * quarters, mirrored, inverted)
        assert len(found.warnings) == (quarters > 0) + mirrored + inverted
        rows, columns = image.pixels.shape
        row, column = upright[:, 0], columns - 1 - upright[:, 1] if mirrored else upright[:, 1]
        for _ in range(quarters):
            row, column, rows, columns = column, rows - 1 - row, columns, rows
        moved = distances(row_column(found), np.stack((row, column), axis=1))
        assert np.median(moved) < 0.5
        assert np.percentile(moved, 90) < 3

    @pytest.mark.parametrize(
        ("orientation", "mirrored", "warnings"),
        [
            (("A", "F"), True, ("The head faces left.", CONTRADICTS.format("A\\F"))),
            (("P", "F"), True, ("The head faces left.",)),
            (("P", "F"), False, (CONTRADICTS.format("P\\F"),)),
            (("L", "F"), False, ("PatientOrientation L\\F does not describe a lateral film of the head.",)),
        ],
    )
    def test_patient_orientation_is_compared_with_the_film(
        self,
        detector: CephalogramDetector,
        dicom: Path,
        orientation: tuple[str, str],
        mirrored: bool,
        warnings: tuple[str, ...],
    ) -> None:
        film = read_radiograph(dicom)
        pixels = np.ascontiguousarray(film.pixels[:, ::-1]) if mirrored else film.pixels
        found = detector(replace(film, pixels=pixels, patient_orientation=orientation), stage="global")
        assert (found.mirrored, found.warnings) == (mirrored, warnings)

    @pytest.mark.parametrize("value", [0, 255])
    def test_a_wide_border(self, detector: CephalogramDetector, detect: Detect, film: Path, value: float) -> None:
        image = read_radiograph(film)
        wide = np.pad(image.pixels, ((150, 200), (240, 60)), constant_values=value)
        moved = distances(detector(replace(image, pixels=wide)).points() - (240, 150), detect(film).points())
        assert np.median(moved) < 2
        assert np.percentile(moved, 90) < 8

    def test_sixteen_bits_that_begin_at_3000(self, detector: CephalogramDetector, detect: Detect, film: Path) -> None:
        image = read_radiograph(film)
        moved = distances(detector(replace(image, pixels=3000 + 200 * image.pixels)).points(), detect(film).points())
        assert moved.max() < 0.5

    @pytest.mark.parametrize(
        ("name", "statuses"),
        [
            *((name, {"missing"}) for name in ("Sella", "Gonion", "Upper lip")),
            # the border of the mandible ends at what covers it: there the network finds Menton, far from the chin
            ("Menton", {"missing", "uncertain"}),
        ],
    )
    def test_covered_landmarks_are_not_sure(
        self,
        detector: CephalogramDetector,
        film: Path,
        truth: np.ndarray,
        spacing: float,
        name: str,
        statuses: set[str],
    ) -> None:
        index, image = NAMES.index(name), read_radiograph(film)
        pixels, radius = image.pixels.copy(), round(15 / spacing)
        row, column = np.rint(truth[index]).astype(int)
        pixels[row - radius : row + radius, column - radius : column + radius] = 60
        found = detector(replace(image, pixels=pixels))
        assert found.landmarks[index].status in statuses
        assert (found.landmarks[index].x is None) == (found.landmarks[index].status == "missing")
        assert sum(mark.status == "missing" for mark in found.landmarks) < 8


class TestAnatomyInAPartOfTheRange:
    """3 % of the film, or the air, is at the highest value, far from the anatomy."""

    CLIPPED = "% of the pixels have grey values far from all others and were clipped"

    @pytest.mark.parametrize(
        ("form", "bits", "divisor", "monochrome1"),
        [
            ("window", 12, 3, False),
            ("no window", 12, 10, False),
            ("png", 12, 10, False),
            ("window", 14, 20, False),
            ("window", 14, 5, True),
            ("no window", 14, 20, True),
        ],
    )
    def test_landmarks_are_those_of_the_whole_range(
        self,
        detector: CephalogramDetector,
        detect: Detect,
        dicom: Path,
        tmp_path: Path,
        form: str,
        bits: int,
        divisor: int,
        monochrome1: bool,
    ) -> None:
        dataset = pydicom.dcmread(dicom)
        plain = dataset.pixel_array / 4095
        anatomy = (1 - plain if monochrome1 else plain) / divisor
        marked = np.rint((2**bits - 1) * anatomy).astype(np.uint16)
        if monochrome1:
            marked[plain < 0.1] = 2**bits - 1
        else:
            # the corner behind the neck
            marked[-round(0.25 * HEIGHT) :, : round(0.12 * WIDTH)] = 2**bits - 1
        path = tmp_path / ("film.png" if form == "png" else "film.dcm")
        if form == "png":
            Image.fromarray(marked).save(path)
        else:
            dataset.BitsStored, dataset.HighBit = bits, bits - 1
            dataset.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
            dataset.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
            dataset.WindowCenter, dataset.WindowWidth = 2**bits / divisor / 2, 2**bits / divisor
            if form == "no window":
                del dataset.WindowCenter, dataset.WindowWidth
            dataset.PixelData = marked.tobytes()
            dataset.save_as(path)
        found = detector(path)
        moved = distances(found.points(), detect(dicom).points())
        assert not found.inverted
        assert np.median(moved) < 0.5
        assert moved.max() < 4
        (message,) = [warning for warning in found.warnings if self.CLIPPED in warning]
        share = np.mean(marked == 2**bits - 1)
        assert float(message.split(" %")[0]) == pytest.approx(100 * share, abs=3)


class TestTheSameFilm:
    def test_with_air_white_or_black(self, detect: Detect, dicom: Path, monochrome1: Path) -> None:
        assert distances(detect(monochrome1).points(), detect(dicom).points()).max() < 0.01

    def test_twice(self, detector: CephalogramDetector, detect: Detect, film: Path) -> None:
        assert fields(detector(film, force=True)) == fields(detect(film))

    def test_read_before(self, detector: CephalogramDetector, film: Path) -> None:
        radiograph = read_radiograph(film)
        before = radiograph.pixels.copy()
        found = detector(radiograph, force=True, stage="global")
        assert fields(found) == fields(detector(str(film), force=True, stage="global"))
        assert np.array_equal(radiograph.pixels, before)
        assert "reading" not in found.seconds


class TestDetection:
    def test_all_landmarks_in_their_order(self, detect: Detect, film: Path) -> None:
        found = detect(film)
        assert [mark.number for mark in found.landmarks] == list(range(1, NUM_LANDMARKS + 1))
        assert tuple(mark.symbol for mark in found.landmarks) == SYMBOLS
        assert tuple(mark.name for mark in found.landmarks) == NAMES
        assert found.points().shape == (NUM_LANDMARKS, 2)
        assert all((mark.x, mark.y) == (x, y) for mark, (x, y) in zip(found.landmarks, found.points(), strict=True))

    def test_the_result_of_a_png(self, detect: Detect, film: Path) -> None:
        found = detect(film)
        assert found.file == str(film)
        assert (found.rows, found.columns) == (HEIGHT, WIDTH)
        assert found.image_uid is None
        assert found.pixel_spacing is None
        assert found.spacing_source == "none"
        assert set(found.seconds) == {"reading", "framing", "stage_1", "stage_2", "decoding"}
        assert all(value >= 0 for value in found.seconds.values())

    def test_the_result_of_a_dicom_film(self, detect: Detect, dicom: Path, spacing: float) -> None:
        found = detect(dicom)
        assert found.image_uid == pydicom.dcmread(dicom, stop_before_pixels=True).SOPInstanceUID
        assert found.pixel_spacing == pytest.approx((spacing, spacing), rel=1e-3)
        assert found.spacing_source == "pixel_spacing_calibrated"

    def test_the_scale_given_by_the_user(self, detector: CephalogramDetector, dicom: Path) -> None:
        found = detector(read_radiograph(dicom, pixel_spacing=0.25), force=True, stage="global")
        assert (found.pixel_spacing, found.stated_spacing) == ((0.25, 0.25), None)
        assert found.spacing_source == "user"
        assert any("0.25 mm replaces" in warning for warning in found.warnings)

    @pytest.mark.parametrize("stated", [0.4, 0.12])
    def test_a_scale_that_gives_the_head_a_wrong_size(
        self, detector: CephalogramDetector, dicom: Path, spacing: float, stated: float
    ) -> None:
        found = detector(read_radiograph(dicom, pixel_spacing=stated), force=True, stage="global")
        assert (found.pixel_spacing, found.stated_spacing) == (None, (stated, stated))
        assert found.spacing_source == "implausible"
        assert all(mark.x_mm is None and mark.y_mm is None for mark in found.landmarks)
        sella, nasion = found.points()[:2]
        length = float(np.linalg.norm(sella - nasion)) * stated
        message = f"(given by the user) was ignored: S-N is {length:.1f} mm long, outside 45 to 95 mm."
        assert sum(warning.endswith(message) for warning in found.warnings) == 1

    def test_status_follows_the_score(self, detect: Detect, film: Path) -> None:
        for mark in detect(film).landmarks:
            assert 0 <= mark.score <= 1
            assert mark.status == ("missing" if mark.x is None else "uncertain" if mark.score < 0.2 else "ok")

    def test_a_result_survives_a_json_round_trip(self, detect: Detect, dicom: Path) -> None:
        found = detect(dicom)
        assert monai_ceph.Detection.model_validate_json(found.model_dump_json()) == found
        assert json.loads(found.model_dump_json())["landmarks"][0]["symbol"] == "S"

    def test_a_missing_landmark_survives_a_json_round_trip(self, detection: monai_ceph.Detection) -> None:
        gone = detection.landmarks[2].model_copy(update={"x": None, "y": None, "score": 0.0, "status": "missing"})
        found = detection.model_copy(update={"landmarks": (*detection.landmarks[:2], gone, *detection.landmarks[3:])})
        assert monai_ceph.Detection.model_validate_json(found.model_dump_json()) == found
        assert np.isnan(found.points()[2]).all()
        assert np.isfinite(np.delete(found.points(), 2, axis=0)).all()

    def test_which_model(self, detect: Detect, film: Path) -> None:
        model = detect(film).model
        assert model.name == weights.model()["name"]
        assert model.version == weights.model()["version"]
        assert model.weights_sha256 == weights.sha256(*(weights.path(stage) for stage in weights.STAGES))
        assert model.software == f"monai-ceph {monai_ceph.__version__}"


class TestRefused:
    @pytest.mark.parametrize(
        ("shape", "why"),
        [((90, 90), "only 90 x 90 pixels"), ((150, 900), "a strip of 900 x 150 pixels")],
    )
    @pytest.mark.parametrize("force", [False, True])
    def test_by_its_size(
        self, detector: CephalogramDetector, tmp_path: Path, shape: tuple[int, int], why: str, force: bool
    ) -> None:
        path = save_grey(tmp_path / "film.png", noise(*shape))
        with pytest.raises(RejectedError, match=rf"film\.png: not a lateral cephalogram: {why}"):
            detector(path, force=force)

    @pytest.mark.parametrize("value", [0, 255])
    def test_a_constant_image(self, detector: CephalogramDetector, tmp_path: Path, value: int) -> None:
        path = save_grey(tmp_path / "film.png", np.full((400, 300), value))
        with pytest.raises(RejectedError, match=r"film\.png: .* same value"):
            detector(path)

    def test_a_dot_on_black(self, detector: CephalogramDetector, tmp_path: Path) -> None:
        pixels = np.zeros((400, 300))
        pixels[200:205, 100:105] = 255
        with pytest.raises(RejectedError, match=r"dot\.png: .* nearly every pixel has the same value"):
            detector(save_grey(tmp_path / "dot.png", pixels))

    def test_noise_kept_by_force(self, detector: CephalogramDetector, tmp_path: Path) -> None:
        path = save_grey(tmp_path / "noise.png", noise(400, 320))
        with pytest.raises(RejectedError, match=r"noise\.png: not a lateral cephalogram: "):
            detector(path, stage="global")
        found = detector(path, force=True, stage="global")
        (message,) = [warning for warning in found.warnings if warning.startswith("Kept by force: ")]
        assert message.endswith(".")
        assert found.state == "uncertain"

    def test_options_of_a_call_are_part_of_the_recipe(
        self, detector: CephalogramDetector, detect: Detect, film: Path, tmp_path: Path
    ) -> None:
        """Otherwise two different results would share the UIDs of their DICOM objects."""
        path = save_grey(tmp_path / "noise.png", noise(400, 320))
        found = [
            detect(film),
            detector(film, stage="global"),
            detector(path, force=True),
            detector(path, force=True, stage="global"),
        ]
        assert found[0].model == detector.identity
        assert len({instance_uid("SR", "1.2", each, "h") for each in found}) == 4
        assert len({each.model.weights_sha256 for each in found}) == 1
        # for a film that is accepted anyway, force changes nothing
        assert detector(film, force=True, stage="global").model == found[1].model

    def test_a_file_that_cannot_be_read(self, detector: CephalogramDetector, tmp_path: Path) -> None:
        (tmp_path / "film.png").write_text("no image")
        with pytest.raises(ReadError, match=r"film\.png"):
            detector(tmp_path / "film.png")

    @pytest.mark.parametrize("shape", [(400, 400), (128, 380), (300, 128), (401, 257)])
    def test_films_of_any_size_are_no_error(self, detector: CephalogramDetector, tmp_path: Path, shape: tuple) -> None:
        found = detector(save_grey(tmp_path / "film.png", noise(*shape)), force=True, stage="global")
        assert (found.rows, found.columns) == shape


class TestConfigs:
    def test_the_first_stage_alone(self, detector: CephalogramDetector, film: Path) -> None:
        found = detector(film, force=True, stage="global")
        assert set(found.seconds) == {"reading", "framing", "stage_1"}
        assert np.isfinite(found.points()).all()

    def test_an_overlay_and_an_override(self) -> None:
        overlay = BUNDLES / "overlays" / "no_expansion.json"
        patches = {"patches_per_batch": 7, "shared_pixels": False, "shifts": [0]}
        detector = CephalogramDetector("cpu", overlays=[overlay], overrides=patches)
        assert detector.inferer.local.offsets == [(0, 0)]
        assert detector.inferer.local.patch_size == 100
        assert detector.inferer.local.batch_size == 7

    def test_other_weights_have_another_hash(self, detector: CephalogramDetector, tmp_path: Path) -> None:
        state = torch.load(weights.path("local"), weights_only=True)
        state = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
        torch.save({"network": state}, tmp_path / "mine.pt")
        other = CephalogramDetector("cpu", overrides={"local_weights": str(tmp_path / "mine.pt")})
        assert other.identity.weights_sha256 != detector.identity.weights_sha256

    def test_the_precision_follows_the_device_and_shows_in_the_recipe(self, detector: CephalogramDetector) -> None:
        single = CephalogramDetector("cpu", overrides={"mixed_precision": False})
        mixed = CephalogramDetector("cpu", overrides={"mixed_precision": True})
        assert (single.network.mixed_precision, mixed.network.mixed_precision) == (False, True)
        assert single.identity.recipe_sha256 != mixed.identity.recipe_sha256
        native = bfloat16_is_native("cpu")
        assert detector.network.mixed_precision == native
        assert detector.identity == (mixed if native else single).identity

    def test_an_unknown_precision_is_refused(self) -> None:
        with pytest.raises(CephError, match="mixed_precision must be true or false, got 'bf16'"):
            CephalogramDetector("cpu", overrides={"mixed_precision": "bf16"})

    def test_films_are_checked_against_the_mean_shape_in_the_config(self, film: Path) -> None:
        paper = BUNDLES / "overlays" / "paper.json"
        # the paper's inference has no pose, so only the check of the landmarks uses the shape
        assert CephalogramDetector("cpu", overlays=[paper])(film, stage="global")
        long = [[4 * row, column] for row, column in weights.mean_shape()]
        other = CephalogramDetector("cpu", overlays=[paper], overrides={"mean_shape": long})
        with pytest.raises(RejectedError, match="shape residual"):
            other(film, stage="global")

    @pytest.mark.parametrize("shape", [None, [[0.0, 1.0]], [[0.0, math.nan]] * 19, "mean"])
    def test_a_mean_shape_of_another_form(self, shape: object) -> None:
        paper = BUNDLES / "overlays" / "paper.json"
        with pytest.raises(CephError, match="mean_shape must be 19 pairs of numbers"):
            CephalogramDetector("cpu", overlays=[paper], overrides={"mean_shape": shape})

    def test_weights_that_give_nan_find_no_landmark(self, film: Path, tmp_path: Path) -> None:
        state = torch.load(weights.path("local"), weights_only=True)
        state = {k: torch.full_like(v, math.nan) if v.is_floating_point() else v for k, v in state.items()}
        torch.save(state, tmp_path / "mine.pt")
        overlay = BUNDLES / "overlays" / "no_expansion.json"
        broken = CephalogramDetector("cpu", overlays=[overlay], overrides={"local_weights": str(tmp_path / "mine.pt")})
        with pytest.raises(RejectedError, match="score"):
            broken(film)
        found = broken(film, force=True)
        assert {mark.status for mark in found.landmarks} == {"missing"}
        assert {mark.score for mark in found.landmarks} == {0.0}

    @pytest.mark.parametrize("key", ["local_weights", "global_weights"])
    def test_missing_weights_are_an_error(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(CephError, match=r"none\.pt: not weights of this network: No such file"):
            CephalogramDetector("cpu", overrides={key: str(tmp_path / "none.pt")})

    @pytest.mark.parametrize("device", ["gpu0", "cuda:99"])
    def test_a_missing_device_is_an_error(self, device: str) -> None:
        with pytest.raises(CephError, match=f"device {device} cannot be used: ."):
            CephalogramDetector(device)

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("a.json", None, "No such file"),
            ("a.json", '{"patch_size": ', "line 1"),
            ("a.yaml", "a: [1\nb: }", "line 2"),
            ("a.txt", "{}", "unknown file"),
            ("a.json", "[1]", "it must be an object with keys"),
            ("a.json", "null", "it must be an object with keys"),
            ("a.yaml", "", "it must be an object with keys"),
        ],
    )
    def test_a_config_that_cannot_be_read(self, tmp_path: Path, name: str, text: str | None, why: str) -> None:
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(CephError, match=f"{name}: cannot be read as a config: (.|\n)*{why}"):
            CephalogramDetector("cpu", overlays=[tmp_path / name])

    def test_an_invalid_config_is_an_error(self) -> None:
        with pytest.raises(CephError, match=r"expansion must be in 1\.\.2"):
            CephalogramDetector("cpu", overrides={"expansion": 9})

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("local_weigths", "mine.pt", "key local_weigths is not in .* did you mean local_weights?"),
            ("local_weights", None, "local_weights must name a file"),
            ("global_weights", None, "global_weights must name a file"),
            ("uncertain_below", "high", "uncertain_below must be a number, got 'high'"),
            ("film_uncertain_above", math.nan, "film_uncertain_above must be a number, got nan"),
            ("rejection", {"min_mean_score": 0.3}, "rejection must have max_shape_residual, min_evidence, min_mean_"),
            ("rejection#min_mean_score", "low", "rejection#min_mean_score must be a number, got 'low'"),
            ("missing_below", math.nan, "min_peak must be a number, got nan"),
            ("edge_margin", math.nan, "edge_margin must not be negative, got nan"),
            ("shifts", [0, 3.5], "shifts must be whole numbers"),
            ("patch_size", 80.5, "patch_size must be a whole number of at least 1, got 80.5"),
            ("shared_pixels", "false", "shared_pixels must be True or False, got 'false'"),
            ("guide#sd", 1, r"the config has no such key \(.*guide"),
        ],
    )
    def test_misspelled_keys_and_invalid_values_are_refused(self, key: str, value: Any, message: str) -> None:
        with pytest.raises(CephError, match=message):
            CephalogramDetector("cpu", overrides={key: value})

    def test_a_key_of_the_users_own_that_another_refers_to(self, tmp_path: Path) -> None:
        (tmp_path / "mine.json").write_text('{"_side": 60, "patch_size": "@_side"}')
        assert CephalogramDetector("cpu", overlays=[tmp_path / "mine.json"]).inferer.local.side == 108
