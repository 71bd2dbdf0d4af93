"""Which files in a folder were written by this package, for writers that have no ledger."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_ceph.errors import CephError
from monai_ceph.storage.atomic import sha256_of, written_beside

__all__ = ["WrittenFiles"]

_LIST = ".monai-ceph.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")


class WrittenFiles:
    """Writes files into a folder, but not over those that it did not write, or that were changed since.

    The file ``.monai-ceph.sha256`` in the folder lists what was written, as ``sha256sum`` does. A line is added
    before the file takes its place: a process that is killed in between leaves no file that the next one would refuse.

    Args:
        folder: made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, set[str]] | None = None
        # what ends a line that a power cut left in half
        self._torn = ""

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path to write to, which becomes the file of this name at the end.

        Raises:
            CephError: if a file that must not be replaced has this name.
            OSError: if the folder cannot be written.
        """
        target = self._folder / name
        with written_beside(target) as part:
            yield part
            self.check(name)
            known = self._known()[name]
            digest = sha256_of(part)
            if digest not in known:
                with (self._folder / _LIST).open("a", encoding="utf-8", errors="surrogateescape") as stream:
                    stream.write(f"{self._torn}{digest}  {name}\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                known.add(digest)
                self._torn = ""

    def check(self, name: str) -> None:
        """Check that a file may be written, such as before the work of which it will be the result.

        Raises:
            CephError: if a file that must not be replaced has this name.
            OSError: if it cannot be read.
        """
        target = self._folder / name
        if os.path.lexists(target) and (not target.is_file() or sha256_of(target) not in self._known()[name]):
            raise CephError(
                f"{target}: was not written by this software, or was changed since. Please move it, or choose "
                "another folder"
            )

    def _known(self) -> dict[str, set[str]]:
        if self._hashes is None:
            self._hashes = defaultdict(set)
            file = self._folder / _LIST
            if file.is_file():
                with file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
                    for line in stream:
                        self._torn = "" if line.endswith("\n") else "\n"
                        if match := _LINE.fullmatch(line):
                            self._hashes[match[2]].add(match[1])
        return self._hashes
