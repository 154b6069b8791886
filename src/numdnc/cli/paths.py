"""Paths on the command line: an empty one, such as an unset shell variable gives, is refused.

The system would take it as the working folder.
"""

from pathlib import Path

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from numdnc.errors import UserError

REGISTRY = ConstructorRegistry()
"""How tyro parses a path; a context to enter while it parses."""


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
