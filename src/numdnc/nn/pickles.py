"""Safe reading of files of `torch.save`, also of untrusted ones.

Such a file is a zip archive of a pickle and the data of each tensor. torch's unpickler (weights_only) allows few
functions, but some of these allocate as much memory as the file says. Here only what plain tensors need is allowed, and
tensors may not be larger than the file.
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
    """Load a file of `torch.save` that holds plain values and tensors; `kind` is what error messages call it."""
    try:
        with open_regular_file(path) as file:
            _check_pickle(file)
            file.seek(0)
            contents = torch.load(file, map_location="cpu", weights_only=True)
            _check_sizes(contents, path.stat().st_size)
            return contents
    except FileNotFoundError:
        raise UserError(f"{kind} must exist at {path}, got none. Check the file's name.") from None
    except Exception as error:  # noqa: BLE001 - torch may raise anything for an invalid file
        raise UserError(
            f"{path} must be {kind}, got a file that torch cannot read ({_one_line(error)}). "
            "It was cut short, damaged, or is something else."
        ) from None


def _check_pickle(file: Any) -> None:
    """Refuse compressed members, and pickles that use anything but plain values and tensors."""
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
    """Refuse tensors of more bytes than the file: views may share or repeat their data."""
    held = contents.get("state_dict") if isinstance(contents, dict) else None
    tensors = (
        [value for value in held.values() if isinstance(value, torch.Tensor)]
        if isinstance(held, dict)
        else []
    )
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > size:
        raise ValueError("its tensors claim more numbers than it holds")


def _one_line(error: Exception) -> str:
    """First line of the message of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
