"""Runs test files on a package with one module changed, each time in a fork that imports the package anew.

What takes long to import, and is not ours, is imported once, before. Each line of standard input is an order as JSON:
the module, its path and changed text (or null), arguments of pytest, and variables of the environment, if any. The
answer is a line of JSON: the exit code of pytest, or NOT_IMPORTED, and what it printed.
"""

import gc
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

NOT_IMPORTED = 100
OPTIONS = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider")


class Changed(SourceFileLoader):
    """Finds and loads one module of the package with another text."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text, self.imported = text, False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        self.imported = True
        return compile(self.text, self.path, "exec")


def run(order: dict[str, Any]) -> int:
    """What a fork does; its output goes to the file `out`."""
    os.chdir(order["folder"])
    for number in (1, 2):
        os.dup2(os.open("out", os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.environ.update(order.get("environment", {}))
    changed = None
    if order["module"] is not None:
        # Machine code of a changed kernel is never kept with that of others.
        if ".engines.cpu." in order["module"]:
            os.environ["NUMBA_CACHE_DIR"] = order["folder"]
        changed = Changed(order["module"], order["path"], order["text"])
        sys.meta_path.insert(0, changed)
    code = int(pytest.main([*OPTIONS, *order["arguments"]]))
    return code if changed is None or changed.imported else NOT_IMPORTED


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    assert "numdnc" not in sys.modules
    gc.freeze()  # pytest collects garbage at its end
    while line := sys.stdin.readline():
        order = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if child == 0:
                code = NOT_IMPORTED
                try:
                    code = run({**order, "folder": folder})
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            sys.stdout.write(json.dumps([code, Path(folder, "out").read_text(errors="replace")]) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
