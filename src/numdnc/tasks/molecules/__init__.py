"""Molecules: write them token by token as SMILES, one molecule a sequence."""

from numdnc.tasks.molecules.reinvent import ReinventSettings, ReinventTask
from numdnc.tasks.molecules.task import MoleculeSettings, MoleculeTask

__all__ = ["MoleculeSettings", "MoleculeTask", "ReinventSettings", "ReinventTask"]
