"""Reads a node's configuration from YAML, with secrets from the environment. Errors name the line and the key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig

__all__ = ["read_config"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_TOO_DEEP = "lists and keys are nested too deeply, or an alias (*) contains itself"

_MOST_VALUES = 10000
_MOST_BYTES = 2**20

_Place = tuple["str | int", ...]


class _Reader:
    """Builds plain values from a YAML tree, and keeps the line of each."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path, self._environment = path, environment
        self.lines: dict[_Place, int] = {(): 1}
        self._scalars = yaml.SafeLoader("")
        self._count = 0

    def value(self, node: yaml.Node, place: _Place) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise self.error(
                node.start_mark.line + 1, (), f"more than {_MOST_VALUES} values, with those that aliases (*) repeat"
            )
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(self._scalars.construct_object(key_node))
                line, here = key_node.start_mark.line + 1, (*place, key)
                if key in result:
                    raise self.error(line, here, "is there twice")
                self.lines[here] = line
                result[key] = self.value(value_node, here)
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        value = self._scalars.construct_object(node)
        return _VARIABLE.sub(lambda found: self._variable(found[1], place), value) if isinstance(value, str) else value

    def _variable(self, name: str, place: _Place) -> str:
        if name not in self._environment:
            raise self.error(self.lines[place], place, f"no environment variable {name}")
        return self._environment[name]

    def error(self, line: int, place: _Place, text: str) -> CephError:
        key = ".".join(map(str, place))
        return CephError(f"{self._path}, line {line}: {key + ': ' if key else ''}{text}")

    def line_of(self, place: _Place) -> tuple[int, _Place]:
        """Return the line of a key, or of the nearest section above it."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place], place


def read_config(path: Path, environment: Mapping[str, str] | None = None) -> NodeConfig:
    """Read and check a configuration. ``${NAME}`` in any text is the value of that environment variable.

    Relative paths start at the folder of the file; ``~`` is the user's home folder.

    Raises:
        CephError: each mistake on a line of its own, with the line in the file and the key. Values are not repeated,
            since they may be secrets.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CephError(f"{path}: larger than {_MOST_BYTES // 2**20} MB, too large for a node's configuration")
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise CephError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CephError(f"{path}: not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CephError(f"{path}, line {line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise CephError(f"{path}: not YAML: {error}") from error
    except RecursionError as error:
        raise CephError(f"{path}: {_TOO_DEEP}") from error
    reader = _Reader(path, os.environ if environment is None else environment)
    try:
        values = reader.value(node, ()) if node is not None else {}
    except (yaml.YAMLError, ValueError) as error:
        raise CephError(f"{path}: not YAML: {error}") from error
    except RecursionError as error:
        raise CephError(f"{path}: {_TOO_DEEP}") from error
    if not isinstance(values, dict):
        raise CephError(f"{path}, line 1: the file must consist of keys and values")
    try:
        _make_absolute(values, path.absolute().parent)
    except RuntimeError as error:
        raise CephError(f"{path}: a path begins with ~, but the home folder is unknown") from error
    try:
        return NodeConfig.model_validate(values)
    except ValidationError as error:
        mistakes = [_sentence(reader, item) for item in error.errors(include_url=False, include_input=False)]
        raise CephError("\n".join(dict.fromkeys(mistakes))) from None


_PATHS = ("folder", "review_folder", "certificate", "key", "client_ca", "ca", "file", "profile")


def _make_absolute(values: Any, folder: Path) -> None:
    if isinstance(values, list):
        for item in values:
            _make_absolute(item, folder)
    if isinstance(values, dict):
        for key, value in values.items():
            if key in _PATHS and isinstance(value, str):
                values[key] = _absolute(value, folder)
            elif key == "config" and isinstance(value, list):
                values[key] = [_absolute(item, folder) if isinstance(item, str) else item for item in value]
            else:
                _make_absolute(value, folder)


def _absolute(path: str, folder: Path) -> str:
    return str(folder / Path(path).expanduser())


def _sentence(reader: _Reader, item: Any) -> str:
    place = tuple(item["loc"])
    line, known = reader.line_of(place)
    if item["type"] == "extra_forbidden":
        text = "no such key"
    elif item["type"] == "missing":
        text, known = "is missing", place
    else:
        text = item["msg"].removeprefix("Value error, ")
        # in a union, pydantic adds the name of the member to the key
    return str(reader.error(line, known, text))
