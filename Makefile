# The two commands are `make ablation` and `make test`; both set up what they need, once, in .venv.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help ablation claims test test-slurm setup clean

help:
	@echo "make ablation    set up, then run the ablation of the branches on digits and print its table"
	@echo "make claims      set up, then test the paper's claims on the embedded data"
	@echo "make test        set up, then ruff, mypy and the tests"
	@echo "make test-slurm  set up, then the tests on a real SLURM on this machine (Debian packages: slurm/dev-cluster says which)"

ablation: setup
	$(PYTHON) -m terminator.run -m ablation=branches

claims: setup
	$(PYTHON) -m analysis.claims --run

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 -m "not slurm"

test-slurm: setup
	OMP_NUM_THREADS=1 TERMINATOR_REQUIRE_SLURM=1 $(PYTHON) -m pytest -m slurm

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): a virtual environment with the pinned versions of constraints.txt (a few minutes, once)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; this is $$(python3 --version)"; exit 1; }
	@python3 -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv"; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
