"""Damage on purpose: what a model loses without a part of it is what that part does."""

from numdnc.params import DNCParams
from numdnc.spec import DNCSpec


def without_reads(spec: DNCSpec, params: DNCParams) -> DNCParams:
    """The same model with every read vector taken as zero.

    Reads enter through rows of the weights only: after the input in each controller layer, after h_all in the output.
    """
    reads = slice(spec.input_size, spec.input_size + spec.reads_size)
    layers = []
    for layer in params.controller:
        weights = layer.weights.copy()
        weights[reads] = 0
        layers.append(layer._replace(weights=weights))
    weights = params.output.weights.copy()
    weights[spec.hidden_total :] = 0
    return params._replace(controller=tuple(layers), output=params.output._replace(weights=weights))
