# `make ablation` and `make test` are the two main commands. The first one to run creates the virtual environment .venv.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help ablation claims test test-slurm test-gpu storm docs setup clean

help:
	@echo "make ablation    run the branch ablation on digits for 8 minutes at most, and print its table"
	@echo "make claims      test the paper's claims on the data that come with the installation"
	@echo "make test        run ruff, mypy, the import contracts and the tests"
	@echo "make test-slurm  run the tests against a real SLURM on this machine (slurm/dev-cluster lists the Debian packages)"
	@echo "make test-gpu    check and measure what needs a GPU, in ten minutes (PYTHON=python3: a Python with PyTorch for CUDA)"
	@echo "make storm       kill, fill and wipe whatever a sweep needs, here and on SLURM, for some 20 minutes (as test-slurm)"
	@echo "make docs        build the documentation site in build/site and check its links"
	@echo "All of them create .venv first if it is missing."

ablation: setup
	$(PYTHON) -m terminator.run -m ablation=branches sweep.budget_min=8

claims: setup
	$(PYTHON) -m analysis.claims --run

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal -m "not slurm and not gpu"

test-slurm: setup
	OMP_NUM_THREADS=1 TERMINATOR_REQUIRE_SLURM=1 $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slurm

# With another Python, as in `make test-gpu PYTHON=python3`, no environment is made: it has PyTorch with CUDA already.
test-gpu: $(if $(filter $(VENV)/bin/python,$(PYTHON)),setup)
	TERMINATOR_REQUIRE_GPU=1 $(PYTHON) -m pytest -vv -rs --confcutdir tests/gpu -p no:cacheprovider -W default -m gpu tests/gpu

storm: setup
	$(PYTHON) -m tests.slurm.storm

docs: setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo "build/site/index.html"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Creating $(VENV) with the versions pinned in constraints.txt (a few minutes, once)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is required; found $$(python3 --version)"; exit 1; }
	@python3 -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv"; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
