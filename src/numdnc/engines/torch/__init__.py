"""The engine `torch`: the definition in plain torch operations, on any device, with torch's own gradient.

`model.forward` is the model on tensors, of any dtype, for whoever works in torch; `ENGINE` and `engine_on` are the
same behind the calls that all engines have.
"""

from numdnc.engines.torch.engine import ENGINE, engine_on

__all__ = ["ENGINE", "engine_on"]
