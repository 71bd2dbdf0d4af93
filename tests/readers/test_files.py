"""Which files a search finds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid
from reader_films import GREY8, GREY12, dicom, refuses, same, save

from monai_ceph.readers import find_radiographs, is_candidate, iter_radiographs, read_radiograph


def medium(folder: Path, count: int = 3) -> list[Path]:
    """A folder as on a CD: DICOMDIR, and films without suffix. Returns the films in the order of the DICOMDIR."""
    files = FileSet()
    for number in range(count):
        film = dicom(
            GREY12 // (number + 1), PatientID="P1", PatientName="Doe^Jane", StudyDate="20260101", StudyTime="10"
        )
        film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID = "1.2.3", "1.2.4", generate_uid()
        film.StudyID, film.AccessionNumber, film.SeriesNumber, film.InstanceNumber = "1", "", 1, number
        film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        files.add(film)
    folder.mkdir(exist_ok=True)
    files.write(folder)
    return [Path(instance.path) for instance in FileSet(folder / "DICOMDIR")]


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


class TestFind:
    def test_find(self, tmp_path: Path) -> None:
        for name in ("b.png", "a.JPG", "sub/c.nii.gz", "sub/d.mha", ".hidden.png", ".git/e.png", "labels.csv"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("x")
        (tmp_path / "sub" / "notes.json").write_text("{}")
        (tmp_path / "sub" / "x.raw").write_text("x")
        save(dicom(), tmp_path / "sub" / "IM1")
        expected = [tmp_path / name for name in ("a.JPG", "b.png", "sub/IM1", "sub/c.nii.gz", "sub/d.mha")]
        assert find_radiographs([tmp_path]) == expected
        assert find_radiographs([str(tmp_path / "b.png"), tmp_path, tmp_path])[0] == tmp_path / "b.png"
        assert len(find_radiographs([tmp_path / "b.png", tmp_path])) == 5
        named = [tmp_path / "labels.csv", tmp_path / "missing.dcm"]
        assert find_radiographs(named) == named
        assert find_radiographs([]) == []

    def test_folders_are_searched_lazily(self, tmp_path: Path) -> None:
        for name in ("a/1.png", "b/2.png"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).touch()
        found = iter_radiographs([tmp_path])
        assert next(found) == tmp_path / "a" / "1.png"
        (tmp_path / "b" / "1.png").touch()
        assert list(found) == [tmp_path / "b" / "1.png", tmp_path / "b" / "2.png"]

    def test_circular_links_end_and_files_are_found_once(self, tmp_path: Path) -> None:
        films, other = tmp_path / "films", tmp_path / "other"
        films.mkdir()
        other.mkdir()
        (films / "a.png").touch()
        (other / "b.png").touch()
        (films / "again").symlink_to(films)
        (films / "there").symlink_to(other)
        (other / "back").symlink_to(films)
        (films / "c.png").symlink_to(films / "a.png")
        (films / "self.png").symlink_to(films / "self.png")
        assert find_radiographs([films]) == [films / "a.png", films / "self.png", films / "there" / "b.png"]
        assert find_radiographs([films, other, films / "c.png"]) == find_radiographs([films])

    def test_pipes_and_devices_are_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.dcm")
        os.mkfifo(tmp_path / "IM1")
        (tmp_path / "zero.dcm").symlink_to("/dev/zero")
        assert find_radiographs([tmp_path]) == []

    def test_files_that_cannot_be_opened_are_yielded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere.dcm")
        (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
        (tmp_path / "IM1").write_bytes(b"x")
        (tmp_path / "sub").mkdir()
        scandir = os.scandir

        def refusing(path: Path) -> object:
            if Path(path).name == "sub":
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        def closed(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refusing)
        monkeypatch.setattr("monai_ceph.readers.files.read_head", closed)
        assert find_radiographs([tmp_path]) == [tmp_path / name for name in ("IM1", "gone.dcm", "sub")]

    def test_is_candidate(self, tmp_path: Path) -> None:
        assert not is_candidate(tmp_path)
        assert not is_candidate(tmp_path / "missing.png")
        (tmp_path / "folder.png").mkdir()
        assert not is_candidate(tmp_path / "folder.png")


class TestDicomdir:
    def test_named_and_in_a_folder(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        assert len(films) == 3
        assert not any(film.suffix for film in films)
        assert find_radiographs([tmp_path / "DICOMDIR"]) == films
        assert find_radiographs([tmp_path]) == films
        assert find_radiographs([tmp_path, tmp_path / "DICOMDIR", films[1]]) == films
        for number, film in enumerate(films):
            same(film, GREY12 // (number + 1))

    def test_films_found_only_through_the_dicomdir(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        dataset = pydicom.dcmread(films[1])
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(films[1], implicit_vr=True, little_endian=True)
        assert not is_candidate(films[1])
        assert find_radiographs([tmp_path]) == films
        same(films[1], GREY12 // 2)

    def test_other_films_of_the_folder_follow(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        assert find_radiographs([tmp_path]) == [*films, tmp_path / "a.png"]

    def test_missing_films_are_yielded(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        films[1].unlink()
        assert find_radiographs([tmp_path]) == films
        refuses(films[1], "no such file")

    def test_names_in_lower_case(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        for path in sorted(tmp_path.rglob("*"), reverse=True):
            path.rename(path.with_name(path.name.lower()))
        small = [tmp_path.joinpath(*(part.lower() for part in film.relative_to(tmp_path).parts)) for film in films]
        assert find_radiographs([tmp_path]) == small

    def test_reading_it(self, tmp_path: Path) -> None:
        medium(tmp_path)
        refuses(tmp_path / "DICOMDIR", "a DICOMDIR, the list of the files on a medium, has no pixels itself")

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        films = medium(tmp_path)
        path = tmp_path / "DICOMDIR"
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert find_radiographs([path]) == [path]
        assert find_radiographs([tmp_path]) == [path, *sorted(films)]
        refuses(path, "")

    def test_not_a_dicomdir_in_spite_of_its_name(self, tmp_path: Path) -> None:
        path = save(dicom(), tmp_path / "DICOMDIR")
        assert find_radiographs([tmp_path]) == [path]
        same(path, GREY12)
        path.write_text("D")
        assert find_radiographs([tmp_path]) == [path]
        refuses(path, "not a readable image")

    def test_only_images_are_films(self, tmp_path: Path) -> None:
        films = medium(tmp_path)
        change(tmp_path / "DICOMDIR", b"IMAGE ", b"REPORT")
        assert find_radiographs([tmp_path / "DICOMDIR"]) == [tmp_path / "DICOMDIR"]
        assert find_radiographs([tmp_path]) == sorted(films)

    def test_a_dicomdir_cannot_lead_out_of_its_folder(self, tmp_path: Path) -> None:
        outside = save(dicom(), tmp_path / "IM000000")
        films = medium(tmp_path / "cd", 1)
        path = tmp_path / "cd" / "DICOMDIR"
        name = "\\".join(films[0].relative_to(tmp_path / "cd").parts).encode()
        content = path.read_bytes()
        for other in (b"..\\IM000000", b"/etc/passwd", b"A/../../IM000000"):
            path.write_bytes(content.replace(name, other.ljust(len(name))))
            assert find_radiographs([path]) == [path]
            assert outside not in find_radiographs([tmp_path / "cd"])


def test_every_film_that_is_found_in_a_folder_is_read_or_refused(tmp_path: Path) -> None:
    films = medium(tmp_path)
    assert [int(read_radiograph(film).pixels.max()) for film in iter_radiographs([tmp_path])] == [
        int(np.max(GREY12 // (number + 1))) for number in range(len(films))
    ]
