"""Requests to the app, with a fake detector that answers at once."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from fake_detectors import FakeDetectors

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from monai_ceph.errors import CephError
from monai_ceph.labelling.app import MODEL, CephalometricApp
from monai_ceph.labelling.errors import RefusedError
from monai_ceph.labelling.folder_store import FolderStore

# isort: split
from monailabel.config import settings


@pytest.fixture
def app(
    store: FolderStore, detectors: FakeDetectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CephalometricApp:
    for folder in ("sessions", "tmp"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("monai_ceph.labelling.app.Detectors", lambda *arguments: detectors)
    return CephalometricApp(str(tmp_path / "work"), str(tmp_path / "studies"), {})


def test_the_description_names_the_review(app: CephalometricApp, tmp_path: Path) -> None:
    assert "Review and sign" not in app.description
    conf = {"review_url": "https://review.clinic.example/"}
    other = CephalometricApp(str(tmp_path / "work"), str(tmp_path / "studies"), conf)
    assert other.description.endswith("Review and sign: https://review.clinic.example/")
    assert other.info()["description"] == other.description


def test_a_wrong_table_does_not_keep_the_server_from_starting(
    app: CephalometricApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "studies" / "landmarks.csv").write_text("film,symbol,x,y\na.png,XX,1,2\n")
    assert CephalometricApp(str(tmp_path / "work"), str(tmp_path / "studies"), {}).datastore().tags() == []
    assert "no landmark has the symbol 'XX'" in caplog.text


def labels(app: CephalometricApp) -> dict[str, set[str]]:
    store = app.datastore()
    return {tag: store.labelled(tag) for tag in store.tags()}


@pytest.mark.parametrize("tag", ["final", "Final", "draft"])
def test_landmarks_of_the_model_are_not_saved_under_a_persons_tag(app: CephalometricApp, tag: str) -> None:
    request: dict[str, Any] = {"model": MODEL, "image": "a.png", "save_label": True, "label_tag": tag}
    with pytest.raises(RefusedError, match="the model's landmarks are saved as 'original'"):
        app.infer(request)
    # with several films, MONAI Label's batch hides errors of single inferences
    with pytest.raises(RefusedError, match="the model's landmarks are saved as 'original'"):
        app.batch_infer({"model": MODEL, "images": ["a.png", "b.png"], "label_tag": tag})
    assert labels(app) == {}


def test_landmarks_of_the_model_are_saved_as_original(app: CephalometricApp) -> None:
    app.infer({"model": MODEL, "image": "a.png", "save_label": True})
    app.batch_infer({"model": MODEL, "images": ["b.png"], "label_tag": "original", "max_workers": 1})
    assert labels(app) == {"original": {"a.png", "b.png"}}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_goes_on_after_a_film_that_is_not_a_cephalogram(
    app: CephalometricApp, store: FolderStore, workers: int
) -> None:
    (store.film("a.png")[1].parent / "broken.png").write_text("nothing")
    answers = app.batch_infer({"model": MODEL, "images": "all", "label_tag": "original", "max_workers": workers})
    assert set(answers) == {"a.png", "b.png", "broken.png", "c.png", "none.png"}
    assert labels(app) == {"original": {"a.png", "b.png", "c.png"}}
    assert "none.png: not a lateral cephalogram" in answers["none.png"]["error"]
    assert answers["broken.png"]["error"].startswith("broken.png: ")


def test_sessions_from_before_a_restart_expire(app: CephalometricApp, store: FolderStore, tmp_path: Path) -> None:
    def session(expiry: int) -> str:
        upload = tmp_path / "tmp" / "film.png"
        shutil.copy(store.film("a.png")[1], upload)
        name, _ = app.sessions().add_session(str(upload), expiry)
        return str(name)

    old, young = session(5), session(3600)
    broken = tmp_path / "sessions" / "broken"
    broken.mkdir()
    meta = tmp_path / "sessions" / old / "meta.info"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "last_access_ts": 1}))
    os.utime(broken, (1, 1))
    app.sessions().clear()
    app.cleanup_sessions()
    assert [path.name for path in (tmp_path / "sessions").iterdir()] == [young]


def test_a_batch_runs_on_the_servers_device(app: CephalometricApp, detectors: FakeDetectors) -> None:
    request = {"model": MODEL, "images": ["a.png"], "max_workers": 1}
    detectors.device = "meta"
    app._batch_infer = app.init_batch_infer()
    # the second has MONAI Label's defaults
    for more in ({}, {"device": "cuda", "multi_gpu": True, "gpus": "all"}, {"device": "cpu"}):
        app.batch_infer({**request, **more})
    assert detectors.devices == ["meta", "meta", "cpu"]


def test_an_upload_is_never_taken_for_a_film_of_the_store(app: CephalometricApp, store: FolderStore) -> None:
    upload = Path(tempfile.gettempdir()) / "upload.png"
    shutil.copy(store.film("a.png")[1], upload)
    answer = app.infer({"model": MODEL, "image": str(upload), "image_id": "b.png", "result_write_to_file": False})
    assert answer["params"]["file"] == "upload"
    assert app._scores.of_model(app._detectors.get().identity) == {}


def test_a_nifti_upload_is_refused(app: CephalometricApp) -> None:
    upload = Path(tempfile.gettempdir()) / "upload.nii.gz"
    # stored from right to left, as ITK writes a picture: the package's reader turns it, Slicer does not
    nibabel.save(nibabel.Nifti1Image(np.zeros((300, 400, 1), np.uint8), np.diag([-1.0, 1.0, 1.0, 1.0])), upload)
    with pytest.raises(CephError, match=r"^the film: a film in a NIfTI file cannot be labelled"):
        app.infer({"model": MODEL, "image": str(upload)})
    assert not upload.exists()
