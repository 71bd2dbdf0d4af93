from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.work.names import MAX_STEM, file_stem, film_name, key_of, without_identity

KEY = "0123456789abcdef" * 4


class TestName:
    def test_a_path_that_may_be_shown_goes_first(self) -> None:
        assert film_name(KEY, Path("a/b.png"), "1.2.3") == "a/b.png"

    def test_without_it_the_uid(self) -> None:
        assert film_name(KEY, None, "1.2.3") == "1.2.3"

    def test_without_a_uid_the_key(self) -> None:
        assert film_name(KEY, None, None) == "path-0123456789ab"

    def test_a_frame(self) -> None:
        assert film_name(KEY, None, "1.2.3", 7) == "1.2.3#7"

    def test_the_key_is_the_hash_of_the_path(self) -> None:
        # printf /data/film.dcm | sha256sum
        assert key_of(Path("/data/film.dcm")) == "de23f8c17a59fbf908279d4871abfa44f728973120c2d330985fba7c262f779a"


class TestStem:
    @pytest.mark.parametrize(
        ("name", "stem"),
        [
            ("1.2.840.10008", "1.2.840.10008"),
            ("1.2.840.10008#3", "1.2.840.10008_3"),
            ("films/visit 2/good.png", "good.png"),
            ("films/.hidden", "hidden"),
            ("..", "film"),
            ("M\\xfcller.dcm", "M_xfcller.dcm"),
            ("Müller: a?.png", "Müller_ a_.png"),
        ],
    )
    def test_what_no_file_system_minds(self, name: str, stem: str) -> None:
        assert file_stem(name) == stem

    @given(st.text())
    def test_of_any_name(self, name: str) -> None:
        stem = file_stem(name.encode("utf-8", errors="backslashreplace").decode())
        assert 0 < len(stem.encode()) <= MAX_STEM
        assert "/" not in stem
        assert "\0" not in stem
        assert not stem.startswith(".")


class TestWithoutIdentity:
    PATH = Path("/data/DOE^JOHN/19800101.dcm")

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("unreadable: truncated", "unreadable: truncated"),
            ("failed: /data/DOE^JOHN/19800101.dcm: No such file", "failed: : No such file"),
            ("failed: [Errno 5] Input/output error: '/data/DOE^JOHN/x'", "failed: [Errno 5] Input/output error: '...'"),
            ("unreadable: invalid literal for int(): 'DOE^JOHN'", "unreadable: invalid literal for int(): '...'"),
            ("unreadable: 19800101.dcm is damaged", "unreadable:  is damaged"),
            ("unreadable: it isn't a film that can't be read", "unreadable: it isn't a film that can't be read"),
        ],
    )
    def test_neither_path_nor_quotes(self, text: str, left: str) -> None:
        assert without_identity(text, self.PATH) == left
