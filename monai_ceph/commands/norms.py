"""The norms that a command compares measurements with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_ceph.commands.console import stop, warn
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.analysis import Norms, Sex

__all__ = ["chosen_norms"]


def _ages(norms: Norms, sex: Sex | None) -> str:
    """Return which norms that are used are those of an age, by age."""
    found: dict[tuple[float, float], list[str]] = {}
    for symbol in norms.by_symbol:
        norm = norms.find(symbol, sex)
        if norm is not None and norm.age is not None:
            found.setdefault(norm.age, []).append(symbol)
    return "; ".join(f"{low:g} to {high:g} years: {', '.join(symbols)}" for (low, high), symbols in found.items())


def chosen_norms(names: list[str] | None, sex: Sex | None, age: float | None) -> Norms | None:
    """Return the norms that an option names; None without the option. Warn of norms that cannot be used.

    A set or file that cannot be read stops the command.

    Args:
        names: sets and files; ``none`` is no norm.
        sex: of the patients; None if not said.
        age: in years; None if not said.
    """
    from monai_ceph.analysis import load_norms

    if names is None:
        if sex is not None or age is not None:
            warn("--sex and --age have no effect without --norms: the default norms are for both sexes and all ages")
        return None
    try:
        norms = load_norms(name for name in names if name != "none")
    except CephError as error:
        stop(error)
    unused = {symbol: rows for symbol, rows in norms.by_symbol.items() if norms.find(symbol, sex, age) is None}
    for_one_sex = [symbol for symbol, rows in unused.items() if sex is None and any(row.sex for row in rows)]
    if for_one_sex:
        warn(f"the norms of {', '.join(for_one_sex)} are for one sex and are not used; give --sex F or --sex M")
    if others := [symbol for symbol in unused if symbol not in for_one_sex]:
        warn(f"the norms of {', '.join(others)} are for another sex or age and are not used")
    if age is None and (said := _ages(norms, sex)):
        warn(f"without --age, norms of an age are used for all films: {said}")
    return norms
