"""Modules with Hugging Face's mixin: saved to a folder and loaded from it, without a network."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from numdnc import nn

hub = pytest.importorskip("huggingface_hub")


class HubDNC(nn.DNC, hub.PyTorchModelHubMixin):  # type: ignore[misc, name-defined]
    """As docs/torch.md says."""


def test_a_folder_gives_the_module_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = HubDNC(5, (6, 4), 3, memory_size=7, word_size=3, read_heads=2, masking=True, batch_first=True)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["memory_size"], config["masking"]) == (7, True)
    again = HubDNC.from_pretrained(tmp_path)
    assert again.spec == model.spec
    assert again.batch_first
    x = torch.randn(2, 4, 5)
    assert torch.equal(again(x)[0], model(x)[0])
