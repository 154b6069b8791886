"""What RDKit says of molecules: which are valid, different and new."""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numdnc.errors import UserError, missing_package


class Shares(NamedTuple):
    """Shares of samples, each in [0, 1]; 0 where none are left to count."""

    valid: float
    """Of all: those that RDKit reads as a molecule."""
    unique: float
    """Of the valid ones: different molecules."""
    novel: float
    """Of the different ones: those that were not trained on."""


def canonical(smiles: str) -> str | None:
    """The canonical SMILES of a molecule, the same however it is written; None if it is not valid, or empty."""
    chem, quiet = _rdkit()
    with quiet():
        molecule = chem.MolFromSmiles(smiles) if smiles else None
        return None if molecule is None else str(chem.MolToSmiles(molecule))


def randomised(smiles: str, rng: np.random.Generator) -> str:
    """The same molecule with its atoms in an order that is drawn; what is not valid stays as it is.

    One molecule has as many SMILES as ways through its atoms; RDKit takes branches in the order that it is given
    (Arus-Pous et al. 2019, J. Cheminformatics 11:71, call these restricted).
    """
    chem, quiet = _rdkit()
    with quiet():
        molecule = chem.MolFromSmiles(smiles)
        if molecule is None:
            return smiles
        order = rng.permutation(molecule.GetNumAtoms()).tolist()
        return str(chem.MolToSmiles(chem.RenumberAtoms(molecule, order), canonical=False))


def draw_molecules(molecules: Sequence[str], *, svg: bool) -> bytes:
    """A drawing of valid molecules, four in a row, as a PNG or SVG file."""
    chem, _ = _rdkit()
    from rdkit.Chem.Draw import MolsToGridImage

    drawn = MolsToGridImage(
        [chem.MolFromSmiles(smiles) for smiles in molecules], molsPerRow=4, subImgSize=(280, 210), useSVG=svg
    )
    if svg:
        return str(drawn).encode()
    file = io.BytesIO()
    drawn.save(file, format="png")
    return file.getvalue()


def has_rdkit() -> bool:
    """Whether RDKit is installed."""
    try:
        _rdkit()
    except UserError:
        return False
    return True


def shares(samples: Sequence[str | None], trained: Iterable[str | None]) -> Shares:
    """Shares of samples and what was trained on, both as canonical SMILES, or None where they are not valid."""
    valid = [sample for sample in samples if sample is not None]
    unique = set(valid)
    novel = unique - set(trained)
    return Shares(
        len(valid) / max(len(samples), 1), len(unique) / max(len(valid), 1), len(novel) / max(len(unique), 1)
    )


@cache
def _rdkit() -> tuple[Any, Any]:
    """RDKit's module of molecules, and a context in which it writes no messages."""
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        raise missing_package("checking molecules", "rdkit") from None
    return Chem, rdBase.BlockLogs
