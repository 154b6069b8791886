"""Scores of molecules for `numdnc train reinvent`: `--score examples/molecule_scores.py:drug_likeness`.

A score is a function of the canonical SMILES of a valid molecule to a number from -1 to 1, the higher the better.
"""

from rdkit import Chem, DataStructs
from rdkit.Chem import QED, rdFingerprintGenerator

GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2)
CELECOXIB = GENERATOR.GetFingerprint(Chem.MolFromSmiles("Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"))


def drug_likeness(smiles: str) -> float:
    """QED, from 0 to 1: how much like a drug a molecule is (Bickerton et al. 2012)."""
    return float(QED.qed(Chem.MolFromSmiles(smiles)))


def like_celecoxib(smiles: str) -> float:
    """Similarity to the drug celecoxib, from 0 to 1 (Tanimoto, Morgan fingerprints of radius 2).

    As in Olivecrona et al. 2017, a similarity above 0.7 counts no more than 0.7.
    """
    fingerprint = GENERATOR.GetFingerprint(Chem.MolFromSmiles(smiles))
    return min(float(DataStructs.TanimotoSimilarity(fingerprint, CELECOXIB)) / 0.7, 1.0)
