# Two commands are enough: `make train` and `make test`. Both set up all they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
# On Linux PyPI's torch brings some 20 packages of CUDA; this index has the same release for the processor alone.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WALK := "Bank -Central Line-> ? -Central Line-> ? -Central Line-> ? -Piccadilly Line-> ? -Piccadilly Line-> ?"

.PHONY: train demo test test-all check docs bench results torch package

# Compiling first, so that the minutes are of training however slow or busy the machine is.
train: .venv/installed
	$(BIN)/numdnc warmup dnc
	$(BIN)/numdnc train text --minutes 2.5

# A walk through the Underground, then the inspector on it.
demo: .venv/installed
	$(BIN)/numdnc ask model:traversal $(WALK) --engine reference
	$(BIN)/numdnc trace model:traversal --input $(WALK) --out demo.safetensors
	$(BIN)/numdnc view demo.safetensors

# On every processor that this process may use. The programs that tests start find compiled modules.
test test-all: export PYTHONDONTWRITEBYTECODE =
test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal

# The same, and then what takes minutes.
test-all: test
	$(BIN)/python -m pytest -n auto --dist worksteal -m thorough

check: .venv/installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in build/docs. The course embeds pages of the inspector; its pages are run, and are the notebooks of examples/learn.
docs: .venv/installed-docs
	$(BIN)/python docs/notebooks.py --check
	mkdir -p docs/_static
	$(BIN)/numdnc view model:copy --no-open --out docs/_static/copy.html
	$(BIN)/numdnc trace model:traversal --input $(WALK) --out docs/_static/walk.safetensors
	$(BIN)/numdnc view docs/_static/walk.safetensors --no-open --out docs/_static/walk.html
	rm docs/_static/walk.safetensors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "next:  $(PYTHON) -m http.server --directory build/docs"

bench: .venv/installed-bench
	$(BIN)/python benchmarks/ring.py

# The first part of docs/results.md, of docs/results/.
results: .venv/installed
	$(BIN)/python benchmarks/results.py

# The sdist and the wheel, in build/dist, tried as a user would.
package: .venv/installed-package
	$(BIN)/python tests/package.py build/dist

torch: .venv/installed-torch

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	  sys.exit(sys.version_info < (3, 11) and f"numdnc needs Python 3.11 or newer, got {v}. Try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Of all indexes together pip takes the highest version, and 2.13.0+cpu is above PyPI's 2.13.0.
.venv/installed-torch: .venv/installed
	@if [ "$$(uname -s)" != Linux ]; then index=; \
	elif $(BIN)/python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1] + "/torch/", timeout=5)' \
	    $(TORCH_INDEX) 2>/dev/null; then index="--extra-index-url $(TORCH_INDEX)"; \
	else index=; echo "$(TORCH_INDEX) cannot be reached: torch comes from pip's own index, maybe with CUDA"; fi; \
	set -x; $(BIN)/python -m pip install --quiet --group torch $$index
	@touch $@

.venv/installed-test .venv/installed-docs .venv/installed-bench: .venv/installed-torch

.venv/installed-test .venv/installed-check .venv/installed-docs .venv/installed-bench .venv/installed-package: \
    .venv/installed-%: .venv/installed
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@
