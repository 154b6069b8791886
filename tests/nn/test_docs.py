"""The code in docs/torch.md runs as it stands there, one block after the other."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.commands import done, train_copy

DOCS = Path(__file__).parents[2] / "docs" / "torch.md"


@pytest.mark.thorough
def test_every_block_of_python_and_every_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train_copy("runs/copy-dnc-1")
    text, names = DOCS.read_text(encoding="utf-8"), dict[str, Any]()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert type(names["state"]) is type(names["start"])
    assert names["start"].memory.shape == (4, 20, 8)
    assert isinstance(names["packed"], torch.nn.utils.rnn.PackedSequence)
    assert not names["start"].memory.any()
    assert names["plain"]["state_dict"].keys() == names["model"].state_dict().keys()
    exports = re.findall(r"^    numdnc (export [^#\n]*)", text, re.MULTILINE)
    assert len(exports) == 3
    for number, command in enumerate(exports):
        done(*command.replace("runs/back", f"runs/back-{number}").split())
        done("eval", f"runs/back-{number}") if "--to run" in command else None
