"""A trace as one HTML file that needs nothing else: its style, its script and its numbers are inside.

Axes: T steps, R read heads, N slots.
"""

import base64
import dataclasses
import hashlib
import re
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.inspection.provenance import LEAST, Provenance, provenance
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer.graphs import graph_of
from numdnc.inspection.viewer.truncation import Truncated, truncations
from numdnc.names import shorten
from numdnc.schema import json_text

LARGEST = 4_800_000
"""Bytes that the numbers of a page may take, as text; style and script are some 50 kB more."""
LONGEST_NAME = 200
"""Characters of a name, or of another text about the trace, that a page shows."""
SCRIPTS = (
    *(
        "trace.js",
        "words.js",
        "slots.js",
        "panels.js",
        "colours.js",
        "heat.js",
        "marks.js",
        "arcs.js",
        "memory.js",
    ),
    *("links.js", "graph.js", "step.js", "overlay.js", "time.js", "input.js", "page.js"),
)
"""Parts of the one script, in this order."""


def page(trace: Trace) -> str:
    """The page of a trace, without what would make it larger than LARGEST, which it says."""
    for thinned in truncations(trace.arrays):
        numbers = pack(thinned.arrays)
        if len(numbers) <= LARGEST:
            break
    script = "".join(_source(name) for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    style = _source("view.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "style": style,
        "about": harmless_json(_about(trace, thinned)),
        "numbers": numbers,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _source("page.html"))


def pack(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Arrays one after another in the order of their names: 3 bytes a number, deflated, in base 64.

    Of a float the sign, the exponent and 15 bits after the point remain, rounded to nearest: relative errors of at most
    2^-16. Integers must lie in 0..2^24 - 1. All first bytes come first, then all second, then all third, which
    deflates better.
    """
    numbers = np.concatenate([_in_24_bits(arrays[name]) for name in sorted(arrays)])
    planes = np.stack([numbers >> 16, numbers >> 8, numbers]).astype(np.uint8)
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()


def harmless_json(value: object) -> str:
    """JSON in ASCII without <, > and &, so that no text in it can end or open anything in a page."""
    text = json_text(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _in_24_bits(array: NDArray[Any]) -> NDArray[np.uint32]:
    if array.dtype.kind in "iu":
        return array.ravel().astype(np.uint32)
    numbers = np.where(np.isnan(array), np.float32(np.nan), array).astype(np.float32).ravel()
    return (numbers.view(np.uint32) + np.uint32(0x80)) >> np.uint32(8)


def _about(trace: Trace, thinned: Truncated) -> dict[str, Any]:
    """All that is no array, as JSON."""
    about = {
        **_brief(dataclasses.asdict(trace.about)),
        "graph": graph_of(trace, thinned.steps),
        "kind": trace.spec.kind,
        "spec": dataclasses.asdict(trace.spec),
        "unit": trace.unit,
        "groups": trace.groups,
        "steps": thinned.steps,
        "every": thinned.every,
        "note": "; ".join(note for note in (trace.note, thinned.note) if note),
        "arrays": [
            [name, list(array.shape), array.dtype.kind == "f"]
            for name, array in sorted(thinned.arrays.items())
        ],
    }
    if trace.spec.has_memory:
        whole = {name: array[: thinned.steps] for name, array in trace.arrays.items()}
        found: Provenance = provenance(whole, deallocation=trace.spec.deallocation)
        about |= {"provenance": {name: array.tolist() for name, array in found._asdict().items()}}
        about |= {"least": LEAST}
    return about


def _brief(described: dict[str, Any]) -> dict[str, Any]:
    """The same with names cut that are too long to be shown, which keeps the page small and fast."""
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
