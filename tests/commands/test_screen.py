from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import save_film
from rich.cells import cell_len
from rich.console import Console

import monai_ceph
from monai_ceph.batch import Options, Outcome, Summary
from monai_ceph.commands.screen import Screen, shortened
from monai_ceph.result import Detection

# as long as DICOM allows
UIDS = [f"1.2.826.0.1.3680043.8.498.{10**37 + number}" for number in range(3)]
PATHS = [f"/data/archive/{'department of orthodontics/' * 6}visit {number}/film-{number:03}.png" for number in range(3)]
KANJI = [f"/資料/頭部X線規格写真/{'患者の写真' * 12}/{number}枚目.png" for number in range(3)]


def printed(names: list[str], detection: Detection, width: int) -> list[str]:
    """Return what a run on these films prints on a terminal, up to the counts."""
    out = io.StringIO()
    screen = Screen(Console(file=out, width=width), Console(file=io.StringIO()))
    for number, name in enumerate(names):
        named = detection.model_copy(update={"file": name})
        screen.on_film(name, Outcome(number, "done", detection=named.model_dump_json()))
    screen.end(Summary(states={"done": len(names)}), Path("out"), Options())
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return lines[: lines.index(f"{len(names)} films: {len(names)} done, 0 uncertain, 0 rejected, 0 failed.")]


class TestShortened:
    @pytest.mark.parametrize(
        ("name", "width", "short"),
        [
            ("films/001.png", 13, "films/001.png"),
            ("films/001.png", 12, "fil...01.png"),
            (UIDS[0], 64, UIDS[0]),
            (UIDS[0], 40, "1.2.826.0.1....0000000000000000000000000"),
            # two columns per character
            ("患者の写真/1枚目.png", 20, "患者の写真/1枚目.png"),
            ("患者の写真/1枚目.png", 16, "患者...1枚目.png"),
            ("abcdef", 3, "..."),
        ],
    )
    def test_long_names_are_cut_in_the_middle(self, name: str, width: int, short: str) -> None:
        assert shortened(name, width) == short
        assert cell_len(short) <= width


class TestTable:
    def test_short_names_are_shown_in_a_table(self, detection: Detection) -> None:
        lines = printed(["films/001.png", "films/002.png"], detection, 80)
        assert lines[1].split() == ["film", "state", "ok", "uncertain", "missing", "mean", "score", "seconds"]
        assert [line.split() for line in lines[3:5]] == [
            [f"films/00{number}.png", "done", "19", "0", "0", "0.90", "0.10"] for number in (1, 2)
        ]

    def test_uids_are_complete_on_80_columns(self, detection: Detection) -> None:
        assert {len(uid) for uid in UIDS} == {64}
        lines = printed(UIDS, detection, 80)
        assert lines[::2] == [*UIDS, ""]
        assert set(lines[1::2]) == {"    done       ok 19, uncertain 0, missing 0, mean score 0.90, seconds 0.10"}

    def test_uids_are_in_the_table_on_120_columns(self, detection: Detection) -> None:
        lines = printed(UIDS, detection, 120)
        assert [line.split()[0] for line in lines[3:6]] == UIDS

    @pytest.mark.parametrize("width", [80, 120])
    @pytest.mark.parametrize("names", [PATHS, KANJI])
    def test_longer_names_take_one_line_and_keep_their_ends(
        self, detection: Detection, names: list[str], width: int
    ) -> None:
        lines = printed(names, detection, width)
        assert len(lines) == 7
        for name, line in zip(names, lines[::2], strict=False):
            assert width - 2 < cell_len(line) <= width
            start, end = line.split("...")
            assert name.startswith(start)
            assert name.endswith(end)
            assert Path(name).name in end

    @pytest.mark.parametrize("name", ["two\nlines.png", "a\x1b[31mred.png", "a\u202egnp.png", "a\u2028b.png"])
    def test_control_characters_in_names_are_escaped(self, detection: Detection, name: str) -> None:
        (line,) = printed([name], detection, 80)[3:4]
        assert line.split()[0] == name.encode("unicode_escape").decode()


SHOW = """
import sys
from pathlib import Path
import monai_ceph
from monai_ceph.batch import Options, Outcome, Summary
from monai_ceph.commands.screen import Screen
from monai_ceph.commands.console import console, messages

screen = Screen(console, messages)
for number, line in enumerate(sys.stdin):
    screen.on_film("", Outcome(number, "done", detection=line))
screen.end(Summary(), Path("out"), Options())
"""


def test_names_are_complete_in_a_pipe(detection: Detection) -> None:
    names = [*UIDS, *PATHS, *KANJI]
    text = "".join(detection.model_copy(update={"file": name}).model_dump_json() + "\n" for name in names)
    command = [sys.executable, "-X", "utf8", "-c", SHOW]
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True)
    rows = [line.strip() for line in done.stdout.splitlines()]
    width = max(map(cell_len, names))
    for name in names:
        space = " " * (width - cell_len(name))
        assert sum(row.startswith(f"{name}{space}  done ") for row in rows) == 1


# the second film is finished once the parent has seen a line of progress
DETECT = """
import sys
from functools import partial
from pathlib import Path
from fakes import FakeDetector
from monai_ceph.batch import Options, detect_films
from monai_ceph.commands.screen import Screen
from monai_ceph.commands.console import console, messages

class Patient(FakeDetector):
    def __call__(self, radiograph, /, *, force):
        if radiograph.path.name == "b.dcm":
            sys.stdin.readline()
        return super().__call__(radiograph, force=force)

screen = Screen(console, messages, every=0.01)
films, out = map(Path, sys.argv[1:])
with screen.progress as progress:
    detect_films(
        [films], out, Patient, Options(), on_total=progress.total, on_film=screen.on_film, on_step=progress.step
    )
"""


def test_a_log_shows_the_progress(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "reject")):
        save_film(tmp_path / "films" / f"{name}.dcm", seed)
    command = [sys.executable, "-c", DETECT, str(tmp_path / "films"), str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    paths = {
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[1] / "batch"), str(Path(monai_ceph.__file__).parents[1])]
        )
    }
    with subprocess.Popen(command, text=True, env={**os.environ, **paths}, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [""]
        while not re.fullmatch(r"1 of 3 films, \d+\.\d\d films/s, about \d+ (s|min) left\n", lines[-1]):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.stdin.write("\n")
        process.stdin.flush()
        lines += process.stderr.readlines()
        assert process.wait() == 0
    printed_lines = [line.strip() for line in lines[1:] if not re.match(r"\d+ (of \d+ )?films", line)]
    assert printed_lines[:3] == ["looking for films", "loading the model", "detecting"]
    assert printed_lines[3].endswith(": rejected: not a lateral cephalogram: every pixel has the same value")
    assert len(printed_lines) == 4
