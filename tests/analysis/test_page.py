"""docs/reference/measurements.md has what the code has. `python tests/analysis/test_page.py` rewrites its tables."""

from __future__ import annotations

import re
from pathlib import Path

from monai_ceph.analysis import ANALYSES, DEFINITIONS, Definition
from monai_ceph.analysis.norms import files
from monai_ceph.landmarks import SYMBOLS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "measurements.md"
TABLES = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- end of tables -->)", re.DOTALL)
SETS = re.compile(r"(?<=<!-- sets -->\n).*?(?=<!-- end of sets -->)", re.DOTALL)


def row(definition: Definition) -> str:
    added = [symbol for symbol in definition.landmarks if symbol not in SYMBOLS]
    text = definition.text + (f". Needs {', '.join(added)}" if added else "")
    # some DOIs of the Angle Orthodontist have angle brackets
    citation = definition.citation.replace("<", "&lt;").replace(">", "&gt;")
    cells = (f"`{definition.symbol}`", definition.name, definition.unit, text, citation)
    return f"| {' | '.join(cells)} |"


def tables() -> str:
    lines = []
    for analysis in ANALYSES:
        own = [each for each in DEFINITIONS if each.analyses[0] == analysis]
        others = [each for each in DEFINITIONS if analysis in each.analyses[1:]]
        lines += [f"### {analysis}", ""]
        if own:
            lines += ["| symbol | measurement | unit | definition | source |", "|---|---|---|---|---|"]
            lines += [*map(row, own), ""]
        if others:
            lines += [f"{'Also' if own else 'It has'} {', '.join(f'`{each.symbol}`' for each in others)}.", ""]
    return "\n".join(lines)


def sets() -> str:
    lines = ["| name | about | measurements |", "|---|---|---|"]
    for name, about in files.norm_sets().items():
        symbols = files.load_norms([name]).by_symbol
        lines.append(f"| `{name}` | {about} | {', '.join(symbols)} |")
    return "\n".join([*lines, ""])


def page() -> str:
    text = TABLES.sub(lambda _: tables(), PAGE.read_text(encoding="utf-8"))
    return SETS.sub(lambda _: sets(), text)


def test_the_page_has_every_definition_and_every_set() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
