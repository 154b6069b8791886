"""Paths on the command line: an empty one, as of an unset variable of the shell, is refused.

To the system it would be the working folder, into which nobody means to train.
"""

from pathlib import Path

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from numdnc.errors import UserError

REGISTRY = ConstructorRegistry()
"""How tyro reads a word that is a path; to be entered while it reads."""


@REGISTRY.primitive_rule
def _rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: _path(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )


def _path(word: str) -> Path:
    if not word:
        raise UserError(
            "a path must have a name, got an empty one. Leave it out, or give . for the working folder."
        )
    return Path(word)
