"""Learned interfaces: tapes that a model moves along by actions, to read, remember and write symbols."""

from numdnc.tasks.interfaces.interface import Interface
from numdnc.tasks.interfaces.names import (
    InterfaceCopy,
    InterfaceDuplicatedInput,
    InterfaceForwardReverse,
    InterfaceRepeatCopy,
    InterfaceReverse,
)

INTERFACES: dict[str, type[Interface]] = {
    "interface-copy": InterfaceCopy,
    "interface-reverse": InterfaceReverse,
    "interface-duplicated-input": InterfaceDuplicatedInput,
    "interface-repeat-copy": InterfaceRepeatCopy,
    "interface-forward-reverse": InterfaceForwardReverse,
}
"""The tasks by the name that a checkpoint and `numdnc train NAME` give them."""

__all__ = [
    "INTERFACES",
    "Interface",
    "InterfaceCopy",
    "InterfaceDuplicatedInput",
    "InterfaceForwardReverse",
    "InterfaceRepeatCopy",
    "InterfaceReverse",
]
