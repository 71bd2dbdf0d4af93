"""Reading sets of norms from YAML files; an error names the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from monai_ceph.analysis.definitions import DEFINITIONS
from monai_ceph.analysis.norms import Norm, Norms, Sex
from monai_ceph.errors import CephError

__all__ = ["DEFAULT_SETS", "default_norms", "load_norms", "norm_sets", "norms_schema"]

DEFAULT_SETS = ("kim",)
"""Shipped sets that are used if none is named; of these, only norms that were read in their primary source."""

_SYMBOLS = tuple(definition.symbol for definition in DEFINITIONS)


class _Defaults(BaseModel):
    """What every norm of the file has, unless it says something else."""

    model_config = ConfigDict(extra="forbid")

    population: str | None = Field(default=None, min_length=1, description="who was measured")
    sex: Sex | None = Field(default=None, description="F or M; null: both")
    age: tuple[float, float] | None = Field(default=None, description="youngest and oldest, in years")
    n: int | None = Field(default=None, ge=1, description="number of people")
    citation: str | None = Field(default=None, min_length=1, description="where the figures are from")
    verified: bool = Field(default=False, description="the figures were read in the primary source")


class _Set(BaseModel):
    """A file with norms."""

    model_config = ConfigDict(extra="forbid", title="Norms")

    about: str = Field(default="", description="what the set is, in a sentence")
    defaults: _Defaults = Field(default_factory=_Defaults)
    norms: dict[str, list[Norm]] = Field(
        description="by the symbol of the measurement: one norm, or a list, of which the first that applies is used",
    )

    @field_validator("norms", mode="before")
    @classmethod
    def _complete(cls, norms: Any, info: ValidationInfo) -> Any:
        defaults = info.data.get("defaults")
        if not isinstance(norms, dict) or defaults is None:
            return norms
        common = defaults.model_dump(exclude_unset=True)
        return {symbol: _rows(rows, common) for symbol, rows in norms.items()}


_KEYS = sorted((_Set.model_fields | Norm.model_fields).keys() - {"set"})


def _rows(rows: Any, common: dict[str, Any]) -> Any:
    """Return the norms of one measurement as a list, with the defaults of the file."""
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        return rows
    return [{**common, **row} if isinstance(row, dict) else row for row in rows]


def norm_sets() -> dict[str, str]:
    """Return what the shipped sets are about, by their names."""
    return {name: _parse(_shipped(name), name).about for name in _names()}


@cache
def default_norms() -> Norms:
    """Return the norms of :data:`DEFAULT_SETS` that were read in their primary source."""
    found = _merged(_of_set(_parse(_shipped(name), name), name) for name in DEFAULT_SETS)
    return Norms({symbol: tuple(norm for norm in rows if norm.verified) for symbol, rows in found.by_symbol.items()})


def load_norms(names: Iterable[str | Path]) -> Norms:
    """Return the norms of shipped sets and of YAML files. No name gives no norms.

    Args:
        names: names of shipped sets, see :func:`norm_sets`, or paths of YAML files. For each measurement, the norms of
            earlier ones go first.

    Raises:
        CephError: if there is no such set or file, or a file is not as its schema says; it names the line.
    """
    return _merged(_named(str(name)) for name in names)


def norms_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of a file with norms, the text in ``docs/reference/schema``."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_Set.model_json_schema()}
    norm = schema["$defs"]["Norm"]
    # the file's name and its defaults fill these in
    norm["properties"].pop("set")
    norm["required"] = []
    rows = schema["properties"]["norms"]["additionalProperties"]
    schema["properties"]["norms"]["additionalProperties"] = {"anyOf": [rows["items"], rows]}
    return json.dumps(schema, indent=2) + "\n"


def _names() -> list[str]:
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _shipped(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def _named(name: str) -> Norms:
    if name in _names():
        return _of_set(_parse(_shipped(name), name), name)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CephError(f"{name}: no set of norms ({', '.join(_names())}), and no file to read: {cause}") from error
    return _of_set(_parse(text, name), path.name)


def _of_set(found: _Set, name: str) -> Norms:
    return Norms(
        {symbol: tuple(row.model_copy(update={"set": name}) for row in rows) for symbol, rows in found.norms.items()}
    )


def _merged(sets: Iterable[Norms]) -> Norms:
    result: dict[str, tuple[Norm, ...]] = {}
    for each in sets:
        for symbol, rows in each.by_symbol.items():
            result[symbol] = (*result.get(symbol, ()), *rows)
    return Norms(result)


def _parse(text: str, name: str) -> _Set:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise CephError(f"{name}{line}: no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise CephError(f"{name}: no YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise CephError(f"{name}: is empty; a file with norms has the key norms")
    _refuse_repeated_keys(node, name)
    try:
        found = _Set.model_validate(data)
    except ValidationError as error:
        # a misspelled key also makes the right one missing: the misspelled one says more
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"] if not isinstance(part, int)) or "the file"
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            similar = get_close_matches(str(first["loc"][-1]), _KEYS, n=1)
            said = f"no such key{f'; did you mean {similar[0]}?' if similar else ''}"
        raise CephError(f"{name}, line {_line(node, first['loc'])}: {where}: {said}") from error
    for symbol in found.norms:
        if symbol not in _SYMBOLS:
            similar = get_close_matches(symbol, _SYMBOLS, n=1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            place = f"line {_line(node, ('norms', symbol))}"
            raise CephError(f"{name}, {place}: no measurement has the symbol {symbol}{hint}")
    return found


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    """Refuse a key that is in a mapping twice: YAML's loader silently keeps the last one."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise CephError(f"{name}, line {key.start_mark.line + 1}: {key.value} is there twice")
            seen.add(key.value)
            _refuse_repeated_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_repeated_keys(each, name)


def _line(node: yaml.Node, place: Sequence[int | str]) -> int:
    """Return the line of a place in the file, or of what is around it."""
    line = int(node.start_mark.line)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            # a single norm may be without a list
            if found is None and part == 0:
                continue
            if found is None:
                break
            line, node = int(found[0].start_mark.line), found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = int(node.start_mark.line)
        else:
            break
    return line + 1
