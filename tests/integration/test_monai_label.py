"""The real MONAI Label server on a folder, driven by MONAI Label's own client over HTTP."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from functools import cache
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import itk
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from servers import call, label_server, wait_until

from monai_ceph.datasets import folder
from monai_ceph.labelling.label_map import LABELS, read_label_map
from monai_ceph.labelling.markups import read_label_json
from monai_ceph.landmarks import NAMES
from monai_ceph.readers.placement import placement_of

MODEL = "cephalometric"
TRAIN_SECONDS = 400


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label")


@pytest.fixture(scope="module")
def studies(place: Path, phantoms: Path, dicom: Path) -> Path:
    """The same head as DICOM, PNG, JPEG and BMP, and another one as PNG."""
    root = place / "studies"
    root.mkdir()
    shutil.copy(dicom, root / "head.dcm")
    for name in ("001.png", "002.png"):
        shutil.copy(phantoms / name, root / name)
    with Image.open(phantoms / "001.png") as picture:
        picture.save(root / "head.bmp")
        picture.save(root / "head.jpg", quality=95)
    return root


@pytest.fixture(scope="module")
def url(studies: Path, place: Path) -> Iterator[str]:
    with label_server(str(studies), place) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str, place: Path) -> MONAILabelClient:
    (place / "client").mkdir()
    return MONAILabelClient(url, tmpdir=str(place / "client"))


Infer = Callable[[str], tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def infer(client: MONAILabelClient) -> Infer:
    """Detect with default options, once per film; return the file and the params that the client got."""
    return cache(lambda film: client.infer(MODEL, film, {}))


@pytest.fixture(scope="module")
def truth(phantoms: Path) -> np.ndarray:
    """(19, 2), (row, column), of the head."""
    return folder(phantoms)[0].landmarks


def as_points(params: dict[str, Any]) -> np.ndarray:
    places = [(mark["y"], mark["x"]) for mark in params["landmarks"]]
    return np.array([(np.nan, np.nan) if y is None else (y, x) for y, x in places])


def test_info_lists_models_and_contains_the_notice(client: MONAILabelClient) -> None:
    info = client.info()
    assert "Research use, not a medical device" in info["description"]
    assert sorted(info["models"]) == [MODEL, f"{MODEL}_markups"]
    assert info["models"][MODEL]["labels"] == LABELS
    assert sorted(info["labels"]) == sorted(NAMES)
    assert (list(info["trainers"]), list(info["scoring"])) == ([MODEL], ["mre"])
    assert "lowest_score" in info["strategies"]


def test_films_of_every_format_are_listed(client: MONAILabelClient) -> None:
    assert sorted(client.datastore()["objects"]) == ["001.png", "002.png", "head.bmp", "head.dcm", "head.jpg"]


@pytest.mark.parametrize("film", ["head.dcm", "001.png", "head.bmp", "head.jpg"])
def test_markups_have_the_position_of_the_film(infer: Infer, studies: Path, truth: np.ndarray, film: str) -> None:
    file, params = infer(film)
    assert file.endswith(".mrk.json")
    content = json.loads(Path(file).read_text())["markups"][0]
    image = itk.imread(str(studies / film))
    for point, mark in zip(content["controlPoints"], params["landmarks"], strict=True):
        index = image.TransformPhysicalPointToContinuousIndex(point["position"][: image.GetImageDimension()])
        np.testing.assert_allclose([index[0], index[1]], [mark["x"], mark["y"]], atol=1e-3)
    # the phantom's head is found, so that x and y are not exchanged
    assert np.nanmedian(np.linalg.norm(as_points(params) - truth, axis=1)) < 10


def test_params_contain_the_scale_of_a_dicom_film(infer: Infer) -> None:
    _, params = infer("head.dcm")
    assert params["spacing_source"] == "pixel_spacing_calibrated"
    assert params["markups"]["unit"] == "mm"
    mark = params["landmarks"][0]
    assert mark["x_mm"] == pytest.approx(mark["x"] * params["pixel_spacing"][1])
    assert params["notice"].startswith("Research use")
    lengths = [one for one in params["measurements"] if one["unit"] == "mm" and one["value"] is not None]
    assert {one["scale"] for one in lengths} == {"pixel_spacing_calibrated"}
    assert {"score", "status"} <= mark.keys()


def test_no_millimetres_without_a_scale(infer: Infer) -> None:
    file, params = infer("001.png")
    assert params["markups"]["unit"] == "pixel"
    assert {mark["x_mm"] for mark in params["landmarks"]} == {None}
    assert {one["value"] for one in params["measurements"] if one["unit"] == "mm"} == {None}
    assert "coordinateUnits" not in json.loads(Path(file).read_text())["markups"][0]


def test_output_json_returns_no_file(url: str) -> None:
    status, text, headers = call(url, "POST", f"/infer/{MODEL}?image=001.png&output=json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert len(json.loads(text)["landmarks"]) == 19


def test_the_client_of_slicer_gets_params_that_it_can_read(client: MONAILabelClient) -> None:
    """It returns bytes, and Slicer stops, if an answer to its params has no file."""
    file, params = client.infer(MODEL, "001.png", {"output": "json"})
    assert file.endswith(".mrk.json")
    assert len(params["landmarks"]) == 19


def parts_of(answer: requests.Response) -> dict[str, bytes]:
    """Return the parts of a multipart answer by their names."""
    if answer.headers["content-type"] == "application/json":
        return {"params": answer.content}
    parts = BytesParser().parsebytes(
        b"Content-Type: " + answer.headers["content-type"].encode() + b"\n\n" + answer.content
    )
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in parts.get_payload()
    }


@pytest.mark.parametrize(
    ("film", "query", "params", "part", "name"),
    [
        ("head.dcm", "output=json", {}, "params", "answer.json"),
        ("001.png", "output=json", {}, "params", "answer"),
        ("head.dcm", "output=all", {}, "params", "params.json"),
        ("head.dcm", "output=all", {}, "image", "answer.mrk.json"),
        ("head.dcm", "output=all", {"result_extension": ".nrrd"}, "params", "params.json"),
        # a client of MONAI Label writes its wishes into the params
        ("001.png", "", {"output": "json"}, "params", "answer.json"),
    ],
)
def test_the_answer_of_infer_can_be_saved_as_a_label(
    url: str, studies: Path, film: str, query: str, params: dict[str, Any], part: str, name: str
) -> None:
    """POST /infer, then PUT /datastore/label with the unchanged answer."""
    data = {"params": json.dumps(params)}
    answer = requests.post(f"{url}/infer/{MODEL}?image={film}&{query}", data=data, timeout=120)
    parts = parts_of(answer)
    found = as_points(json.loads(parts["params"]))
    label = {"label": (name, parts[part])}
    put = requests.put(f"{url}/datastore/label?image={film}&tag=echo", files=label, timeout=60)
    assert put.status_code == 200, put.text
    saved = requests.get(f"{url}/datastore/label?label={film}&tag=echo", timeout=60)
    (studies.parent / "echo.mrk.json").write_bytes(saved.content)
    points = read_label_json(studies.parent / "echo.mrk.json", placement_of(studies / film))
    np.testing.assert_allclose(points, found, atol=1e-4, equal_nan=True)
    assert requests.delete(f"{url}/datastore/label?id={film}&tag=echo", timeout=60).status_code == 200


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_client_that_asks_for_an_image_gets_a_label_map(client: MONAILabelClient, studies: Path, suffix: str) -> None:
    file, params = client.infer(MODEL, "head.dcm", {"result_extension": suffix})
    assert file.endswith(suffix)
    centres = read_label_map(Path(file), placement_of(studies / "head.dcm").size)
    assert params["label_names"] == {
        name: LABELS[name] for name, row in zip(NAMES, centres, strict=True) if row[0] >= 0
    }
    np.testing.assert_allclose(centres, as_points(params), atol=2, equal_nan=True)


def test_slicers_plugin_gets_markups(client: MONAILabelClient) -> None:
    file, _ = client.infer(f"{MODEL}_markups", "001.png", {"result_extension": ".nrrd", "result_dtype": "uint8"})
    assert file.endswith(".mrk.json")


def test_cvats_plugin_gets_polygons(url: str, studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Path(sys.prefix) / "monailabel" / "plugins" / "cvat" / "detector.py"
    spec = importlib.util.spec_from_file_location("cvat_detector", plugin)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("MONAI_LABEL_SERVER", url)
    monkeypatch.setenv("MONAI_LABEL_MODEL", MODEL)
    context = SimpleNamespace(
        logger=SimpleNamespace(info=lambda text: None), user_data=SimpleNamespace(), Response=SimpleNamespace
    )
    module.init_context(context)
    picture = BytesIO()
    with Image.open(studies / "001.png") as film:
        film.save(picture, "PNG")
    event = SimpleNamespace(body={"image": base64.b64encode(picture.getvalue())})
    shapes = json.loads(module.handler(context, event).body)
    assert {shape["label"] for shape in shapes} <= set(NAMES)
    assert len(shapes) > 15
    assert {shape["type"] for shape in shapes} == {"polygon"}


def test_an_uploaded_film_gets_landmarks(client: MONAILabelClient, dicom: Path) -> None:
    _, params = client.infer(MODEL, "", {}, file=str(dicom))
    assert params["file"] == "upload"


def test_a_session_gets_landmarks(client: MONAILabelClient, studies: Path) -> None:
    session = client.create_session(str(studies / "001.png"))["session_id"]
    _, params = client.infer(MODEL, "", {}, session_id=session)
    assert len(params["landmarks"]) == 19


def test_a_session_takes_no_archive(url: str, place: Path) -> None:
    """A file in an archive might be unpacked outside MONAI Label's folder."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("../../outside.txt")
        member.size = 4
        tar.addfile(member, BytesIO(b"read"))
    files = {"files": ("film.tar", archive.getvalue())}
    answer = requests.put(f"{url}/session/", params={"uncompress": "true"}, files=files, timeout=60)
    assert (answer.status_code, answer.json()) == (403, {"detail": "a session takes one film, not an archive"})
    assert list(place.rglob("outside.txt")) == []


@pytest.mark.parametrize(
    ("model", "image", "params", "sentence"),
    [
        ("nothing", "001.png", {}, "there is no model 'nothing'; there are cephalometric"),
        (MODEL, "nothing", {}, "no film is called 'nothing'"),
        (MODEL, "", {}, "the request names no film"),
        (MODEL, "/etc/hostname", {}, "no film is called '/etc/hostname'"),
        (MODEL, "001.png", {"image": "/etc/hostname"}, "no film is called '/etc/hostname'"),
        (MODEL, "../app/main.py", {}, "no film is called"),
    ],
)
def test_unknown_models_films_and_sessions_are_404_with_a_message(
    url: str, client: MONAILabelClient, model: str, image: str, params: dict[str, Any], sentence: str
) -> None:
    # the client needs a film, a file or a session, so the one without asks for a session that is not there
    with pytest.raises(MONAILabelClientException) as refusal:
        client.infer(model, image, params, session_id=None if image else "nothing")
    assert refusal.value.msg.startswith("Status: 404")
    assert sentence in refusal.value.msg


def test_other_unknown_names_are_404_with_a_message(url: str) -> None:
    tasks = ("/scoring/nothing", "/train/nothing", "/batch/infer/nothing")
    for path in ("/activelearning/nothing", *tasks, *(f"{task}?run_sync=true" for task in tasks)):
        status, text, _ = call(url, "POST", path)
        assert (status, "there is no" in text) == (404, True), text


def test_a_zero_byte_is_400(url: str) -> None:
    for path in ("/datastore/image?image=%00", "/datastore/image/info?image=001%00.png", "/infer/%00?image=001.png"):
        status, text, _ = call(url, "POST" if "infer" in path else "GET", path)
        assert (status, text) == (400, '{"detail":"the address has a zero byte"}')


def test_the_page_of_the_log_loads_nothing(url: str) -> None:
    status, page, _ = call(url, "GET", "/logs/?lines=5")
    assert (status, "<script" in page, "://" in page) == (200, False, False)
    status, text, headers = call(url, "GET", "/logs/?text=true&lines=5")
    assert (status, len(text.splitlines()), headers["content-type"].partition(";")[0]) == (200, 5, "text/plain")


def test_a_refused_upload_is_removed(url: str, place: Path) -> None:
    """MONAI Label removes it after an answer only. A film that is refused would stay until the server ends."""
    tmp = place / "app" / "tmp"
    before = set(tmp.iterdir())
    film = {"file": ("film.dcm", b"no film")}
    for method, path, files in (
        ("POST", f"/infer/{MODEL}", film),
        ("POST", f"/infer/{MODEL}", {**film, "label": ("label.bin", b"x")}),
        ("POST", "/infer/nothing", film),
        ("PUT", "/datastore/image?image=x", film),
        ("PUT", "/datastore/label?image=001.png", {"label": ("label.json", b"no label")}),
        ("PUT", "/session/", {"files": ("film.dcm", b"no film")}),
    ):
        answer = requests.request(method, f"{url}{path}", files=files, timeout=60)
        assert answer.status_code in (200, 403, 404, 422), (path, answer.text)
    # a session that was made keeps its film
    assert {path for path in tmp.iterdir() if path.is_file()} <= before


def test_a_film_that_is_not_a_cephalogram_is_422_with_a_message(client: MONAILabelClient, place: Path) -> None:
    grey = place / "grey.png"
    Image.new("L", (400, 500), 90).save(grey)
    with pytest.raises(MONAILabelClientException) as refusal:
        client.infer(MODEL, "", {}, file=str(grey))
    assert refusal.value.msg.startswith("Status: 422")
    assert str(place) not in refusal.value.msg
    assert list((place / "app" / "tmp").glob("*.png")) == []


def test_other_web_pages_and_host_names_are_refused(url: str) -> None:
    _, _, headers = call(url, "GET", "/info/", Origin="http://elsewhere.example")
    assert "access-control-allow-origin" not in headers
    assert call(url, "GET", "/info/", Host="elsewhere.example")[0] == 400
    # a browser sends a POST even if the page may not read the answer
    train = f"/train/{MODEL}?run_sync=true"
    assert call(url, "POST", train, Origin="http://elsewhere.example")[0] == 403
    assert call(url, "POST", train, Origin=url)[0] == 422


def test_a_damaged_label_is_refused(client: MONAILabelClient, place: Path) -> None:
    regions = place / "regions.json"
    regions.write_text('{"markups": []}')
    with pytest.raises(MONAILabelClientException) as refusal:
        client.save_label("002.png", str(regions), "final")
    assert "Status: 422" in refusal.value.msg
    assert "contains no landmark" in refusal.value.msg
    assert client.info()["datastore"]["completed"] == 0


def test_invalid_weights_are_refused_and_inference_still_works(url: str, client: MONAILabelClient, place: Path) -> None:
    files = {"file": ("local.pt", b"no weights")}
    answer = requests.put(f"{url}/model/{MODEL}", files=files, timeout=60)
    assert (answer.status_code, "not weights of this network" in answer.text) == (422, True)
    assert not (place / "app" / "model" / "local.pt").exists()
    assert requests.put(f"{url}/model/nothing", files=files, timeout=60).status_code == 404
    client.infer(MODEL, "001.png", {"output": "json"})


def moved(file: str, by: dict[str, list[float]]) -> str:
    """Move points and save the list under another name, as a person does in Slicer."""
    content = json.loads(Path(file).read_text())
    for point in content["markups"][0]["controlPoints"]:
        offset = by.get(point["label"], [0.0, 0.0])
        point["position"] = [point["position"][0] + offset[0], point["position"][1] + offset[1], 0.0]
    target = Path(file).with_name("corrected.mrk.json")
    target.write_text(json.dumps(content))
    return str(target)


def test_detect_correct_train_and_detect_again(
    client: MONAILabelClient, infer: Infer, url: str, studies: Path, place: Path
) -> None:
    """Infer, correct two points, save, score, train one epoch, infer."""
    first = client.next_sample("lowest_score", {})
    assert first["path"] == str(studies / first["id"])
    before: dict[str, np.ndarray] = {}
    for name in ("001.png", "head.dcm"):
        file, params = infer(name)
        before[name] = as_points(params)
        corrected = moved(file, {"Sella": [3.0, 0.0], "Menton": [0.0, -4.0]})
        client.save_label(name, corrected, "final", {"observer": "Doe^Jane"})
        saved = client.download_label(name, "final")
        placement = placement_of(studies / name)
        shift = read_label_json(Path(saved), placement) - before[name]
        row, column = placement.spacing
        np.testing.assert_allclose(shift[0], [0.0, 3.0 / column], atol=1e-3)
        np.testing.assert_allclose(shift[7], [-4.0 / row, 0.0], atol=1e-3)
        assert np.nanmax(np.abs(np.delete(shift, [0, 7], axis=0))) < 1e-3
    assert client.info()["datastore"]["completed"] == 2
    assert client.next_sample("lowest_score", {})["id"] not in before

    status, text, _ = call(url, "POST", "/scoring/mre?run_sync=true")
    score = json.loads(text)
    assert (status, score["films"], score["films_with_scale"]) == (200, 2, 1)
    assert score["mre_px"] > 0

    shipped = infer("001.png")[1]["model"]
    client.train_start(MODEL, {"max_epochs": 1})
    # a task that was submitted does not count as running yet
    wait_until(lambda: client.train_status()["status"] in ("DONE", "ERROR"), TRAIN_SECONDS, "one epoch")
    task = client.train_status()
    assert task["status"] == "DONE", task["details"]
    trained = client.info()["train_stats"][MODEL]
    assert (trained["films"], trained["epochs"]) == (2, 1)

    _, params = client.infer(MODEL, "001.png", {})
    assert params["model"]["name"] == "weights of the user"
    assert params["model"]["weights_sha256"] != shipped["weights_sha256"]
    assert np.nanmedian(np.linalg.norm(as_points(params) - before["001.png"], axis=1)) < 5
    _, params = client.infer(MODEL, "001.png", {"weights": "shipped"})
    assert params["model"] == shipped
    dataset = folder(place / "app" / "runs" / trained["run"] / "dataset")
    assert sorted(film.image.resolve().name for film in dataset) == ["001.png", "head.dcm"]


@pytest.mark.parametrize("wish", [{}, {"output": "json"}, {"result_extension": ".nrrd"}])
def test_batch_inference_without_a_gpu(
    url: str, client: MONAILabelClient, studies: Path, place: Path, wish: dict[str, str]
) -> None:
    # clients send MONAI Label's defaults, which name GPUs
    content = {"device": "cuda", "multi_gpu": True, "gpus": "all", "max_batch_size": 1, **wish}
    status, text, _ = call(url, "POST", f"/batch/infer/{MODEL}?images=unlabeled&run_sync=true", content)
    batch = json.loads(text)
    assert (status, len(batch)) == (200, 1)
    (name,) = batch
    info = requests.get(f"{url}/datastore/label/info?label={name}&tag=original", timeout=60).json()
    assert info["params"]["created"] == batch[name]["params"]["created"]
    # the landmarks are saved as they were found, whatever file the client wanted
    found, placement = as_points(batch[name]["params"]), placement_of(studies / name)
    assert np.isfinite(found).sum() > 30
    saved = Path(client.download_label(name, "original"))
    np.testing.assert_allclose(read_label_json(saved, placement), found, atol=1e-4, equal_nan=True)
    # what the server says of a film in a batch, or of a saved label, is a label, too
    for number, answer in enumerate((batch[name], info)):
        (place / f"{number}.json").write_text(json.dumps(answer))
        client.save_label(name, str(place / f"{number}.json"), f"batch-{number}")
        saved = Path(client.download_label(name, f"batch-{number}"))
        np.testing.assert_allclose(read_label_json(saved, placement), found, atol=1e-4, equal_nan=True)


def test_the_working_folder_is_private_and_keeps_no_upload(url: str, place: Path) -> None:
    for folder_ in (place / "app", place / "app" / "tmp", place / "app" / "sessions"):
        assert folder_.stat().st_mode & 0o077 == 0
    wait_until(lambda: not list((place / "app" / "tmp").glob("*.[dp][cn]*")), 20, "uploads are removed")
