"""A plain PyTorch loop: a DNC learns to repeat vectors of bits that it has read, in less than a minute.

python examples/torch_copy.py
"""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import numdnc.nn
from numdnc.tasks.bits import Copy


def learn(task: Copy, updates: int) -> float:
    """Train, and return the share of wrong bits on 256 new sequences."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    model = numdnc.nn.DNC(task.input_size, 64, task.output_size, memory_size=16, word_size=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(1, updates + 1):
        inputs, targets, mask = tensors(task.draw(rng, 32))
        outputs, _ = model(inputs)
        loss = cross_entropy(outputs[mask], targets[mask])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        if update % 50 == 0:
            print(f"update {update}: loss {loss.item():.4f}")
        if loss.item() < 0.002:
            break
    with torch.no_grad():
        inputs, targets, mask = tensors(task.draw(rng, 256))
        wrong = (model(inputs)[0] > 0) != (targets > 0.5)
    return wrong[mask].float().mean().item()


def tensors(batch):
    """Inputs, targets and mask of a batch, each (T, B, ..)."""
    return (torch.as_tensor(part) for part in (batch.inputs, batch.targets, batch.mask))


if __name__ == "__main__":
    print(f"{learn(Copy(width=6, max_length=6), updates=1000):.1%} of the bits of new sequences wrong")
