"""Heatmaps are made on demand by a process of its own, lie where the landmark is, and leave nothing on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
from dicom_films import detection_on
from review_server import Serve, ids, send

from monai_ceph import CephalogramDetector
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.json_result import save_json
from monai_ceph.review.heatmaps import Heatmaps, NotPossibleError
from monai_ceph.work.heatmaps import Heatmap, film_heatmaps


def values(heatmap: Heatmap) -> np.ndarray:
    return np.array(Image.open(BytesIO(heatmap.png))).astype(float)


def centre(heatmap: Heatmap) -> np.ndarray:
    """Return the mean place (x, y) of the upper half of a heatmap, in source pixels."""
    shown = values(heatmap)
    rows, columns = np.nonzero(shown >= 128)
    y, x = (np.array([rows, columns]) + 0.5).mean(axis=1) / shown.shape
    return np.array([heatmap.x + x * heatmap.width, heatmap.y + y * heatmap.height])


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned and mirrored"])
def test_a_heatmap_lies_where_the_landmark_is(
    film: Path, detector: CephalogramDetector, tmp_path: Path, turned: bool
) -> None:
    path = tmp_path / "film.png"
    pixels = np.array(Image.open(film))
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels)[:, ::-1]) if turned else pixels).save(path)
    radiograph = read_radiograph(path)
    detection = detector(radiograph, force=True)
    found = film_heatmaps(detector, radiograph)
    assert tuple(found) == SYMBOLS
    rows, columns = radiograph.pixels.shape
    near = []
    for mark in detection.landmarks:
        heatmap = found[mark.symbol]
        assert heatmap.maximum == pytest.approx(mark.score, abs=1e-6)
        # the picture ends with the film, up to a pixel of the heatmap
        step = heatmap.width / values(heatmap).shape[1]
        assert -0.5 <= heatmap.x <= heatmap.x + heatmap.width <= columns - 0.5 + step
        assert -0.5 <= heatmap.y <= heatmap.y + heatmap.height <= rows - 0.5 + step
        if mark.x is not None and mark.y is not None:
            near.append(np.linalg.norm(centre(heatmap) - (mark.x, mark.y)) / step)
    # the detection takes the same mean, with weights
    assert len(near) >= 15
    assert np.median(near) < 1
    assert max(near) < 4


@pytest.fixture
def detected(film: Path, detector: CephalogramDetector, tmp_path: Path) -> Path:
    detection = detector(film, force=True).model_copy(update={"file": film.name})
    save_json(tmp_path / "results" / "json" / f"{film.name}.json", detection)
    return tmp_path / "results"


def test_the_server_gives_them_on_demand(serve: Serve, film: Path, detected: Path, tmp_path: Path) -> None:
    address = serve(detected, [film.parent], heatmaps=Heatmaps("cpu"))
    assert send(f"{address}/api/session").json["heatmaps"] is True
    (film_id,) = ids(address).values()
    before = sorted(tmp_path.rglob("*"))
    answer = send(f"{address}/api/films/{film_id}/heatmaps/S")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png"), answer.body
    place = json.loads(answer.headers["X-Monai-Ceph-Heatmap"])
    picture = Image.open(BytesIO(answer.body))
    assert (picture.mode, place["same_model"]) == ("L", True)
    assert place.keys() == {"x", "y", "width", "height", "maximum", "same_model"}
    page = send(f"{address}/api/films/{film_id}").json
    sella = page["detection"]["landmarks"][0]
    assert place["x"] < sella["x"] < place["x"] + place["width"]
    assert send(f"{address}/api/films/{film_id}/heatmaps/N").status == 200
    # those of people, and those that do not exist
    for symbol in ("U6", "XX"):
        assert send(f"{address}/api/films/{film_id}/heatmaps/{symbol}").status == 404
    assert sorted(tmp_path.rglob("*")) == before


def test_another_model_is_told(serve: Serve, film: Path, tmp_path: Path) -> None:
    pixels = np.array(Image.open(film))
    other = detection_on(
        file=film.name, image_uid=None, sop_class_uid=None, rows=pixels.shape[0], columns=pixels.shape[1]
    )
    save_json(tmp_path / "results" / "json" / f"{film.name}.json", other)
    address = serve(tmp_path / "results", [film.parent], heatmaps=Heatmaps("cpu"))
    answer = send(f"{address}/api/films/{ids(address)[film.name]}/heatmaps/S")
    assert json.loads(answer.headers["X-Monai-Ceph-Heatmap"])["same_model"] is False


def test_a_film_that_is_not_at_hand_has_none(serve: Serve, results: Path) -> None:
    address = serve(results, [])
    answer = send(f"{address}/api/films/{ids(address)['a.dcm']}/heatmaps/S")
    assert (answer.status, answer.json["detail"].startswith("a.dcm: the film is not at hand")) == (422, True)


def test_a_blind_reader_gets_none(serve: Serve, results: Path, films: Path) -> None:
    address = serve(results, [films], reviewer="One", blind=True)
    assert send(f"{address}/api/session").json["heatmaps"] is False
    assert send(f"{address}/api/films/{ids(address)['a.dcm']}/heatmaps/S").status == 403


def test_where_nothing_can_be_detected_it_says_so(serve: Serve, results: Path, films: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"local_weights": str(tmp_path / "none.pt")}))
    address = serve(results, [films], heatmaps=Heatmaps("cpu", (broken,)))
    film = ids(address)["a.dcm"]
    for _ in range(2):
        answer = send(f"{address}/api/films/{film}/heatmaps/S")
        assert answer.status == 503
        assert answer.json["detail"].startswith("detection is not possible here: ")
        assert "none.pt" in answer.json["detail"]
    assert send(f"{address}/api/films/{film}").status == 200


def test_a_detection_that_takes_too_long_is_ended(film: Path) -> None:
    heatmaps = Heatmaps("cpu", limit_s=0.01)
    with pytest.raises(NotPossibleError, match=r"took longer than 0\.01 s"):
        heatmaps.of("key", film, None)
    assert heatmaps._pool is None


# with a real server and requests of all kinds; it prints what its process imported
PROGRAM = """
import sys, threading, urllib.request, socket, json
from pathlib import Path
def main():
    import uvicorn
    from monai_ceph.review.app import make_app
    from monai_ceph.review.heatmaps import Heatmaps
    from monai_ceph.review.service import ReviewService
    service = ReviewService(Path(sys.argv[1]), [Path(sys.argv[2])], heatmaps=Heatmaps("cpu"))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(service), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/api/"
    open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    film = json.load(open_(address + "films"))[0]["id"]
    for rest in ("session", f"films/{film}", f"films/{film}/pixels", f"films/{film}/heatmaps/S", "accuracy", "readers"):
        assert open_(address + rest).status == 200
    body = json.dumps({"based_on": 0, "reviewer": "One"}).encode()
    headers = {"X-Monai-Ceph": "1", "Content-Type": "application/json"}
    try:
        open_(urllib.request.Request(f"{address}films/{film}/sign", body, headers))
    except urllib.error.HTTPError as error:
        assert error.code == 422
    server.should_exit = True
    thread.join()
    service.close()
    print("imported", sorted({"torch", "monai", "ignite"} & set(sys.modules)))
if __name__ == "__main__":
    main()
"""


def test_the_process_of_the_review_never_imports_torch(film: Path, detected: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command: list[Any] = [sys.executable, program, detected, film.parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "imported []"
