"""The contract between page and server, over HTTP."""

from __future__ import annotations

import csv
import gzip
import http.client
import socket
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from dicom_films import COLUMNS, ROWS, detection_on
from PIL import Image
from review_server import Serve, draft, ids, send

from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.reports.json_result import save_json
from monai_ceph.review.hosts import Hosts
from monai_ceph.review.pictures import accepts_gzip

TOKEN = "abc123" * 4


def test_films_that_need_a_person_come_first(address: str) -> None:
    rows = send(f"{address}/api/films").json
    assert [row["film"] for row in rows] == ["b.png", "a.dcm"]
    assert (rows[0]["missing"], rows[0]["uncertain"], rows[0]["state"], rows[0]["revision"]) == (2, 3, "open", 0)
    assert rows[0]["attention"][0] == {"code": "missing", "text": "missing: S, Go"}
    assert rows[0]["patient"] is None
    assert rows[1]["patient"] == {"name": "Doe^Jane", "id": "P-17", "birth_date": "19800229", "sex": "F"}
    assert all(len(row["id"]) == 32 and row["id"].isalnum() for row in rows)


def test_what_a_person_decided_needs_no_look(address: str) -> None:
    film = ids(address)["b.png"]
    assert send(f"{address}/api/films/{film}/review", "PUT", draft(address, film, S=(100, 50))).status == 200
    row = next(row for row in send(f"{address}/api/films").json if row["film"] == "b.png")
    assert (row["missing"], row["state"]) == (1, "draft")
    assert row["attention"][0]["text"] == "missing: Go"


def test_radii_warnings_and_classes_order_films_too(serve: Serve, results: Path, films: Path) -> None:
    """Of films without a doubtful landmark: a warning, then classes that are not certain, then the longest radius."""
    calm = detection_on(image_uid=None, warnings=())
    marks = tuple(mark.model_copy(update={"status": "ok"}) for mark in calm.landmarks)
    wide = tuple(mark.model_copy(update={"radius_90_px": 9.0 + 4 * (mark.symbol == "Me")}) for mark in marks)
    exact = {"radius_90_px": 0.001, "radius_95_px": 0.002}
    made = {
        "e": [mark.model_copy(update=exact) for mark in marks],
        "d": [mark.model_copy(update={**exact, "radius_90_px": 5.0}) for mark in marks],
        "c": [mark.model_copy(update={"radius_95_px": 20.0, "radius_90_px": 0.001}) for mark in marks],
        "w": wide,
    }
    for name, landmarks in made.items():
        about = {"file": f"{name}.png", "landmarks": tuple(landmarks), "warnings": ("Odd.",) if name == "w" else ()}
        save_json(results / "json" / f"{name}.png.json", calm.model_copy(update=about))
    rows = {row["film"]: row for row in send(f"{serve(results, [films])}/api/films").json}
    assert list(rows) == ["b.png", "a.dcm", "w.png", "c.png", "d.png", "e.png"]
    (doubt,) = rows["c.png"]["attention"]
    assert doubt["code"] == "class"
    assert doubt["text"].startswith("class not certain: APDI, ")
    # the sign of MW jumps at 0, where this head is
    assert [one["text"] for one in rows["e.png"]["attention"]] == ["class not certain: MW"]


def test_a_film_that_is_finished_comes_last(address: str) -> None:
    film = ids(address)["b.png"]
    body = draft(address, film, S=(100, 50), Go=None)
    assert send(f"{address}/api/films/{film}/review", "PUT", body).status == 200
    assert send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 1, "reviewer": "Dr. Example"}).status == 200
    rows = send(f"{address}/api/films").json
    assert [(row["film"], row["state"], row["reviewer"]) for row in rows] == [
        ("a.dcm", "open", None),
        ("b.png", "final", "Dr. Example"),
    ]


def test_no_patient_is_shown_on_request(serve: Serve, results: Path, films: Path) -> None:
    address = serve(results, [films], deidentify=True)
    assert [row["patient"] for row in send(f"{address}/api/films").json] == [None, None]


def test_pixels_are_those_of_the_film(address: str, films: Path) -> None:
    found = ids(address)
    expected = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 4096
    answer = send(f"{address}/api/films/{found['a.dcm']}/pixels")
    assert np.array_equal(np.frombuffer(answer.body, "<u2").reshape(ROWS, COLUMNS), expected)
    again = send(f"{address}/api/films/{found['a.dcm']}/pixels", If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    answer = send(f"{address}/api/films/{found['b.png']}/pixels")
    assert np.array_equal(
        np.frombuffer(answer.body, "<u2").reshape(ROWS, COLUMNS), np.array(Image.open(films / "b.png"))
    )
    page = send(f"{address}/api/films/{found['a.dcm']}").json
    assert (page["width"], page["height"], page["minimum"], page["maximum"]) == (COLUMNS, ROWS, 0, 4095)


def test_pixels_are_packed_for_clients_that_unpack_them(address: str) -> None:
    film = f"{address}/api/films/{ids(address)['a.dcm']}/pixels"
    plain, packed = send(film), send(film, Accept_Encoding="br;q=1.0, gzip;q=0.8")
    assert (plain.headers["Content-Encoding"], packed.headers["Content-Encoding"]) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    # a cache must not take one for the other
    assert plain.headers["ETag"] != packed.headers["ETag"]
    again = send(film, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert send(film, Accept_Encoding="gzip", If_None_Match=plain.headers["ETag"]).status == 200


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("gzip", True),
        ("deflate, GZIP ; q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("br, zstd", False),
    ],
)
def test_what_a_client_unpacks_is_read_from_its_header(header: str, allowed: bool) -> None:
    assert accepts_gzip(header) is allowed


def test_thumbnails_are_small_and_kept(address: str, results: Path) -> None:
    film = ids(address)["a.dcm"]
    first = send(f"{address}/api/films/{film}/thumbnail")
    assert first.body.startswith(b"\x89PNG")
    (kept,) = (results / "reviews" / ".thumbnails").iterdir()
    assert max(Image.open(kept).size) == 160
    assert send(f"{address}/api/films/{film}/thumbnail").body == first.body == kept.read_bytes()


def test_a_review_starts_with_the_detection(address: str) -> None:
    page = send(f"{address}/api/films/{ids(address)['b.png']}").json
    assert [point["symbol"] for point in page["review"]["points"]] == list(SYMBOLS)
    assert page["review"]["points"][0] == {
        "symbol": "S", "x": None, "y": None, "source": "detected", "moved_from": None, "by": None,
    }  # fmt: skip
    assert (page["review"]["revision"], page["review"]["state"], page["history"]) == (0, "open", [])
    assert page["detection"]["landmarks"][1]["score"] == 0.5 + 1 / 64
    vocabulary = send(f"{address}/api/session").json["vocabulary"]
    assert [each["symbol"] for each in vocabulary] == [*SYMBOLS, *EXTRA_SYMBOLS]
    assert [each["detected"] for each in vocabulary] == [True] * 19 + [False] * len(EXTRA_SYMBOLS)


def test_a_moved_point_says_from_where(address: str) -> None:
    film = ids(address)["a.dcm"]
    body = draft(address, film, N=(33.5, 61), U6=(10, 20))
    saved = send(f"{address}/api/films/{film}/review", "PUT", body).json
    points = {point["symbol"]: point for point in saved["points"]}
    where = {"symbol": "N", "x": 33.5, "y": 61.0, "source": "human", "moved_from": [30.25, 60.75]}
    assert points["N"] == {**where, "by": "Dr. Example"}
    assert points["U6"]["moved_from"] is None
    assert points["A"]["source"] == "detected"
    page = send(f"{address}/api/films/{film}").json
    assert page["review"] == saved
    assert [(each["revision"], each["state"], each["changes"]) for each in page["history"]] == [(1, "draft", 2)]


def test_each_point_and_the_scale_keep_the_name_of_who_gave_them(address: str) -> None:
    """A second person who moves one more point and signs takes over no decision of the first."""
    film = ids(address)["a.dcm"]
    line = {"x1": 0, "y1": 0, "x2": 0, "y2": 100, "mm": 25}
    first = draft(address, film, N=(33.5, 61), Po=None) | {"calibration": line}
    assert send(f"{address}/api/films/{film}/review", "PUT", first).status == 200
    second = draft(address, film, reviewer="Dr. Second", A=(50, 80)) | {"calibration": line}
    # what a page claims does not count
    second["points"] = [{**point, "by": "Dr. Forged"} for point in second["points"]]
    assert send(f"{address}/api/films/{film}/review", "PUT", second).status == 200
    body = {"based_on": 2, "reviewer": "Dr. Third"}
    signed = send(f"{address}/api/films/{film}/sign", "POST", body).json
    by = {point["symbol"]: point["by"] for point in signed["points"] if point["source"] != "detected"}
    assert by == {"N": "Dr. Example", "Po": "Dr. Example", "A": "Dr. Second"}
    assert {point["by"] for point in signed["points"] if point["source"] == "detected"} == {None}
    assert (signed["reviewer"], signed["calibration"]["by"]) == ("Dr. Third", "Dr. Example")
    rows = csv.DictReader(send(f"{address}/api/audit.csv").body.decode().splitlines())
    last = {row["symbol"]: (row["reviewer"], row["observer"]) for row in rows if row["revision"] == "3"}
    assert last["N"] == ("Dr. Third", "Dr. Example")
    # another length is another person's
    third = draft(address, film, reviewer="Dr. Third") | {"calibration": {**line, "mm": 30}}
    saved = send(f"{address}/api/films/{film}/review", "PUT", third).json
    assert saved["calibration"]["by"] == "Dr. Third"


def test_classes_and_verdicts_follow_points(address: str) -> None:
    film = ids(address)["a.dcm"]
    answers = []
    for place in ((150, 120), (20, 60)):
        body = {"points": draft(address, film, A=place)["points"], "calibration": None}
        answers.append(send(f"{address}/api/films/{film}/measure", "POST", body).json)
    classes = [{each["symbol"]: each["text"] for each in answer["classes"]} for answer in answers]
    assert classes[0].keys() == {"ANB", "SNB", "SNA", "ODI", "APDI", "FHI", "SN-GoGn", "MW"}
    assert classes[0]["SNA"] != classes[1]["SNA"]
    assert classes[0]["SNB"] == classes[1]["SNB"]
    assert all(each["certain"] == (not each["text"].startswith("not certain: ")) for each in answers[0]["classes"])
    known = {each["verdict"] for each in answers[0]["measurements"] if each["norm"] and each["value"] is not None}
    assert known <= {"within", "above", "below", "not certain"}
    assert {each["verdict"] for each in answers[0]["measurements"] if not each["norm"]} == {""}


def test_measurements_follow_points_that_are_not_saved(address: str) -> None:
    film = ids(address)["a.dcm"]
    body = draft(address, film, A=(150, 120))
    measured = send(f"{address}/api/films/{film}/measure", "POST", {"points": body["points"], "calibration": None}).json
    before = send(f"{address}/api/films/{film}").json
    values = [{each["symbol"]: each["value"] for each in answer["measurements"]} for answer in (before, measured)]
    assert values[0]["SNA"] != values[1]["SNA"]
    assert values[0]["SNB"] == values[1]["SNB"]
    assert before["review"]["revision"] == 0


def test_a_known_length_gives_the_scale(address: str) -> None:
    film = ids(address)["a.dcm"]
    body = draft(address, film)
    # the film's rows are twice as far apart as its columns: 0.25 and 0.125 mm; here all is double
    line = {"x1": 0, "y1": 0, "x2": 0, "y2": 100, "mm": 50}
    sides = []
    for calibration in (None, line):
        answer = send(
            f"{address}/api/films/{film}/measure", "POST", {"points": body["points"], "calibration": calibration}
        )
        sides.append({each["symbol"]: each["value"] for each in answer.json["measurements"] if each["unit"] == "mm"})
    known = [symbol for symbol, value in sides[0].items() if value]
    assert known
    assert {symbol: sides[1][symbol] for symbol in known} == pytest.approx(
        {symbol: 2 * sides[0][symbol] for symbol in known}
    )


def test_the_later_of_two_writers_is_told(address: str) -> None:
    film = ids(address)["a.dcm"]
    one, other = draft(address, film, "One", N=(40, 60)), draft(address, film, "Two", N=(50, 60))
    first = send(f"{address}/api/films/{film}/review", "PUT", one)
    second = send(f"{address}/api/films/{film}/review", "PUT", other)
    assert (first.status, second.status) == (200, 409)
    assert second.json == {"detail": "somebody else saved this film in the meantime", "current": first.json}
    signed = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 0, "reviewer": "Two"})
    assert (signed.status, signed.json["current"]) == (409, first.json)


def test_a_change_after_the_signature_says_what_it_replaces(address: str) -> None:
    film = ids(address)["a.dcm"]
    signed = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 0, "reviewer": "One"}).json
    assert (signed["revision"], signed["state"], signed["replaces"]) == (1, "final", None)
    twice = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 1, "reviewer": "One"})
    assert (twice.status, twice.json["detail"]) == (422, "revision 1 is final already")
    changed = send(f"{address}/api/films/{film}/review", "PUT", draft(address, film, "Two", N=(40, 60))).json
    assert (changed["revision"], changed["state"], changed["replaces"]) == (2, "draft", 1)
    final = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 2, "reviewer": "Two"}).json
    assert (final["revision"], final["state"], final["replaces"]) == (3, "final", 1)


def test_an_undecided_landmark_cannot_be_signed(address: str) -> None:
    film = ids(address)["b.png"]
    answer = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 0, "reviewer": "One"})
    assert answer.status == 422
    assert answer.json["detail"].startswith("undecided: S, Go.")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"symbol": "N", "x": 300.0, "y": 60.0, "source": "human"}, "N is not on the film"),
        ({"symbol": "N", "x": 31.0, "y": 60.75, "source": "detected"}, "N is not where the model found it"),
        ({"symbol": "XX", "x": 31.0, "y": 60.0, "source": "human"}, "no landmark has the symbol 'XX'"),
        ({"symbol": "U6", "x": 31.0, "y": 60.0, "source": "detected"}, "U6 is not detected by the model"),
        ({"symbol": "S", "x": 31.0, "y": 60.0, "source": "human"}, "S appears twice"),
    ],
)
def test_points_that_cannot_be_right_are_refused(address: str, change: dict[str, object], detail: str) -> None:
    film = ids(address)["a.dcm"]
    body = draft(address, film)
    body["points"] = [
        point for point in body["points"] if point["symbol"] != change["symbol"] or point["symbol"] == "S"
    ]
    body["points"].append({"moved_from": None, **change})
    answer = send(f"{address}/api/films/{film}/review", "PUT", body)
    assert (answer.status, answer.json["detail"].startswith(detail)) == (422, True), answer.body
    assert send(f"{address}/api/films/{film}").json["review"]["revision"] == 0


class TestBlind:
    def test_hides_the_detection_and_other_readers(self, serve: Serve, results: Path, films: Path) -> None:
        one = serve(results, [films], reviewer="One", blind=True)
        film = ids(one)["a.dcm"]
        page = send(f"{one}/api/films/{film}").json
        assert page["detection"] is None
        assert {point["x"] for point in page["review"]["points"]} == {None}
        assert [row["attention"] for row in send(f"{one}/api/films").json] == [[], []]
        assert send(f"{one}/api/accuracy").status == send(f"{one}/api/readers").status == 403
        assert send(f"{one}/api/readers/values?reader=Two&reference=One").status == 403
        body = draft(one, film, "One", N=(40, 60))
        saved = send(f"{one}/api/films/{film}/review", "PUT", body).json
        assert {point["symbol"]: point for point in saved["points"]}["N"]["moved_from"] is None
        other = serve(results, [films], reviewer="Two", blind=True)
        assert send(f"{other}/api/films/{film}").json["review"]["revision"] == 0
        foreign = send(f"{one}/api/films/{film}/review", "PUT", {**body, "based_on": 1, "reviewer": "Two"})
        assert (foreign.status, foreign.json["detail"].startswith("this is the blind reading of One")) == (422, True)

    def test_readers_are_compared(self, serve: Serve, results: Path, films: Path) -> None:
        steps = {"One": 0.0, "Two": 8.0}
        for name, step in steps.items():
            address = serve(results, [films], reviewer=name, blind=True)
            for film in ids(address).values():
                points = {symbol: (20 + step + 10 * index, 60 + 10 * index) for index, symbol in enumerate(SYMBOLS)}
                send(f"{address}/api/films/{film}/review", "PUT", draft(address, film, name, **points))
                signed = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 1, "reviewer": name})
                assert signed.status == 200
        address = serve(results, [films])
        rows = send(f"{address}/api/readers").json
        (x_of_n,) = (
            row for row in rows
            if (row["reader"], row["reference"], row["symbol"], row["axis"]) == ("Two", "One", "N", "x")
        )  # fmt: skip
        # 8 pixels of 0.125 mm
        assert (x_of_n["films"], x_of_n["bias"], x_of_n["sd"]) == (2, pytest.approx(1.0), pytest.approx(0.0))
        assert x_of_n["dahlberg"] == pytest.approx(0.5**0.5)
        assert {row["reader"] for row in rows} == {"Two", "model"}
        values = send(f"{address}/api/readers/values?reader=Two&reference=One").json
        (pairs,) = (each["values"] for each in values if (each["symbol"], each["axis"]) == ("N", "x"))
        assert [pair["film"] for pair in pairs] == ["a.dcm", "b.png"]
        assert [pair["reader"] - pair["reference"] for pair in pairs] == pytest.approx([1.0, 1.0])
        assert {each["kind"] for each in values} == {"landmark", "measurement"}
        assert send(f"{address}/api/readers/values?reader=Two&reference=Three").status == 404
        table = send(f"{address}/api/readers.csv").body.decode().splitlines()
        assert table[0].startswith("reader,reference,kind,symbol,axis,unit,films")
        assert len(table) == len(rows) + 1


def test_how_far_points_were_moved(address: str) -> None:
    film = ids(address)["a.dcm"]
    send(f"{address}/api/films/{film}/review", "PUT", draft(address, film, N=(30.25 + 8, 60.75), Po=None))
    assert send(f"{address}/api/accuracy").json == []
    send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 1, "reviewer": "One"})
    rows = {row["symbol"]: row for row in send(f"{address}/api/accuracy").json}
    assert rows["N"] | {"symbol": ""} == {
        "symbol": "", "films": 1, "median_mm": 1.0, "p95_mm": 1.0, "moved": 1, "removed": 0, "added": 0,
        "without_scale": 0,
    }  # fmt: skip
    assert (rows["A"]["median_mm"], rows["A"]["moved"]) == (0.0, 0)
    assert (rows["Po"]["films"], rows["Po"]["removed"], rows["Po"]["median_mm"]) == (0, 1, None)


class TestSafety:
    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
    def test_another_host_name_is_refused(self, address: str, host: str) -> None:
        assert send(f"{address}/api/films", Host=host).status == 400

    def test_names_of_this_machine_are_allowed(self, address: str) -> None:
        for host in ("localhost", "LOCALHOST:8010", "127.0.0.1", "[::1]:8010", "localhost."):
            assert send(f"{address}/api/session", Host=host).status == 200

    @pytest.mark.parametrize("path", ["/", "/api/films", f"/?token={TOKEN}"])
    def test_another_host_name_is_refused_with_a_token_too(
        self, serve: Serve, results: Path, films: Path, path: str
    ) -> None:
        """Otherwise a page that is resolved to this server by another name could send the browser's cookie."""
        address = serve(results, [films], token=TOKEN, hosts=Hosts(["Review.Clinic.Example"], others=True))
        cookie = f"monai-ceph-review={TOKEN}"
        for host in ("evil.example", "review.clinic.example.evil.example", "", "a@127.0.0.1", "127.0.0.1/x"):
            answer = send(address + path, Host=host or " ", Cookie=cookie)
            assert (answer.status, answer.body) == (400, b"Invalid host header"), host
        own = socket.gethostname()
        for host in ("review.clinic.example", "review.clinic.example:443", "10.1.2.3:8010", "[fe80::1]:8010", own):
            assert send(address + path, Host=host, Cookie=cookie).status in (200, 303), host

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("https://review.clinic.example", 200),
            ("https://review.clinic.example:8443", 200),
            ("http://evil.example", 403),
            ("https://review.clinic.example.evil.example", 403),
            ("null", 403),
            ("http://[", 403),
        ],
    )
    def test_only_pages_of_allowed_names_may_write_with_a_token(
        self, serve: Serve, results: Path, films: Path, origin: str, status: int
    ) -> None:
        """A proxy in front may call the server by another name than the browser calls the proxy."""
        address = serve(results, [films], token=TOKEN, hosts=Hosts(["review.clinic.example"], others=True))
        cookie = f"monai-ceph-review={TOKEN}"
        film = next(row["id"] for row in send(f"{address}/api/films", Cookie=cookie).json if row["film"] == "a.dcm")
        body = {"based_on": 0, "reviewer": "One"}
        url = f"{address}/api/films/{film}/sign"
        assert send(url, "POST", body, Origin=origin, Cookie=cookie).status == status

    @pytest.mark.parametrize("headers", [{"X_Monai_Ceph": ""}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
    def test_another_sites_page_cannot_write(self, address: str, headers: dict[str, str]) -> None:
        film = ids(address)["a.dcm"]
        answer = send(f"{address}/api/films/{film}/review", "PUT", draft(address, film), **headers)
        assert answer.status == 403
        assert send(f"{address}/api/films/{film}").json["review"]["revision"] == 0
        own = send(f"{address}/api/films/{film}/review", "PUT", draft(address, film), Origin=address)
        assert own.status == 200

    def test_another_sites_page_cannot_read(self, address: str) -> None:
        assert send(f"{address}/api/films", Sec_Fetch_Site="cross-site").status == 403
        assert "Access-Control-Allow-Origin" not in send(f"{address}/api/films", Origin="http://evil.example").headers

    @pytest.mark.parametrize("path", ["../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a.dcm", "..%5c..", "%00"])
    @pytest.mark.parametrize("prefix", ["/api/films/", "/assets/"])
    def test_no_path_comes_from_the_client(self, address: str, prefix: str, path: str) -> None:
        where = urlsplit(address)
        connection = http.client.HTTPConnection(str(where.hostname), where.port)
        # urllib would clean the path
        connection.request("GET", prefix + path)
        assert connection.getresponse().status == 404
        connection.close()

    def test_the_page_may_load_nothing_from_elsewhere(self, address: str) -> None:
        for path in ("/", "/api/films"):
            policy = send(address + path).headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy

    def test_a_token_is_asked_for(self, serve: Serve, results: Path, films: Path) -> None:
        address = serve(results, [films], token="abc123" * 4)
        assert [send(address + path).status for path in ("/", "/api/films", "/?token=wrong")] == [401, 401, 401]
        login = send(f"{address}/?token={'abc123' * 4}")
        assert (login.status, login.headers["Location"]) == (303, "/")
        cookie = login.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert send(f"{address}/api/films", Cookie=cookie.partition(";")[0]).status == 200
        assert send(f"{address}/api/films", Cookie="monai-ceph-review=wrong").status == 401
