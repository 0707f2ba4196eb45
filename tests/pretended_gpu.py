"""A GPU that there isn't: tensors that say they are on it are computed on the CPU, and mix with the CPU's as little
as those on a real one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

GPU = torch.device("meta")
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::copy_")
"""Here a GPU takes tensors of the CPU as well."""


class OnGpu(Tensor):
    """A tensor of the pretended GPU. `held`: its numbers, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    flat, form = tree_flatten((args, kwargs))
    on_gpu = [each for each in flat if isinstance(each, OnGpu)]
    on_cpu = [each for each in flat if isinstance(each, Tensor) and not isinstance(each, OnGpu)]
    assert not any(each.is_meta for each in on_cpu), f"{func._schema.name}: this tensor was made past this file"
    device, name = kwargs.get("device"), func._schema.name
    if on_gpu and device is None and name not in INDEXING and any(each.ndim for each in on_cpu):
        raise RuntimeError(f"{name} of tensors on the CPU and on the GPU: {[tuple(each.shape) for each in on_cpu]}")
    to_gpu = bool(on_gpu) if device is None else torch.device(device).type == GPU.type
    if name == "aten::copy_":
        to_gpu = isinstance(args[0], OnGpu)
    flat = [each.held if isinstance(each, OnGpu) else each for each in flat]
    flat = [torch.device("cpu") if isinstance(each, torch.device) and each.type == GPU.type else each for each in flat]
    args, kwargs = tree_unflatten(flat, form)
    result = func(*args, **kwargs)
    known = {id(each.held): each for each in on_gpu}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor) or not to_gpu:
            return value
        return known[id(value)] if id(value) in known else OnGpu(value)

    return tree_map(wrapped, result)


def _without_gradient(self: Any) -> None:
    self._inference_mode_context = torch.no_grad()
    self._inference_mode_context.__enter__()


@contextlib.contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """In the block, torch has this GPU."""
    optimizers = importlib.import_module("torch.optim.optimizer")
    monkeypatch.setattr(optimizers, "_get_fused_kernels_supported_devices", lambda: [GPU.type, "cpu"])
    monkeypatch.setattr(torch.inference_mode, "__enter__", _without_gradient)  # which such tensors know no better
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    with _Mode():
        yield GPU
