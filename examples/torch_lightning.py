"""The same as torch_copy.py with Lightning as the training loop (pip install lightning).

python examples/torch_lightning.py
"""

import lightning
import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.data import DataLoader, IterableDataset

import numdnc.nn
from numdnc.tasks.bits import Copy


class Batches(IterableDataset):
    """New sequences without end: inputs, targets and mask, each (T, B, ..)."""

    def __init__(self, task: Copy):
        self.task = task

    def __iter__(self):
        rng = np.random.default_rng(0)
        while True:
            batch = self.task.draw(rng, 32)
            yield tuple(torch.as_tensor(part) for part in (batch.inputs, batch.targets, batch.mask))


class Copier(lightning.LightningModule):
    """A DNC, its loss and its optimizer."""

    def __init__(self, task: Copy):
        super().__init__()
        self.dnc = numdnc.nn.DNC(task.input_size, 64, task.output_size, memory_size=16, word_size=16)

    def training_step(self, batch, _):
        """Return the loss of a batch."""
        inputs, targets, mask = batch
        outputs, _ = self.dnc(inputs)
        loss = cross_entropy(outputs[mask], targets[mask])
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        """As in torch_copy.py."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def learn(task: Copy, updates: int, **options) -> float:
    """Train, and return the last loss; options are those of `lightning.Trainer`."""
    lightning.seed_everything(0)
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=updates, gradient_clip_val=5, logger=False, **options
    )
    # batch_size=None: the task makes whole batches.
    trainer.fit(Copier(task), DataLoader(Batches(task), batch_size=None))
    return trainer.callback_metrics["loss"].item()


if __name__ == "__main__":
    print(f"last loss {learn(Copy(width=6, max_length=6), updates=1000):.4f}")
