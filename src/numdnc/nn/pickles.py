"""Files of `torch.save`, read so that a stranger's can do nothing but be wrong.

Such a file is a zip of a pickle and of the numbers of each tensor. torch unpickles with few functions allowed
(weights_only), but among these are some that take memory at the file's word. Here only what plain tensors need is let
through, and the tensors may hold no more numbers than the file.
"""

import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch

from numdnc.errors import UserError
from numdnc.input_files import open_regular_file

_ALLOWED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
_ALLOWED |= {f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16")}
_LARGEST_PICKLE = 1 << 26


def read_tensors(path: Path, kind: str) -> Any:
    """What lies in a file of `torch.save` that holds plain values and tensors; `kind` says what it must be."""
    try:
        with open_regular_file(path) as file:
            _check_pickle(file)
            file.seek(0)
            contents = torch.load(file, map_location="cpu", weights_only=True)
            _check_sizes(contents, path.stat().st_size)
            return contents
    except FileNotFoundError:
        raise UserError(f"{kind} must exist at {path}, got none. Check the file's name.") from None
    except Exception as error:  # noqa: BLE001 - on a strange file torch may fail in any way
        raise UserError(
            f"{path} must be {kind}, got a file that torch cannot read ({_one_line(error)}). "
            "It was cut short, damaged, or is something else."
        ) from None


def _check_pickle(file: Any) -> None:
    """Refuse packed members, and pickles that ask for anything beyond plain values and tensors."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its members are packed")
        pickles = [member for member in members if member.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _LARGEST_PICKLE:
            raise ValueError("it does not hold one pickle of usual size")
        for code, argument, _ in pickletools.genops(archive.read(pickles[0])):
            named = code.name in ("GLOBAL", "INST")
            if (named and argument not in _ALLOWED) or code.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
                raise ValueError(f"it asks for {str(argument)[:80]}, which no plain tensor needs")


def _check_sizes(contents: Any, size: int) -> None:
    """Refuse tensors of more bytes than there are in the file: several may share their numbers or repeat them."""
    held = contents.get("state_dict") if isinstance(contents, dict) else None
    tensors = (
        [value for value in held.values() if isinstance(value, torch.Tensor)]
        if isinstance(held, dict)
        else []
    )
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > size:
        raise ValueError("its tensors claim more numbers than it holds")


def _one_line(error: Exception) -> str:
    """The first line of what torch says, which may be many."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
