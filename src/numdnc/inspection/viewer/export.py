"""Write a trace as one HTML file that contains its style, its script and its numbers.

Axes: T steps, E memories, R read heads, N slots.
"""

import base64
import dataclasses
import hashlib
import re
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.inspection.provenance import LEAST, provenance
from numdnc.inspection.trace import Trace, memory_traces
from numdnc.inspection.viewer.boards import boards_of
from numdnc.inspection.viewer.graphs import graph_of
from numdnc.inspection.viewer.parameters import described_model, pack_params, why_not_computed
from numdnc.inspection.viewer.truncation import Truncated, truncations
from numdnc.names import shorten
from numdnc.schema import json_text

LARGEST = 4_800_000
"""Most bytes of text for the numbers of a page; style and script add some 50 kB."""
LONGEST_NAME = 200
"""Most characters of a name or of other text that a page shows."""
MODEL_SCRIPTS = tuple(
    f"model/{name}.js"
    for name in (
        "activations",
        "controller",
        "content",
        "allocation",
        "memory",
        "access",
        "ntm",
        "edits",
        "forward",
    )
)
"""Parts of the script that compute a model, in order; the page calls them by the name `model`."""
SCRIPTS = (
    *(
        "trace.js",
        "words.js",
        "slots.js",
        "panels.js",
        "memory_panels.js",
        "memories.js",
        "colours.js",
        "heat.js",
        "marks.js",
        "arcs.js",
        "memory.js",
    ),
    *("links.js", "graph.js", "boards.js", "step.js", "overlay.js", "time.js"),
    *(
        "provenance.js",
        "compute.js",
        "runs.js",
        "what_if.js",
        "rollout.js",
        "own_question.js",
        "own_input.js",
        "curves.js",
        "input.js",
    ),
    "page.js",
)
"""Parts of the script, in order."""


class Checkpoint(NamedTuple):
    """A checkpoint that a page compares with that of its trace."""

    name: str
    params: Any


def page(
    trace: Trace,
    params: Any = None,
    why_not: str = "",
    *,
    other: Checkpoint | None = None,
    curves: dict[str, Any] | None = None,
) -> str:
    """The page of a trace; what would make it larger than LARGEST is left out, and the page says so.

    With `params`, those of the model that the trace is of, the page can compute the sequence again, unless the model is
    too large (`parameters.why_not_computed`). Without them it says `why_not`.

    `other` has a model of the same spec, which the page computes on the same inputs; `curves` are those of the training
    (training_curves.py).
    """
    memories = memory_traces(trace)
    arrays, own = _beside_each_other(memories)
    for thinned in truncations(arrays):
        numbers = pack(thinned.arrays)
        if len(numbers) <= LARGEST:
            break
    if params is not None:
        why_not = why_not_computed(trace.spec, params, thinned.steps) or ""
        if trace.spec.bidirectional and thinned.steps < trace.steps:
            why_not = "it reads from the last step, which the page does not hold"
    computes = params is not None and not why_not
    script = (model_script() if computes else "") + "".join(_source(name) for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    style = _source("view.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "style": style,
        "about": harmless_json(
            _about(trace, thinned, memories, own)
            | {"model": described_model(trace.spec, params) if computes else None, "why_not": why_not}
            | {"inputs": _exact_inputs(trace) if computes else None, "curves": curves}
            | {"other": shorten(other.name, LONGEST_NAME) if computes and other else None}
        ),
        "numbers": numbers,
        "params": pack_params(params, *([other.params] if other else [])) if computes else "",
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _source("page.html"))


def model_script() -> str:
    """The part of the script that computes a model: a constant `model` with its functions."""
    body = "".join(_source(name) for name in MODEL_SCRIPTS)
    return f"const model = (() => {{\n{body}return {{ forward, paramTree, editsAt, sigmoid, softmax }};\n}})();\n"


def _exact_inputs(trace: Trace) -> list[list[float]] | None:
    """The inputs of a model that the page computes; None if they are exact in `pack` too."""
    inputs = trace.arrays["inputs"]
    if inputs.dtype.kind in "iu" or not (inputs.view(np.uint32) & np.uint32(0xFF)).any():
        return None
    return [[float(value) for value in row] for row in inputs]


def pack(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Pack arrays in the order of their names: 3 bytes a number, deflated, in base 64.

    A float keeps its sign, its exponent and 15 bits of its fraction, rounded to nearest: relative errors are at most
    2^-16. Integers must lie in 0..2^24 - 1. All first bytes come first, then all second, then all third, which
    compresses better.
    """
    numbers = np.concatenate([_in_24_bits(arrays[name]) for name in sorted(arrays)])
    planes = np.stack([numbers >> 16, numbers >> 8, numbers]).astype(np.uint8)
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()


def harmless_json(value: object) -> str:
    """JSON in ASCII without <, > and &, so that no text in it can open or close an element of the page."""
    text = json_text(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _in_24_bits(array: NDArray[Any]) -> NDArray[np.uint32]:
    if array.dtype.kind in "iu":
        return array.ravel().astype(np.uint32)
    numbers = np.where(np.isnan(array), np.float32(np.nan), array).astype(np.float32).ravel()
    return (numbers.view(np.uint32) + np.uint32(0x80)) >> np.uint32(8)


def _beside_each_other(memories: tuple[Trace, ...]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of all memories, and the names of those of which each memory has one: they have the axis E after T."""
    first, last = memories[0].arrays, memories[-1].arrays
    own = [name for name in first if first[name] is not last[name]]
    return first | {name: np.stack([first[name], last[name]], axis=1) for name in own}, own


def _about(trace: Trace, thinned: Truncated, memories: tuple[Trace, ...], own: list[str]) -> dict[str, Any]:
    """Everything about a trace apart from its arrays, as JSON; of two memories, as if there were one."""
    about = {
        **_brief(dataclasses.asdict(trace.about)),
        "graph": graph_of(trace, thinned.steps),
        "boards": boards_of(trace, thinned.steps),
        "kind": trace.spec.kind,
        "spec": dataclasses.asdict(memories[0].spec),
        "unit": trace.unit,
        "groups": trace.groups,
        "steps": thinned.steps,
        "every": thinned.every,
        "slots": None if trace.slots is None else trace.slots.tolist(),
        "note": "; ".join(note for note in (trace.note, thinned.note) if note),
        "arrays": [
            [name, list(array.shape), array.dtype.kind == "f"]
            for name, array in sorted(thinned.arrays.items())
        ],
    }
    if trace.spec.has_memory:
        found = [_provenance(memory, thinned.steps) for memory in memories]
        about |= {"provenance": found[0], "least": LEAST}
        if own:
            about["memories"] = {"arrays": own, "provenances": found}
    return about


def _provenance(trace: Trace, steps: int) -> dict[str, Any]:
    """The provenance of the reads of the first steps, of the only memory of a trace."""
    assert trace.spec.has_memory
    found = provenance(trace.spec, {name: array[:steps] for name, array in trace.arrays.items()})
    return {name: array.tolist() for name, array in found._asdict().items()}


def _brief(described: dict[str, Any]) -> dict[str, Any]:
    """The description with names shortened that are too long, which keeps the page small and fast."""
    settings = {
        shorten(name, LONGEST_NAME): value
        if len(json_text(value)) <= LONGEST_NAME
        else shorten(str(value), LONGEST_NAME)
        for name, value in described["settings"].items()
    }
    names = {
        side: [shorten(name, LONGEST_NAME) for name in described[side]]
        for side in ("input_channels", "output_channels")
    }
    words = {name: shorten(described[name], LONGEST_NAME) for name in ("task", "sequence", "engine")}
    return {**described, **names, **words, "settings": settings}


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
