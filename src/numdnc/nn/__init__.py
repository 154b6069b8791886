"""RNN, LSTM, DNC and NTM as modules of PyTorch.

    model = numdnc.nn.DNC(8, 64, 8, memory_size=16, word_size=16, read_heads=2)
    output, state = model(input)                               # input (T, B, 8)
    output, state = model(more, numdnc.nn.detach(state))       # the state carried on, without its gradient

On the CPU they run the compiled engine `cpu`, on other devices and in half precision the engine `torch`. Invalid
arguments raise `numdnc.UserError`. See docs/torch.md.
"""

from numdnc.errors import missing_package

try:
    import torch  # noqa: F401
except ImportError:
    raise missing_package("numdnc.nn", "torch") from None

from numdnc.nn.files import from_run, load, save
from numdnc.nn.modules import DNC, LSTM, NTM, RNN
from numdnc.nn.states import detach

__all__ = ["DNC", "LSTM", "NTM", "RNN", "detach", "from_run", "load", "save"]
