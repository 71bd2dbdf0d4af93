"""A node proposes a profile from the reviews that people sign in its folder, and never applies it."""

from __future__ import annotations

import json
import os
import shutil
import threading
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from nodes import film, free_port, running, settings, wait_until
from stand_in import StandIn

from monai_ceph import weights
from monai_ceph.commands.signed_films import SignedFilmReader
from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.pacs.check import check_proposal
from monai_ceph.pacs.config import NodeConfig, ProposeConfig
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.proposal_loop import ProposalLoop
from monai_ceph.profiles import Profile, load_profile, profile_text
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.json_result import save_json
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.service import ReviewService

SHAPE = np.array(weights.mean_shape())[:, ::-1]
HEAD = (SHAPE - SHAPE.mean(axis=0)) / np.sqrt(((SHAPE - SHAPE.mean(axis=0)) ** 2).sum(axis=1).mean())
RADIUS = 10.0
PORION = SYMBOLS.index("Po")


def kept(folder: Path, *numbers: int) -> None:
    """Put films and detections into a folder for reviews, as a node does: a head each, with some noise."""
    detector = StandIn()
    for each in ("films", "results/json"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        dataset = film(number)
        path = folder / "films" / f"{dataset.SOPInstanceUID}.dcm"
        dataset.save_as(path)
        found = detector(read_radiograph(path), force=True)
        places = (20, 24) + RADIUS * HEAD + np.random.default_rng(number).normal(0, 0.1, HEAD.shape)
        marks = tuple(
            mark.model_copy(update={"x": float(x), "y": float(y)})
            for mark, (x, y) in zip(found.landmarks, places, strict=True)
        )
        detection = found.model_copy(update={"landmarks": marks, "file": path.name})
        save_json(folder / "results" / "json" / f"{path.name}.json", detection)


def signed(folder: Path, *numbers: int, down: float) -> None:
    """Move Porion down by a share of the head's radius on films that are kept, and sign them."""
    service = ReviewService(folder / "results", [folder / "films"])
    films = {each.detection.image_uid: each for each in service.films.all()}
    for number in numbers:
        found = films[film(number).SOPInstanceUID]
        points = list(service.current(found).points)
        x, y = points[PORION].place or (np.nan, np.nan)
        points[PORION] = Point(symbol="Po", x=x, y=y + down * RADIUS, source="human")
        done = service.save(found, Save(based_on=0, reviewer="Dr. Example", points=tuple(points)))
        service.sign(found, Sign(based_on=done.revision, reviewer="Dr. Example"))


class Looking:
    """A loop on the reviews of a folder, and the ledger's audit."""

    def __init__(self, folder: Path, ledger: NodeLedger, in_use: Profile | None = None, after: int = 5) -> None:
        self.config = ProposeConfig(file=folder / "proposed.yaml", after_films=after, name="Clinic North")
        self.ledger = ledger
        shown = SignedFilmReader(folder / "kept")
        known = folder / "pictures.json"
        self.loop = ProposalLoop(self.config, in_use, StandIn().identity, lambda: SHAPE, shown, ledger, known)

    def proposals(self) -> list[Any]:
        return [row for row in self.ledger.audit_rows() if row["event"] == "profile proposed"]


@pytest.fixture
def looking(tmp_path: Path) -> Any:
    with closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        yield lambda **options: Looking(tmp_path, ledger, **options)


def test_after_enough_signed_films_there_is_a_proposal_and_nothing_else_changes(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 8))
    results = {path: path.read_bytes() for path in (tmp_path / "kept" / "results" / "json").iterdir()}
    mine = looking()
    mine.loop.learn_if_enough()
    assert (mine.loop.standing.signed, mine.loop.standing.file) == (0, None)
    signed(tmp_path / "kept", 1, 2, 3, 4, down=0.2)
    mine.loop.learn_if_enough()
    assert not mine.config.file.exists()
    assert mine.loop.standing.proposal.endswith("The next proposal needs 1 more signed film.")
    signed(tmp_path / "kept", 5, down=0.2)
    mine.loop.learn_if_enough()
    proposed = load_profile(mine.config.file)
    assert (proposed.name, proposed.films, set(proposed.landmarks)) == ("Clinic North", 5, {"Po"})
    assert proposed.landmarks["Po"].down == pytest.approx(0.2, abs=0.01)
    standing = mine.loop.standing
    assert standing.proposal.startswith("Proposal from 5 films: expected error ")
    assert (standing.in_use, standing.fits, standing.file) == (None, None, str(mine.config.file))
    # Porion is a nineteenth of all
    assert standing.now_mm == pytest.approx(0.2 * 1.0 / 19, rel=0.1)
    assert standing.then_mm < 0.2 * standing.now_mm
    assert len(mine.proposals()) == 1
    assert {path: path.read_bytes() for path in results} == results
    # two more are too few for the next one, also after a restart
    text = mine.config.file.read_text()
    signed(tmp_path / "kept", 6, 7, down=0.2)
    for each in (mine, looking()):
        each.loop.learn_if_enough()
        assert each.config.file.read_text() == text
        assert each.loop.standing.signed == 7
    assert len(mine.proposals()) == 1


def spoilt(file: Path) -> None:
    """Replace what is in a file, so that reading it fails, but leave its size and time as they are."""
    before = file.stat()
    file.write_bytes(b"?" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def learned(profile: Profile) -> dict[str, Any]:
    """Return what does not depend on the day."""
    return profile.model_dump(exclude={"created", "history"})


def test_what_did_not_change_is_not_read_again(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 11))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    mine = looking()
    mine.loop.learn_if_enough()
    shutil.copytree(tmp_path / "kept", tmp_path / "whole")
    films = [tmp_path / "kept" / "films" / f"{film(number).SOPInstanceUID}.dcm" for number in range(1, 6)]
    results = tmp_path / "kept" / "results"
    reviews = [path for path in (results / "reviews").glob("*/*.json") if json.loads(path.read_text())["revision"]]
    detections = [results / "json" / f"{path.name}.json" for path in films]
    assert (len(reviews), all(path.exists() for path in (*films, *detections))) == (10, True)
    for path in (*films, *reviews, *detections):
        spoilt(path)
    # more films: the next proposal needs all of them
    for folder in ("kept", "whole"):
        signed(tmp_path / folder, *range(6, 11), down=0.2)
    mine.loop.learn_if_enough()
    proposed = load_profile(mine.config.file)
    assert proposed.films == 10
    (tmp_path / "other").mkdir()
    with closing(NodeLedger(tmp_path / "other.sqlite")) as ledger:
        (tmp_path / "other" / "kept").symlink_to(tmp_path / "whole")
        fresh = Looking(tmp_path / "other", ledger)
        fresh.loop.learn_if_enough()
        assert learned(load_profile(fresh.config.file)) == learned(proposed)


def test_pictures_are_known_after_a_restart(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 6))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    looking().loop.learn_if_enough()
    proposed = load_profile(tmp_path / "proposed.yaml")
    for path in (tmp_path / "kept" / "films").iterdir():
        spoilt(path)
    (tmp_path / "proposed.yaml").unlink()
    looking().loop.learn_if_enough()
    assert learned(load_profile(tmp_path / "proposed.yaml")) == learned(proposed)
    # a damaged file is no state: the films are read, and these cannot be
    (tmp_path / "pictures.json").write_text("{")
    again = looking()
    again.loop.learn_if_enough()
    assert again.loop.standing.proposal.startswith("No signed film can be learned from yet.")


def test_a_changed_and_a_removed_review_count(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 11))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    mine = looking()
    mine.loop.learn_if_enough()
    assert mine.loop.standing.signed == 5
    first, second = (tmp_path / "kept" / "results" / "reviews" / f"{film(n).SOPInstanceUID}.dcm" for n in (1, 2))
    shutil.rmtree(first)
    # a copy of another day: Porion lies where it was detected
    file = second / "0002.json"
    values = json.loads(file.read_text())
    point = values["points"][PORION]
    (point["x"], point["y"]), point["moved_from"] = point["moved_from"], None
    file.write_text(json.dumps({**values, "points": [{**each, "source": "detected"} for each in values["points"]]}))
    signed(tmp_path / "kept", *range(6, 11), down=0.2)
    mine.loop.learn_if_enough()
    assert mine.loop.standing.signed == 9
    proposed = load_profile(mine.config.file)
    assert proposed.films == 9
    steps = sorted(each.steps[PORION][1] for each in proposed.evidence)
    assert steps == pytest.approx([0.0, *[0.2] * 8], abs=0.02)


def test_a_proposal_that_a_person_changed_is_kept(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 11))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    mine = looking()
    mine.loop.learn_if_enough()
    text = mine.config.file.read_text().replace("Clinic North", "Clinic South")
    mine.config.file.write_text(text)
    signed(tmp_path / "kept", *range(6, 11), down=0.2)
    with pytest.raises(CephError, match=r"proposed\.yaml: was not written by this software, or was changed since"):
        mine.loop.learn_if_enough()
    assert mine.config.file.read_text() == text


def test_what_fails_is_a_warning_and_does_not_end_the_node(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 6))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    mine = looking()
    mine.config.file.write_text("mine")
    ended = threading.Event()
    thread = threading.Thread(target=mine.loop.run, args=(ended,))
    thread.start()
    try:
        assert "proposed.yaml: was not written by this software" in wait_until(lambda: mine.loop.cause)
        mine.config.file.unlink()
        mine.loop.wake.set()
        wait_until(lambda: mine.config.file.exists() and mine.loop.cause is None)
    finally:
        ended.set()
        mine.loop.wake.set()
        thread.join()


def test_where_nothing_is_gained_nothing_is_proposed(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 6))
    signed(tmp_path / "kept", *range(1, 6), down=0.0)
    mine = looking()
    mine.loop.learn_if_enough()
    assert "would gain nothing" in mine.loop.standing.proposal
    assert not mine.config.file.exists()


def test_a_definition_that_changed_is_told(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 7))
    signed(tmp_path / "kept", *range(1, 7), down=0.2)
    first = looking()
    first.loop.learn_if_enough()
    in_use = load_profile(first.config.file)
    kept(tmp_path / "kept", *range(7, 13))
    signed(tmp_path / "kept", *range(7, 13), down=0.5)
    second = looking(in_use=in_use)
    second.loop.learn_if_enough()
    standing = second.loop.standing
    assert standing.changed == 1
    assert standing.fits.startswith("The profile no longer fits: on 6 new films, Porion lies elsewhere")
    assert standing.in_use == in_use.identity().label
    assert standing.films == 12
    # what is proposed keeps the films of the profile in use, and who taught it when
    proposed = load_profile(second.config.file)
    assert [lesson.films for lesson in proposed.history] == [6, 6]


def test_films_of_other_weights_are_left_out(looking: Any, tmp_path: Path) -> None:
    kept(tmp_path / "kept", *range(1, 6))
    for path in (tmp_path / "kept" / "results" / "json").iterdir():
        path.write_text(path.read_text().replace("0" * 64, "1" * 64))
    signed(tmp_path / "kept", *range(1, 6), down=0.2)
    mine = looking()
    mine.loop.learn_if_enough()
    assert mine.loop.standing.proposal.startswith("No signed film can be learned from yet.")


def test_a_running_node_shows_what_it_proposes(tmp_path: Path) -> None:
    folder, port = tmp_path / "kept", free_port()
    kept(folder, *range(1, 7))
    signed(folder, *range(1, 7), down=0.2)
    values = settings(
        tmp_path,
        review_folder=str(folder),
        propose={"file": str(tmp_path / "proposed.yaml"), "after_films": 5, "every_s": 1},
        http={"port": port},
    )

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.read().decode()

    with running(tmp_path, values) as node:
        node.wait_for("profile proposed", seconds=60)
        standing = wait_until(lambda: json.loads(page("/status"))["profile"])
        assert (standing["signed"], standing["films"]) == (6, 6)
        shown = page("/")
        assert "Proposal from 6 films: expected error" in shown
        assert f"The last proposal is {tmp_path / 'proposed.yaml'}." in shown
        assert "monai_ceph_proposal_films 6.0" in page("/metrics")
        assert 'monai_ceph_expected_error_mm{profile="proposed"}' in page("/metrics")
        assert json.loads(page("/ready"))["warnings"] == []
    assert load_profile(tmp_path / "proposed.yaml").films == 6


class TestConfig:
    def test_without_a_folder_for_reviews(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="propose needs review_folder"):
            NodeConfig.model_validate(settings(tmp_path, propose={"file": "proposed.yaml"}))

    @pytest.mark.parametrize(("key", "value"), [("after_films", 2), ("every_s", 0), ("name", ""), ("apply", True)])
    def test_a_value_that_makes_no_sense(self, tmp_path: Path, key: str, value: object) -> None:
        values = settings(tmp_path, review_folder="kept", propose={"file": "proposed.yaml", key: value})
        with pytest.raises(ValueError, match=rf"propose\.{key}"):
            NodeConfig.model_validate(values)

    def test_paths_start_at_the_file_of_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "clinic.yaml").touch()
        values = settings(tmp_path, review_folder="kept", propose={"file": "proposed.yaml"})
        values["detect"]["profile"] = "clinic.yaml"
        (tmp_path / "node.yaml").write_text(yaml.safe_dump(values))
        config = read_config(tmp_path / "node.yaml")
        assert config.propose is not None
        assert (config.propose.file, config.detect.profile) == (tmp_path / "proposed.yaml", tmp_path / "clinic.yaml")

    def test_files_that_a_proposal_must_not_replace(self, looking: Any, tmp_path: Path) -> None:
        kept(tmp_path / "kept", *range(1, 6))
        signed(tmp_path / "kept", *range(1, 6), down=0.2)
        mine = looking()
        mine.loop.learn_if_enough()
        in_use = tmp_path / "clinic.yaml"
        in_use.write_text(profile_text(load_profile(mine.config.file)))
        check_proposal(mine.config, in_use)
        for file, message in (
            (in_use, "is the profile in use"),
            (tmp_path / "other" / ".." / "clinic.yaml", "is the profile in use|No such file"),
            (tmp_path / "node.sqlite", r"the name must end in \.yaml"),
        ):
            with pytest.raises(CephError, match=message):
                check_proposal(ProposeConfig(file=file), in_use)
        with pytest.raises(CephError, match=r"clinic\.yaml: was not written by this software"):
            check_proposal(ProposeConfig(file=in_use), None)
