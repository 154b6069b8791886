"""Two processes that train one module: DistributedDataParallel and fully_shard, by gloo on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
import numdnc.nn

torch.set_num_threads(1)
rank, kind, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

# The engine cpu shares the memory of parameters, which fully_shard frees between the passes.
engine = "auto" if kind == "ddp" else "torch"

def make():
    sizes = dict(memory_size=5, word_size=3, read_heads=2)
    return numdnc.nn.DNC(4, 6, 3, **sizes, dtype=torch.float64, seed=0, engine=engine)

def train(model, parts):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in parts:
        output, state = model(x)
        optimizer.zero_grad()
        (output.square().mean() + output.mean() + state.memory.square().mean()).backward()
        optimizer.step()

torch.manual_seed(1)
batches = torch.randn(3, 5, 4, 4, dtype=torch.float64)
alone = make()
train(alone, batches)
model = make()
if kind == "ddp":
    shared = DistributedDataParallel(model)
else:
    shared = fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
train(shared, batches[:, :, 2 * rank : 2 * rank + 2])
for (name, mine), wanted in zip(model.named_parameters(), alone.parameters(), strict=True):
    mine = mine.full_tensor() if kind == "fsdp" else mine
    assert (mine - wanted).abs().max() < 1e-12, name
assert max((p - q).abs().max() for p, q in zip(alone.parameters(), make().parameters())) > 1e-3
dist.destroy_process_group()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_as_one(kind: str, tmp_path: Path) -> None:
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), kind, str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for program in programs:
        _, said = program.communicate(timeout=1800)
        assert program.returncode == 0, said
