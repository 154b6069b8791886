"""The engine `torch`: the definition in plain torch operations, on any device, with torch's own gradient.

`model.forward` computes the model on tensors of any dtype; `ENGINE` and `engine_on` wrap it in the methods that all
engines have.
"""

from numdnc.engines.torch.engine import ENGINE, engine_on

__all__ = ["ENGINE", "engine_on"]
