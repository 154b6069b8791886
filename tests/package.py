"""Build sdist and wheel, look into them, and use the wheel as its users do: `make package`.

    python tests/package.py FOLDER

The sdist must give the same wheel as the repository. The wheel must hold the package and nothing else, and its README
must render on a package index. A new environment outside the repository then gets the wheel, and its program trains a
few steps, draws a page of the inspector and asks a model that comes with numdnc.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "numdnc"
NEEDED = (
    "py.typed",
    "models/copy/best.safetensors",
    "models/traversal/underground.csv",
    "recipes/copy.toml",
    "inspection/viewer/page.html",
    "inspection/viewer/model/forward.js",
)
"""A file of each kind that is not Python."""


def run(*words: object, folder: Path = ROOT) -> str:
    """What a program prints that must succeed; the environment names no other numdnc."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Build an sdist or a wheel of a folder; its path."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source)
    (made,) = out.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def check_contents(files: dict[str, bytes]) -> None:
    """The package as it is in src, its metadata and the licence."""
    tracked = {
        path.relative_to(SOURCES.parent).as_posix()
        for path in SOURCES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (about,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    metadata = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    wanted = tracked | metadata | {f"{about}/licenses/LICENSE"}
    assert set(files) == wanted, f"the wheel lacks or should not hold: {sorted(set(files) ^ wanted)}"
    assert {f"numdnc/{name}" for name in NEEDED} <= set(files)
    readme = message_from_bytes(files[f"{about}/METADATA"]).get_payload()
    relative = [line for line in readme.splitlines() if "](" in line.replace("](http", "")]
    assert not relative, f"links that lead nowhere on a package index: {relative}"


def use(wheel: Path, folder: Path) -> None:
    """Install the wheel into a new environment and use it from an empty folder."""
    run(sys.executable, "-m", "venv", folder / "venv")
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    work = folder / "work"
    work.mkdir()
    where = run(programs / "python", "-c", "import numdnc; print(numdnc.__file__)", folder=work)
    assert Path(where.strip()).is_relative_to(folder / "venv"), where
    run(programs / "numdnc", "train", "copy", "--steps", 5, "--out", "runs/copy", folder=work)
    run(programs / "numdnc", "view", "runs/copy", "--no-open", "--out", "page.html", folder=work)
    assert (work / "page.html").stat().st_size > 100_000
    assert "model:traversal" in run(programs / "numdnc", "models", folder=work)
    walk = "Bank -Central Line-> ? -Central Line-> ?"
    assert "\nright" in run(programs / "numdnc", "ask", "model:traversal", walk, folder=work)
    assert "copy" in run(programs / "numdnc", "reproduce", "--list", folder=work)


def main(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist = build("sdist", ROOT, out / "sdist")
        with tarfile.open(sdist) as opened:
            opened.extractall(folder / "unpacked", filter="data")
        (unpacked,) = (folder / "unpacked").iterdir()
        wheel = build("wheel", unpacked, out / "wheel")
        files = contents(wheel)
        assert files == contents(build("wheel", ROOT, folder / "direct")), "the sdist gives another wheel"
        check_contents(files)
        print(run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel), end="")
        use(wheel, folder)
    print(f"{wheel}: {len(files)} files, {wheel.stat().st_size / 1e6:.1f} MB; {sdist.name} gives the same")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
