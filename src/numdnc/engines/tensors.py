"""Arrays of NumPy as tensors of PyTorch and back: what the engines torch and gpu begin and end with."""

from typing import Any

import numpy as np
import torch

from numdnc.params import Array
from numdnc.tree import Tree, map_leaves


def to_tensors(arrays: Tree, device: torch.device) -> Tree:
    """Copy a tree of arrays to a device; symbols become int64, which torch requires for look-ups."""

    def copied(array: Any) -> torch.Tensor:
        dtype = np.int64 if np.issubdtype(array.dtype, np.integer) else array.dtype
        return torch.from_numpy(np.array(array, dtype, order="C")).to(device)

    return map_leaves(copied, arrays)


def to_array(tensor: torch.Tensor) -> Array:
    """Copy a tensor to a new NumPy array."""
    return np.array(tensor.detach().cpu().numpy())
