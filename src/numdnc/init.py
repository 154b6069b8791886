"""Where training starts: seeded parameters."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numdnc.params import zero_params
from numdnc.spec import Spec
from numdnc.tree import map_leaves


def init_params(spec: Spec, seed: int, dtype: DTypeLike = np.float32) -> Any:
    """Parameters drawn from `seed`: weights normal with variance 1 / rows, biases 0, forget gates open by +1.

    The forget bias lets an LSTM remember from the first step (Gers et al. 2000; Jozefowicz et al. 2015). Both
    dtypes get the same draws, rounded.
    """
    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> Any:
        if leaf.ndim == 1:
            return leaf
        return (rng.standard_normal(leaf.shape) / np.sqrt(leaf.shape[0])).astype(dtype)

    params = map_leaves(draw, zero_params(spec, dtype))
    if spec.controller == "lstm":
        for layer, size in zip(params.controller, spec.hidden_sizes, strict=True):
            layer.bias[size : 2 * size] = 1
    return params
