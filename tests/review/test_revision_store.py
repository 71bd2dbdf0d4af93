"""Revisions and their audit survive kills, full disks and two writers, and show every change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_ceph.errors import CephError
from monai_ceph.review.audit import AUDIT, HEAD, entries, faults, foreign, head
from monai_ceph.review.models import Calibration, Point, StoredRevision
from monai_ceph.review.store import Conflict, RevisionStore

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
points = st.one_of(
    st.builds(Point, symbol=st.just("S"), x=numbers, y=numbers, source=st.just("human"), moved_from=st.none()),
    st.builds(
        Point,
        symbol=st.just("N"),
        x=numbers,
        y=numbers,
        source=st.just("human"),
        moved_from=st.tuples(numbers, numbers),
    ),
    st.builds(Point, symbol=st.just("A"), x=st.none(), y=st.none(), source=st.just("absent"), moved_from=st.none()),
)
lines = st.builds(Calibration, x1=numbers, y1=numbers, x2=numbers, y2=numbers, mm=st.floats(0.1, 1000))


def revision(number: int, note: str = "", **changes: object) -> StoredRevision:
    values = {
        "revision": number,
        "state": "draft",
        "reviewer": "Dr. Example",
        "saved_at": datetime(2026, 1, 2, tzinfo=timezone.utc),
        "points": (Point(symbol="S", x=1.5, y=2.5, source="human", moved_from=(1.0, 2.0)),),
        "note": note,
        "film": "a.dcm",
        "image_uid": "1.2.3",
        "size": (300, 400),
        "weights_sha256": "ab",
        "recipe_sha256": "cd",
        "changes": ("S",),
    }
    return StoredRevision.model_validate({**values, **changes})


@pytest.fixture
def store(tmp_path: Path) -> RevisionStore:
    return RevisionStore(tmp_path / "reviews")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(points, max_size=3, unique_by=lambda point: point.symbol),
    st.none() | lines,
    st.text(max_size=50).filter(lambda text: text.isprintable()),
)
def test_what_is_saved_is_read(found: list[Point], line: Calibration | None, note: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = revision(1, note, points=tuple(found), calibration=line)
        RevisionStore(Path(folder)).add("film", saved, "saved", [])
        assert RevisionStore(Path(folder)).newest("film") == saved
        assert faults(Path(folder)) == []


def test_in_a_file_of_schema_1_0_every_decision_is_that_of_the_reviewer(store: RevisionStore) -> None:
    moved = Point(symbol="S", x=1.5, y=2.5, source="human", moved_from=(1.0, 2.0))
    found = Point(symbol="N", x=3.0, y=4.0, source="detected")
    line = Calibration(x1=0, y1=0, x2=10, y2=0, mm=5)
    store.add("film", revision(1, schema_version="1.0", points=(moved, found), calibration=line), "saved", [])
    newest = store.newest("film")
    assert newest is not None
    assert newest.calibration is not None
    assert [point.by for point in newest.points] == ["Dr. Example", None]
    assert newest.calibration.by == "Dr. Example"


def test_a_revision_is_never_replaced(store: RevisionStore) -> None:
    store.add("film", revision(1, "first"), "saved", [])
    with pytest.raises(Conflict) as caught:
        RevisionStore(store.folder).add("film", revision(1, "second"), "saved", [])
    assert caught.value.current is not None
    assert caught.value.current.note == "first"
    with pytest.raises(Conflict):
        store.add("film", revision(3), "saved", [])
    assert [each.note for each in store.history("film")] == ["first"]
    assert faults(store.folder) == []


def test_of_many_writers_at_once_one_wins(store: RevisionStore) -> None:
    won, lost = [], []

    def write(number: int) -> None:
        try:
            RevisionStore(store.folder).add("film", revision(1, str(number)), "saved", [])
            won.append(number)
        except Conflict:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert faults(store.folder) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_revision_store import revision
from monai_ceph.review import store as stores
store = stores.RevisionStore(Path({folder!r}))
store.add("film", revision(1), "saved", [])
def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
setattr({module}, {step!r}, killed)
store.add("film", revision(2, "second"), "saved", [])
"""


@pytest.mark.parametrize(("module", "step", "kept"), [("stores", "append", 1), ("stores", "_name", 2)])
def test_a_kill_amid_a_save_loses_nothing_that_was_confirmed(
    store: RevisionStore, module: str, step: str, kept: int
) -> None:
    program = KILLED.format(tests=str(Path(__file__).parent), folder=str(store.folder), module=module, step=step)
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store.recover()
    assert store.numbers("film") == list(range(1, kept + 1))
    assert faults(store.folder) == []
    assert store.add("film", revision(kept + 1), "saved", []).revision == kept + 1
    assert not list(store.folder.glob("*/.*.part"))
    assert faults(store.folder) == []


FULL = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_revision_store import revision
from monai_ceph.review.store import RevisionStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = RevisionStore(Path({folder!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    store.add("film", revision(2, "second"), "saved", [{{"symbol": "S" * {moves}}}])
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize(("limit", "moves"), [(100, 1), (2000, 4000)], ids=["revision", "audit"])
def test_a_full_disk_changes_nothing(store: RevisionStore, limit: int, moves: int) -> None:
    store.add("film", revision(1), "saved", [])
    before = {path: path.read_bytes() for path in store.folder.rglob("*.json*")}
    program = FULL.format(tests=str(Path(__file__).parent), folder=str(store.folder), limit=limit, moves=moves)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "File too large", done.stderr
    assert {path: path.read_bytes() for path in store.folder.rglob("*.json*")} == before
    assert store.add("film", revision(2), "saved", []).revision == 2
    assert faults(store.folder) == []


def test_a_torn_line_was_never_confirmed(store: RevisionStore) -> None:
    store.add("film", revision(1), "saved", [])
    with (store.folder / AUDIT).open("a") as stream:
        stream.write('{"sequence": 2, "torn')
    assert faults(store.folder) == []
    store.add("film", revision(2), "saved", [])
    assert [entry["sequence"] for entry in entries(store.folder / AUDIT)] == [1, 2]
    assert faults(store.folder) == []


def three(store: RevisionStore) -> Path:
    for number in (1, 2, 3):
        store.add("film", revision(number), "saved", [])
    assert faults(store.folder) == []
    return store.folder / AUDIT


def test_a_changed_line_is_found(store: RevisionStore) -> None:
    audit = three(store)
    audit.write_text(audit.read_text().replace("Dr. Example", "Dr. Other", 1))
    assert faults(store.folder) == ["line 1 was changed"]


def test_a_removed_line_is_found(store: RevisionStore) -> None:
    audit = three(store)
    all_lines = audit.read_text().splitlines(keepends=True)
    audit.write_text(all_lines[0] + all_lines[2])
    first, cut, second = faults(store.folder)
    assert first.startswith("line 2 does not follow")
    assert cut.startswith("lines were cut off at the end")
    assert second.startswith("film/0002.json is not in the audit")


def test_lines_that_were_cut_off_at_the_end_are_found(store: RevisionStore) -> None:
    audit = three(store)
    audit.write_text("".join(audit.read_text().splitlines(keepends=True)[:2]))
    cut, fault = faults(store.folder)
    assert cut == "lines were cut off at the end: audit.head.json names line 3, and there are 2"
    assert fault.startswith("film/0003.json is not in the audit: lines were cut off")


def test_lines_that_were_cut_off_together_with_their_revisions_are_found(store: RevisionStore) -> None:
    audit = three(store)
    newest = head(store.folder)
    assert newest == (3, list(entries(audit))[-1]["hash"])
    audit.write_text("".join(audit.read_text().splitlines(keepends=True)[:2]))
    (store.folder / "film" / "0003.json").unlink()
    assert faults(store.folder) == ["lines were cut off at the end: audit.head.json names line 3, and there are 2"]
    # nothing is added that would hide it
    before = audit.read_bytes()
    with pytest.raises(CephError, match="lines were cut off at the end"):
        RevisionStore(store.folder).add("film", revision(3), "saved", [])
    assert audit.read_bytes() == before
    assert store.numbers("film") == [1, 2]
    # whoever may write everything cuts the head as well; a line that is quoted elsewhere tells
    (store.folder / HEAD).unlink()
    assert faults(store.folder) == []
    assert foreign(store.folder, [("report", newest)]) == ["report quotes line 3, which was cut off"]
    store.add("film", revision(3, "another"), "saved", [])
    assert foreign(store.folder, [("report", newest)]) == ["report quotes line 3, which is another one in this audit"]


def test_a_kill_before_the_head_is_written_is_no_fault(store: RevisionStore) -> None:
    three(store)
    old = (store.folder / HEAD).read_bytes()
    store.add("film", revision(4), "saved", [])
    (store.folder / HEAD).write_bytes(old)
    assert faults(store.folder) == []
    store.add("film", revision(5), "saved", [])
    assert head(store.folder) == (5, list(entries(store.folder / AUDIT))[-1]["hash"])


def test_a_damaged_head_is_named(store: RevisionStore) -> None:
    three(store)
    (store.folder / HEAD).write_text("{}")
    (fault,) = faults(store.folder)
    assert "audit.head.json: does not name a line of the audit" in fault


def test_what_is_no_revision_is_recorded_too(store: RevisionStore) -> None:
    three(store)
    store.note("sent", film="a.dcm", revision=3, target="pacs")
    assert [entry["event"] for entry in entries(store.folder / AUDIT)] == ["saved", "saved", "saved", "sent"]
    assert faults(store.folder) == []
    assert store.links()["film/0003.json"].sequence == 3


def test_a_changed_or_removed_revision_is_found(store: RevisionStore) -> None:
    three(store)
    file = store.folder / "film" / "0001.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "reviewer": "Dr. Other"}))
    (store.folder / "film" / "0002.json").unlink()
    assert faults(store.folder) == ["film/0001.json was changed", "film/0002.json was removed"]


def test_the_last_signed_revision_is_found_without_reading_those_before(store: RevisionStore) -> None:
    assert store.signed("film") is None
    for number, state in enumerate(("draft", "final", "draft", "draft"), 1):
        store.add("film", revision(number, state=state), "saved", [])
    fresh = RevisionStore(store.folder)
    (store.folder / "film" / "0001.json").write_text("{}")
    found = fresh.signed("film")
    assert (found and found.revision, fresh.numbers("film")) == (2, [1, 2, 3, 4])
    with pytest.raises(CephError, match="not a revision"):
        fresh.history("film")


def test_a_revision_that_somebody_brought_back_is_read_again(store: RevisionStore) -> None:
    store.add("film", revision(1, "as saved"), "saved", [])
    file = store.folder / "film" / "0001.json"
    file.write_text(file.read_text().replace("as saved", "of a copy"))
    assert store.get("film", 1).note == "of a copy"
    file.unlink()
    with pytest.raises(CephError, match="No such file"):
        store.get("film", 1)


def test_a_damaged_revision_is_named(store: RevisionStore) -> None:
    three(store)
    (store.folder / "film" / "0003.json").write_text("{")
    with pytest.raises(CephError, match=r"film/0003\.json: not a revision of a review"):
        RevisionStore(store.folder).newest("film")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(store: RevisionStore) -> None:
    three(store)
    store.folder.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        store.add("other", revision(1), "saved", [])
