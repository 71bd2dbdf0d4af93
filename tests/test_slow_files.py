from __future__ import annotations

from slow_files import SLOW, TESTS, rank


def test_slow_files_come_first() -> None:
    assert [path for path in SLOW if not (TESTS / path).is_file()] == []
    files = sorted(TESTS.rglob("test_*.py"), key=rank)
    assert [path.relative_to(TESTS).as_posix() for path in files[: len(SLOW)]] == list(SLOW)
    # then all of integration, and nothing of it later
    later = [path.parent.name == "integration" for path in files[len(SLOW) :]]
    assert later == sorted(later, reverse=True)
