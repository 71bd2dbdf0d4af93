"""Norms: files that are read, errors that name a line, and what a norm says of a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from monai_ceph.analysis import Measurement, Norm, Norms, default_norms, load_norms, measure
from monai_ceph.analysis.norms import files
from monai_ceph.errors import CephError

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "schema" / "norms-1.0.json"
# SNA is 90, SNB 82.4, ANB 7.6, and the facial angle 90
FACE = {"S": (0, 0), "N": (100, 0), "Po": (-30, 30), "Or": (70, 30), "A": (100, 100), "B": (80, 150), "Pog": (100, 200)}


def found(symbol: str, norms: Norms | None, **person: Any) -> Measurement:
    return next(each for each in measure(FACE, norms=norms, **person) if each.symbol == symbol)


def of(symbol: str, *norms: dict[str, Any]) -> Norms:
    common = {"population": "people", "citation": "a book"}
    return Norms({symbol: [Norm(**common, **norm) for norm in norms]})


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


class TestShippedSets:
    @pytest.fixture(scope="class")
    def schema(self) -> Draft202012Validator:
        return Draft202012Validator(json.loads(SCHEMA.read_text()))

    def test_the_published_schema_is_that_of_the_model(self) -> None:
        assert SCHEMA.read_text(encoding="utf-8") == files.norms_schema()

    @pytest.mark.parametrize("name", files.norm_sets())
    def test_each_is_valid_and_says_what_it_is(self, name: str, schema: Draft202012Validator) -> None:
        schema.validate(yaml.safe_load(Path(files.__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")))
        assert files.norm_sets()[name]
        rows = [norm for rows in load_norms([name]).by_symbol.values() for norm in rows]
        assert rows
        assert {norm.set for norm in rows} == {name}
        # who did not read the primary source says so
        assert all(norm.verified != norm.citation.startswith("secondary: ") for norm in rows)

    def test_without_a_choice_only_norms_that_were_read_are_used(self) -> None:
        rows = [norm for rows in default_norms().by_symbol.values() for norm in rows]
        assert [(norm.set, norm.mean, norm.sd, norm.n) for norm in rows] == [("kim", 81.4, 3.79, 102)]
        assert all(norm.verified for norm in rows)

    def test_figures_that_were_read_in_a_table(self) -> None:
        norms = load_norms(["turkish-soft-tissue"])
        assert norms.find("Nasolabial") is None
        norm = norms.find("Nasolabial", "F", 24)
        assert norm is not None
        assert (norm.mean, norm.sd, norm.n, norm.verified) == (108.4, 7.5, 48, True)

    def test_a_set_that_is_named_is_used_whole(self) -> None:
        norm = load_norms(["kim"]).find("ODI")
        assert norm is not None
        assert (norm.mean, norm.verified) == (74.5, False)

    def test_the_first_set_goes_first(self) -> None:
        for names, mean in ((["steiner", "eastman"], 82), (["eastman", "steiner"], 81)):
            norm = load_norms(names).find("SNA")
            assert norm is not None
            assert norm.mean == mean


class TestComparison:
    @pytest.mark.parametrize(
        ("mean", "sd", "deviation", "flag"), [(82, 4, 2, "above"), (98, 4, -2, "below"), (88, 4, 0.5, None)]
    )
    def test_a_mean_and_a_standard_deviation(self, mean: float, sd: float, deviation: float, flag: str | None) -> None:
        sna = found("SNA", of("SNA", {"mean": mean, "sd": sd}))
        assert sna.deviation == pytest.approx(deviation)
        assert sna.flag == flag
        assert sna.norm is not None
        assert sna.norm.limits == (mean - sd, mean + sd)

    def test_limits_of_the_source_go_before_the_deviation(self) -> None:
        sna = found("SNA", of("SNA", {"mean": 82, "sd": 4, "low": 70, "high": 95}))
        assert (sna.deviation, sna.flag) == (pytest.approx(2), None)

    def test_limits_alone_give_no_deviation(self) -> None:
        sna = found("SNA", of("SNA", {"low": 70, "high": 85}))
        assert (sna.deviation, sna.flag) == (None, "above")

    def test_no_norm_no_flag(self) -> None:
        for norms in (None, Norms(), load_norms([])):
            sna = found("SNA", norms)
            assert (sna.norm, sna.deviation, sna.flag, sna.certain) == (None, None, None, None)

    def test_without_a_value_there_is_no_comparison(self) -> None:
        ans = found("SN-PP", of("SN-PP", {"mean": 8, "sd": 3}))
        assert (ans.value, ans.norm, ans.flag, ans.certain) == (None, None, None, None)

    def test_a_limit_within_the_interval_leaves_the_flag_in_doubt(self) -> None:
        low, high = found("SNA", Norms()).interval or (0, 0)
        assert low < 90 < high
        for limits, certain in (
            ((70, high + 1), True),
            ((70, high - 0.1), False),
            ((low + 0.1, 120), False),
            ((low - 1, 120), True),
            ((70, low - 1), True),
        ):
            sna = found("SNA", of("SNA", dict(zip(("low", "high"), limits, strict=True))))
            assert sna.certain is certain

    @pytest.mark.parametrize(
        ("sex", "age", "mean"),
        [
            ("F", 30, 80),
            ("M", 30, 84),
            ("F", 10, 78),
            ("F", None, 80),
            (None, 10, 78),
            (None, 30, None),
            ("M", 70, None),
        ],
    )
    def test_a_norm_is_used_for_those_it_is_meant_for(self, sex: Any, age: float | None, mean: float | None) -> None:
        norms = of(
            "SNA",
            {"sex": "F", "age": (18, 60), "mean": 80, "sd": 3},
            {"sex": "M", "age": (18, 60), "mean": 84, "sd": 3},
            {"age": (6, 12), "mean": 78, "sd": 3},
        )
        norm = found("SNA", norms, sex=sex, age=age).norm
        assert (norm.mean if norm else None) == mean


class TestFilesOfOnesOwn:
    def test_a_file(self, tmp_path: Path) -> None:
        file = written(
            tmp_path,
            """
about: our clinic
defaults: {population: patients, age: [18, 99], citation: our archive}
norms:
  SNA: {mean: 81.5, sd: 3.1, n: 120}
  A-Nperp:
    - {sex: F, mean: 0.2, sd: 2}
    - {sex: M, mean: 0.9, sd: 2, citation: another archive}
""",
        )
        norms = load_norms([file])
        sna = norms.find("SNA")
        assert sna == Norm(
            population="patients", age=(18, 99), citation="our archive", mean=81.5, sd=3.1, n=120, set="mine.yaml"
        )
        male = norms.find("A-Nperp", "M")
        assert male is not None
        assert (male.mean, male.citation, male.population) == (0.9, "another archive", "patients")
        assert norms.find("A-Nperp") is None

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("norms:\n  SNA: {mean: 82, sd: 0, population: p, citation: c}", "line 2: norms.SNA.sd: Input should be"),
            ("norms:\n  SNA:\n    population: p\n    citation: c\n    mean: much\n    sd: 2", "line 5: norms.SNA.mean"),
            (
                "norms:\n  SNA:\n  - {population: p, citation: c, mean: 1, sd: 1}\n  - {mean: 1, sd: 1, citation: c}",
                "line 4: norms.SNA.population: Field required",
            ),
            (
                "norms:\n\n  SNX: {population: p, citation: c, mean: 1, sd: 1}",
                "line 3: no measurement has the symbol SNX",
            ),
            ("norms:\n  SNAA: {population: p, citation: c, mean: 1, sd: 1}", "did you mean SNA?"),
            ("norms:\n  SNA: {population: p, citation: c, mean: 1}", "line 2: norms.SNA: mean and sd belong together"),
            ("norms:\n  SNA: {population: p, citation: c}", "line 2: norms.SNA: mean and sd, or low and high"),
            ("norms:\n  SNA: {population: p, citation: c, low: 5, high: 1}", "line 2: norms.SNA: low must be less"),
            ("norms:\n  SNA: {population: p, citation: c, low: 1}", "line 2: norms.SNA: low and high belong together"),
            (
                "norms:\n  SNA: {population: p, citation: c, mean: 1, sd: 1, age: [9, 3]}",
                "line 2: norms.SNA: age must be the youngest and the oldest",
            ),
            ("norms:\n  SNA: {population: p, citation: c, mean: .nan, sd: 1}", "line 2: norms.SNA.mean"),
            ("norms:\n  SNA: 82", "line 2: norms.SNA"),
            ("norms: [1]", "line 1: norms"),
            ("norms: {}\nmore: 1", "line 2: more: no such key"),
            (
                "norms:\n  SNA: {populaton: p, citation: c, mean: 1, sd: 1}",
                "line 2: norms.SNA.populaton: no such key; did you mean population?",
            ),
            ("defaults:\n  sex: X\nnorms: {}", "line 2: defaults.sex"),
            ("norms:\n  SNA: {}\n  SNB: {}\n  SNA: {}", "line 4: SNA is there twice"),
            ("norms: {\n  SNA: [", "line 2: no YAML"),
            ("", "is empty"),
            ("- 1", "line 1: the file"),
        ],
    )
    def test_an_error_names_the_line(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(CephError) as refused:
            load_norms([written(tmp_path, text)])
        assert str(refused.value).startswith("mine.yaml") or str(refused.value).startswith(str(tmp_path))
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_a_name_that_is_neither_a_set_nor_a_file(self) -> None:
        with pytest.raises(CephError, match=r"^stainer: no set of norms \(downs, eastman, .*No such file"):
            load_norms(["stainer"])

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(CephError, match="not UTF-8"):
            load_norms([tmp_path / "a.yaml"])
