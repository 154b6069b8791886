"""Ablations of a trained model with a memory: the loss it has without a part shows what the part does.

Each ablation is another set of parameters for the same spec, so any engine runs it, and is exact: nothing of the part
is left. Axes: R read heads, V write heads, W word.
"""

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, DNCParams
from numdnc.spec import DNCSpec, MemorySpec, NTMSpec

OFF = -1e4
"""A raw value so low that its sigmoid and its share in a softmax are exactly 0, in float32 and float64."""


def ablations(spec: MemorySpec, params: DNCParams) -> dict[str, DNCParams]:
    """Name of a part -> parameters of the model without it, for every part this model has.

    Single heads are only included if there are several: a model's only read head is the same as "reads", its only write
    head as "writing".
    """
    damaged = {"reads": without_reads(spec, params), "writing": without_writing(spec, params)}
    if isinstance(spec, NTMSpec):
        damaged["shifts"] = without_shifts(spec, params)
    elif spec.links:
        damaged["links"] = without_links(spec, params)
    damaged["content"] = without_content(spec, params)
    if spec.bidirectional:
        damaged["second direction"] = without_second_direction(spec, params)
    if spec.memories > 1:
        damaged |= {f"reads of memory {e}": without_memory(spec, params, e) for e in range(spec.memories)}
    if spec.read_heads > 1:
        damaged |= {
            f"head {head}{of}": without_head(spec, params, head, e)
            for e, of in enumerate(of_memory(spec))
            for head in range(spec.read_heads)
        }
    if spec.write_heads > 1:
        writers = range(spec.write_heads)
        damaged |= {f"write head {head}": without_write_head(spec, params, head) for head in writers}
    return damaged


def without_reads(spec: MemorySpec, params: DNCParams) -> DNCParams:
    """The same model with every read vector set to zero: r_i = 0.

    Reads enter only through rows of the weights: after the input in each controller layer, after h_all in the output.
    """
    return _without_read_rows(spec, params, slice(0, spec.reads_size))


def of_memory(spec: MemorySpec) -> list[str]:
    """What tells the parts of each memory apart: " of memory 0" .. where there are two, else nothing."""
    return [f" of memory {e}" for e in range(spec.memories)] if spec.memories > 1 else [""]


def without_memory(spec: MemorySpec, params: DNCParams, e: int) -> DNCParams:
    """The same model with every read vector of memory e, of two, set to zero on its way to controller and output.

    The write vector of the second memory, where it is a product of what was read from the first, is as before.
    """
    count = spec.reads_size // spec.memories
    return _without_read_rows(spec, params, slice(e * count, (e + 1) * count))


def without_head(spec: MemorySpec, params: DNCParams, head: int, e: int = 0) -> DNCParams:
    """The same model with the read vector of one head of memory e, 0 to R - 1, set to zero: r_head = 0.

    The head's weighting still determines what its free gate frees; see also `without_memory`.
    """
    first = (e * spec.read_heads + head) * spec.word_size
    return _without_read_rows(spec, params, slice(first, first + spec.word_size))


def without_writing(spec: MemorySpec, params: DNCParams) -> DNCParams:
    """The same model with its write gates closed: g^w = 0, hence w^w = 0 and M_t = M_{t-1}.

    An NTM, which has no such gate, erases nothing and adds zeros: e = 0, a = 0, which leaves M as it is too. The memory
    keeps its initial contents: empty (so that all reads are 0) or learned, apart from what the free gates erase with
    `deallocation`.
    """
    return _without_writes(spec, params, slice(None))


def without_write_head(spec: MemorySpec, params: DNCParams, head: int) -> DNCParams:
    """The same model, of several write heads, without the writes of one, 0 to V - 1, in the same way."""
    return _without_writes(spec, params, slice(head, head + 1))


def without_shifts(spec: NTMSpec, params: DNCParams) -> DNCParams:
    """The same model with heads that never shift: s = (.., 0, 1, 0, ..) of every read and write head."""
    columns = interface_columns(spec)
    for part in ("read_shifts", "write_shifts"):
        others = np.delete(columns[part], spec.shift_range, axis=1)
        params = _held(_held(params, columns[part], 0.0), others, OFF)
    return params


def without_links(spec: DNCSpec, params: DNCParams) -> DNCParams:
    """The same model with every head reading by content alone: pi = (0, 1, 0), hence w^r = c^r."""
    directions = np.delete(interface_columns(spec)["read_modes"], spec.write_heads, axis=-1)
    return _held(params, directions, OFF)


def without_content(spec: MemorySpec, params: DNCParams) -> DNCParams:
    """The same model with read keys of zeros: k^r = 0, hence D = 0 and c^r[n] = 1/N.

    Of a sparse model, which keeps K of these equal weights, a head then reads the first K slots, 1/K of each.
    The content mode itself stays: without it a head would never reach a first slot to follow links from and would read
    nothing, which is `without_reads`. The heads of an NTM do without: g = 0 in all of them, so that they attend by
    location alone.
    """
    columns = interface_columns(spec)
    if isinstance(spec, NTMSpec):
        return _held(_held(params, columns["read_interpolation"], OFF), columns["write_interpolation"], OFF)
    return _held(params, columns["read_keys"], 0.0)


def without_second_direction(spec: MemorySpec, params: DNCParams) -> DNCParams:
    """The same model with the hidden values of its second direction set to zero.

    They enter only through rows of the weights of interface and output, after the controller's.
    """
    rows = slice(sum(spec.hidden_sizes), spec.hidden_total)

    def cleared(weights: Array) -> Array:
        weights = weights.copy()
        weights[rows] = 0
        return weights

    interface, output = (
        part._replace(weights=cleared(part.weights)) for part in (params.interface, params.output)
    )
    return params._replace(interface=interface, output=output)


def interface_columns(spec: MemorySpec) -> dict[str, NDArray[np.intp]]:
    """Part of the interface -> indices of its columns, in the part's shape (`spec.interface_shapes`)."""
    return {
        name: spec.interface_offsets[name] + np.arange(spec.interface_sizes[name]).reshape(shape)
        for name, shape in spec.interface_shapes.items()
    }


def _without_writes(spec: MemorySpec, params: DNCParams, heads: slice) -> DNCParams:
    columns = interface_columns(spec)
    if isinstance(spec, NTMSpec):
        return _held(_held(params, columns["erase"][heads], OFF), columns["write_vectors"][heads], 0.0)
    return _held(params, columns["write_gate"].reshape(-1, spec.write_heads)[:, heads], OFF)


def _without_read_rows(spec: MemorySpec, params: DNCParams, reads: slice) -> DNCParams:
    def cleared(weights: Array, first: int) -> Array:
        weights = weights.copy()
        weights[first + reads.start : first + reads.stop] = 0
        return weights

    layers = [layer._replace(weights=cleared(layer.weights, spec.input_size)) for layer in params.controller]
    output = params.output._replace(weights=cleared(params.output.weights, spec.hidden_total))
    return params._replace(controller=tuple(layers), output=output)


def _held(params: DNCParams, columns: NDArray[np.intp], value: float) -> DNCParams:
    """The same model with these columns of the raw interface xi fixed at `value`.

    Their weights are set to 0, which leaves the bias. With layer norm their gain is set to 0 instead, since the weights
    of all columns enter its mean and variance.
    """
    interface = params.interface
    bias = interface.bias.copy()
    bias[columns] = value
    if isinstance(interface.gain, np.ndarray):
        gain = interface.gain.copy()
        gain[columns] = 0
        return params._replace(interface=interface._replace(bias=bias, gain=gain))
    weights = interface.weights.copy()
    weights[:, columns] = 0
    return params._replace(interface=interface._replace(weights=weights, bias=bias))
