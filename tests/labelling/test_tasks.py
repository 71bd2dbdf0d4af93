"""The tasks with a fake detector that answers at once; tests/integration uses the real one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from fake_detectors import SCORES, FakeDetectors
from monai.bundle import ConfigParser
from samples import changed, noise, row_column

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from monai_ceph import weights
from monai_ceph.analysis import measure
from monai_ceph.errors import CephError, RejectedError
from monai_ceph.labelling.folder_store import FolderStore
from monai_ceph.labelling.infer import InferLandmarks
from monai_ceph.labelling.label_map import LABELS
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.labelling.scoring import RadialError
from monai_ceph.labelling.strategy import LowestScore
from monai_ceph.labelling.train import FineTune, configs
from monai_ceph.readers import SpacingSource
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import as_markups, write_markups
from monai_ceph.reports.measurement_record import measurement_records
from monai_ceph.result import Detection


def save(store: FolderStore, name: str, points: np.ndarray, tag: str = "final") -> None:
    film = store.film(name)[1]
    target = film.parent.parent / "label.mrk.json"
    write_markups(target, as_markups(points, placement_of(film), millimetres=False))
    store.save_label(name, str(target), tag, {})


class TestInfer:
    @pytest.fixture
    def task(self, detectors: FakeDetectors, book: ScoreBook) -> InferLandmarks:
        return InferLandmarks(detectors, book)

    def request(self, store: FolderStore, name: str, **more: Any) -> dict[str, Any]:
        return {"image": store.get_image_uri(name), "image_id": name, **more}

    def test_params_contain_the_detection_but_no_path(self, task: InferLandmarks, store: FolderStore) -> None:
        file, params = task(self.request(store, "a.png", result_write_to_file=False))
        assert file is None
        assert params["file"] == "a.png"
        assert str(store.film("a.png")[1].parent) not in json.dumps(params)
        assert params["landmarks"][0] | {"score": 0.9, "status": "ok", "x": 20.0} == params["landmarks"][0]
        assert params["state"] == "ok"
        assert params["label_names"]["Sella"] == 1

    def test_params_contain_the_measurements(
        self, task: InferLandmarks, detectors: FakeDetectors, store: FolderStore
    ) -> None:
        _, params = task(self.request(store, "a.png", result_write_to_file=False))
        expected = measurement_records(measure(detectors.detection))
        assert json.loads(json.dumps(params))["measurements"] == json.loads(json.dumps(expected))

    def test_without_a_scale_markups_are_in_pixels(self, task: InferLandmarks, store: FolderStore) -> None:
        file, params = task(self.request(store, "a.png"))
        assert (params["markups"]["unit"], params["spacing_source"]) == ("pixel", "none")
        assert "coordinateUnits" not in json.loads(Path(file).read_text())["markups"][0]
        Path(file).unlink()

    def test_a_print_resolution_is_not_a_scale(self, task: InferLandmarks, store: FolderStore, tmp_path: Path) -> None:
        from PIL import Image

        film = store.film("a.png")[1].with_name("d.jpg")
        Image.fromarray(noise(400, 300)).save(film, dpi=(300, 300))
        _, params = task(self.request(store, "d.jpg", result_write_to_file=False))
        assert params["markups"]["unit"] == "unknown"
        assert "not in millimetres" in params["markups"]["note"]

    def test_the_note_names_both_scales_if_they_differ(
        self, task: InferLandmarks, dicom_film: Path, detectors: FakeDetectors
    ) -> None:
        detectors.detection = detectors.detection.model_copy(
            update={"pixel_spacing": (0.8, 0.8), "spacing_source": SpacingSource.PIXEL_SPACING_CALIBRATED}
        )
        _, params = task({"image": str(dicom_film), "result_write_to_file": False})
        assert params["file"] == "upload"
        assert params["markups"]["unit"] == "mm"
        assert "not those in the patient" in params["markups"]["note"]

    @pytest.mark.parametrize(
        ("asked", "suffix"), [(None, ".mrk.json"), (".json", ".mrk.json"), (".nrrd", ".nrrd"), ("nii.gz", ".nii.gz")]
    )
    def test_the_client_chooses_the_format(
        self, task: InferLandmarks, store: FolderStore, asked: str | None, suffix: str
    ) -> None:
        file, _ = task(self.request(store, "a.png", result_extension=asked))
        assert file.endswith(suffix)
        Path(file).unlink()

    def test_the_markups_model_answers_with_markups_to_slicers_plugin(
        self, detectors: FakeDetectors, book: ScoreBook, store: FolderStore
    ) -> None:
        task = InferLandmarks(detectors, book, markups_only=True)
        file, _ = task(self.request(store, "a.png", result_extension=".nrrd", result_dtype="uint8"))
        assert file.endswith(".mrk.json")
        assert task.info()["type"] == "detection"
        Path(file).unlink()

    def test_an_unknown_format_is_refused(self, task: InferLandmarks, store: FolderStore) -> None:
        with pytest.raises(CephError, match=r"result_extension \.exe is not one of"):
            task(self.request(store, "a.png", result_extension=".exe"))

    def test_the_error_about_a_rejected_film_has_the_clients_name_for_it(
        self, task: InferLandmarks, store: FolderStore
    ) -> None:
        with pytest.raises(RejectedError) as refusal:
            task(self.request(store, "none.png"))
        assert str(refusal.value) == "none.png: not a lateral cephalogram: nothing seen"
        file, _ = task(self.request(store, "none.png", force=True, result_write_to_file=False))
        assert file is None

    def test_a_missing_landmark_has_no_point(
        self, task: InferLandmarks, store: FolderStore, detectors: FakeDetectors
    ) -> None:
        detectors.detection = changed(detectors.detection, 3, x=None, y=None, status="missing")
        file, params = task(self.request(store, "a.png"))
        labels = [point["label"] for point in json.loads(Path(file).read_text())["markups"][0]["controlPoints"]]
        assert "Porion" not in labels
        assert len(labels) == 18
        assert (params["landmarks"][3]["status"], params["landmarks"][3]["x"]) == ("missing", None)
        assert "Porion" not in params["label_names"]
        Path(file).unlink()

    def test_label_names_are_the_landmarks_in_the_map(
        self, task: InferLandmarks, store: FolderStore, detectors: FakeDetectors
    ) -> None:
        detectors.detection = changed(detectors.detection, 3, x=None, y=None, status="missing")
        file, params = task(self.request(store, "a.png", result_extension=".nrrd"))
        values = set(np.unique(itk.array_from_image(itk.imread(file))).tolist()) - {0}
        assert set(params["label_names"].values()) == values
        assert params["label_names"].keys() == LABELS.keys() - {"Porion"}
        Path(file).unlink()


class TestStrategy:
    def test_the_lowest_score_comes_first_and_rejected_films_never(
        self, store: FolderStore, detectors: FakeDetectors, book: ScoreBook, detection: Detection
    ) -> None:
        strategy = LowestScore(detectors, book)
        order = []
        while found := strategy({}, store):
            order.append(found["id"])
            save(store, found["id"], row_column(detection))
        assert order == ["b.png", "c.png", "a.png"]
        assert sorted(detectors.asked) == ["a.png", "b.png", "c.png", "none.png"]

    def test_a_scored_film_is_not_detected_on_again(
        self, store: FolderStore, detectors: FakeDetectors, book: ScoreBook
    ) -> None:
        for name in SCORES:
            book.note(name, detectors.detect(store.film(name)[1]))
        detectors.asked.clear()
        found = LowestScore(detectors, book)({"max_films": 1}, store)
        assert found == {"id": "b.png", "score": pytest.approx(0.3), "lowest_score": pytest.approx(0.3)}
        assert detectors.asked == ["none.png"]

    def test_at_most_max_films_are_detected_on(
        self, store: FolderStore, detectors: FakeDetectors, book: ScoreBook
    ) -> None:
        strategy = LowestScore(detectors, book)
        assert strategy({"max_films": 1}, store)["id"] == "a.png"
        assert detectors.asked == ["a.png"]
        assert strategy({"max_films": 2}, store)["id"] == "b.png"
        assert detectors.asked == ["a.png", "b.png", "c.png"]

    def test_a_rejected_film_is_not_detected_on_again(
        self, store: FolderStore, detectors: FakeDetectors, book: ScoreBook
    ) -> None:
        with pytest.raises(RejectedError):
            InferLandmarks(detectors, book)({"image": store.get_image_uri("none.png"), "image_id": "none.png"})
        detectors.asked.clear()
        assert LowestScore(detectors, book)({}, store)["id"] == "b.png"
        assert sorted(detectors.asked) == ["a.png", "b.png", "c.png"]

    def test_a_film_that_the_archive_did_not_send_is_tried_again(
        self, store: FolderStore, detectors: FakeDetectors, book: ScoreBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strategy = LowestScore(detectors, book)

        def silent(name: str) -> tuple[str, Path]:
            raise CephError("the PACS did not send a film: status 503")

        with monkeypatch.context() as archive:
            archive.setattr(store, "film", silent)
            assert strategy({}, store) is None
        assert strategy({}, store)["id"] == "b.png"


class TestScoring:
    def test_mre_in_pixels_without_a_scale(
        self, store: FolderStore, detectors: FakeDetectors, detection: Detection
    ) -> None:
        save(store, "a.png", row_column(detection) + np.array([3.0, 4.0]))
        save(store, "b.png", row_column(detection))
        result = RadialError(detectors)({}, store)
        assert (result["films"], result["films_with_scale"]) == (2, 0)
        assert result["mre_px"] == pytest.approx(2.5)
        assert result["mre_mm"] is None
        assert store.get_label_info("a.png", "final")["mre_px"] == pytest.approx(5.0)

    def test_mre_in_mm_of_films_with_a_scale(
        self, store: FolderStore, detectors: FakeDetectors, detection: Detection, dicom_film: Path
    ) -> None:
        from monai_ceph.readers import read_radiograph

        shutil.copy(dicom_film, store.film("a.png")[1].with_name("d.dcm"))
        inside = [mark.model_copy(update={"x": mark.x / 2, "y": mark.y / 2}) for mark in detection.landmarks]
        inside[1] = inside[1].model_copy(update={"x": inside[0].x + 80})  # S-N of 64 mm
        detectors.detection = detection.model_copy(update={"landmarks": tuple(inside)})
        save(store, "d.dcm", row_column(detectors.detection) + np.array([0.0, 2.0]))
        result = RadialError(detectors)({}, store)
        spacing = read_radiograph(dicom_film).pixel_spacing[1]
        assert result["mre_mm"] == pytest.approx(2 * spacing, abs=1e-4)

    def test_saved_labels_are_scored_with_y_pred(
        self, store: FolderStore, detectors: FakeDetectors, detection: Detection
    ) -> None:
        save(store, "a.png", row_column(detection))
        save(store, "a.png", row_column(detection) + np.array([1.0, 0.0]), tag="original")
        save(store, "b.png", row_column(detection))
        result = RadialError(detectors)({"y_pred": "original"}, store)
        assert (result["films"], result["not_scored"]) == (1, ["b.png"])
        assert result["mre_px"] == pytest.approx(1.0)
        assert detectors.asked == []

    def test_scores_without_labels_are_none(self, store: FolderStore, detectors: FakeDetectors) -> None:
        assert RadialError(detectors)({}, store)["mre_px"] is None


class TestTrain:
    @pytest.fixture
    def task(self, detectors: FakeDetectors, book: ScoreBook, tmp_path: Path) -> FineTune:
        return FineTune(tmp_path / "runs", detectors, book)

    def test_too_few_films_are_refused(self, task: FineTune, store: FolderStore, detection: Detection) -> None:
        save(store, "a.png", row_column(detection))
        with pytest.raises(CephError, match="training needs 2 films with final labels, but there are 1"):
            task({}, store)
        assert list(task._folder.glob("*")) == []

    def test_mirrored_films_are_left_out(
        self, task: FineTune, store: FolderStore, detection: Detection, book: ScoreBook
    ) -> None:
        for name in ("a.png", "b.png"):
            save(store, name, row_column(detection))
        book.note("b.png", detection.model_copy(update={"mirrored": True}))
        with pytest.raises(CephError, match="there are 1"):
            task({}, store)

    def test_mirrored_films_without_a_score_are_left_out(
        self, task: FineTune, store: FolderStore, detection: Detection, detectors: FakeDetectors, book: ScoreBook
    ) -> None:
        for name in ("a.png", "b.png", "none.png"):
            save(store, name, row_column(detection))
        detectors.mirrored = {"b.png", "none.png"}
        book.note("a.png", detection)
        # rejected, which says nothing of its view
        book.note_failure("none.png", detection.model)
        with pytest.raises(CephError, match="there are 1"):
            task({}, store)
        assert sorted(detectors.asked) == ["b.png", "none.png"]

    def test_training_runs_on_the_servers_device(
        self, task: FineTune, tmp_path: Path, detectors: FakeDetectors
    ) -> None:
        detectors.device = "meta"
        assert task._overlay({}, tmp_path / "run", films=2)["device"] == "$torch.device('meta')"
        assert task._overlay({"device": "cpu"}, tmp_path / "run", films=2)["device"] == "$torch.device('cpu')"

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"max_epochs": "many"}, "must be numbers"),
            ({"max_epochs": -1}, "at least 1"),
            ({"learning_rate": 0.0}, "positive"),
            ({"initial_weights": "mine"}, "'shipped' or 'latest'"),
        ],
    )
    def test_invalid_options_are_refused(
        self, task: FineTune, store: FolderStore, detection: Detection, option: dict[str, Any], message: str
    ) -> None:
        for name in ("a.png", "b.png"):
            save(store, name, row_column(detection))
        with pytest.raises(CephError, match=message):
            task(option, store)

    def test_the_bundle_gets_the_pose_of_the_detector(self, task: FineTune, tmp_path: Path) -> None:
        overlay = tmp_path / "run.json"
        overlay.write_text(json.dumps(task._overlay({"max_epochs": 3}, tmp_path / "run", films=2)))
        parser = ConfigParser()
        parser.read_config(configs(overlay))
        assert parser.get_parsed_content("mean_shape") == weights.model()["mean_shape"]
        assert [parser.get_parsed_content(key) for key in ("phantoms", "fold", "max_epochs")] == [0, None, 3]
        assert parser.get_parsed_content("initial_weights") == weights.path("local")

    def test_of_ten_films_some_are_held_out(self, task: FineTune, tmp_path: Path) -> None:
        overlay = task._overlay({}, tmp_path / "run", films=10)
        assert (overlay["fold"], overlay["folds"]) == (0, 5)

    def test_training_may_continue_from_the_fine_tuned_weights(
        self, task: FineTune, tmp_path: Path, detectors: FakeDetectors
    ) -> None:
        detectors.tuned.parent.mkdir()
        detectors.tuned.write_bytes(b"")
        overlay = task._overlay({"initial_weights": "latest"}, tmp_path / "run", films=2)
        assert overlay["initial_weights"] == str(detectors.tuned)
