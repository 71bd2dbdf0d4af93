"""A fake device other than the CPU, for machines without one."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map


class Elsewhere(torch.Tensor):
    """A tensor like those on a Mac's GPU: it cannot be combined with CPU tensors, and has no double precision."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        there = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device="meta")
        there.held = held
        return there

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func == torch.Tensor.cpu:
            return args[0].held
        if func == torch.Tensor.numpy:
            raise TypeError("no tensor of the CPU")
        # indices may be on the CPU
        held = _held if func != torch.Tensor.__getitem__ else _held_or_here
        return tree_map(_sent, func(*tree_map(held, args), **tree_map(held, kwargs or {})))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        # only torch.as_tensor leads here
        return tree_map(_sent, func(*tree_map(_held, args), **(kwargs or {})))


def _held_or_here(value: Any) -> Any:
    return value.held if isinstance(value, Elsewhere) else value


def _held(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere) and value.ndim:
        raise RuntimeError("Expected all tensors to be on the same device")
    return _held_or_here(value)


def _sent(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.float64:
        raise TypeError("the device has no float64")
    return Elsewhere(value)
