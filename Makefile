# Set-up in a virtual environment of its own, the demo, and the tests. Every target can be run first.

VENV ?= .venv
PYTHON ?= python3
# processes of make pytest, and the files that it runs: by default all
WORKERS ?= 3
TESTS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := torch==2.13.0
MAP := $(VENV)-map
IN_MAP := $(MAP)/bin/python -m pip --disable-pip-version-check --quiet

# without a GPU the CPU build does, and saves gigabytes; an index that does not answer is skipped
ifeq ($(shell command -v nvidia-smi 2>/dev/null),)
TORCH_INDEX := --extra-index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 15
endif

# All packages are pinned, with their hashes. Torch has only a version, because its build depends on the machine.
LOCKED := --require-hashes --no-deps -r requirements/
# For single extras. pip takes no hashes here, because this package has none.
PINS := $(VENV)/pins.txt

.PHONY: help web setup label map test-map test-openvino optional demo review test pytest paper docs conformance lint types lock sbom audit clean

help:
	@echo "make demo      set up, draw synthetic DICOM cephalograms in demo/, detect on them, print the error, write reports"
	@echo "make review    make demo, then serve its films for a review in the browser, until Ctrl-C"
	@echo "make test      set up, lint, check types, run the tests; tests skip if something that they need is missing"
	@echo "make optional  set up, with every extra that tests need and MONAI Label: make test then runs their tests too"
	@echo "make map       set up, then $(MAP), an environment with MONAI Deploy for the application in deploy/map"
	@echo "make test-map  make map, then the tests of the application"
	@echo "make test-openvino  make optional, then the tests with OpenVINO, in a process of their own"
	@echo "make label     set up, with MONAI Label, for monai-ceph label"
	@echo "make paper     set up, train and test the paper's method: ISBI=FOLDER names the films; takes hours"
	@echo "make docs      set up, build the pages in docs/ as a site in site/"
	@echo "make conformance  write the DICOM conformance statement in docs/reference/ from the code"
	@echo "make web       check, test and build the page for reviews from web/; needs Node"
	@echo "make setup     set up only: the environment $(VENV)"
	@echo "make lint      set up, run ruff"
	@echo "make pytest    set up, run the tests only; TESTS=tests/batch runs those of a folder"
	@echo "make types     set up, run mypy"
	@echo "make lock      set up, then pin the newest versions of all packages in requirements/"
	@echo "make sbom      write monai-ceph.cdx.json, the packages of a plain installation (CycloneDX)"
	@echo "make audit     look up known vulnerabilities of all pinned packages"
	@echo "make clean     remove $(VENV), $(MAP), demo and what builds left"

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml setup.py requirements/lock.txt requirements/lock-optional.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH_INDEX) "$(TORCH)"
	$(PIP) install $(LOCKED)lock.txt
	$(PIP) install --no-deps -e .
	sed -n 's/^\([a-z0-9].*[^ \\]\) *\\$$/\1/p' requirements/lock-optional.txt >$(PINS)
	@touch $@

label: $(VENV)/.label

# MONAI Label comes without its dependencies, which would pull in other versions of numpy, pydicom and torch
$(VENV)/.label: $(VENV)/.installed requirements/label.txt
	$(PIP) install "$(TORCH)" -c $(PINS) -e ".[label]"
	$(PIP) install --no-deps -r requirements/label.txt
	@touch $@

map: $(MAP)/.installed

# MONAI Deploy takes an older protobuf than the lock has, so it gets an environment of its own. What else is in $(VENV) is
# seen from there, but MONAI is installed again: monai.deploy lies in its folder.
$(MAP)/.installed: $(VENV)/.installed requirements/map.txt
	rm -rf $(MAP)
	$(BIN)/python -m venv $(MAP)
# by its name it is read before the file of Holoscan, which imports packages from there
	$(BIN)/python -c "import sysconfig as s; print('import site; site.addsitedir(%r)' % s.get_path('purelib'))" \
		>"$$(echo $(MAP)/lib/python3*/site-packages)/_others.pth"
	$(IN_MAP) install --ignore-installed --no-deps "$$(grep -o '^monai==[^ ]*' requirements/lock.txt)"
	$(IN_MAP) install "$(TORCH)" -r requirements/map.txt
	@touch $@

test-map: map
	OMP_NUM_THREADS=1 $(MAP)/bin/python -m pytest tests/integration/test_monai_deploy.py

test-openvino: optional
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/networks/test_openvino.py

optional: $(VENV)/.optional

$(VENV)/.optional: $(VENV)/.installed requirements/lock-optional.txt requirements/label.txt
	$(PIP) install $(LOCKED)lock-optional.txt
	$(PIP) install --no-deps -r requirements/label.txt
	@touch $@ $(VENV)/.label $(VENV)/.docs

demo: setup
# the table comes last: without it, an earlier demo was interrupted, and phantom would refuse its folder
	test -e demo/films/landmarks.csv || { rm -rf demo/films && $(BIN)/monai-ceph phantom demo/films --count 4 --seed 2026; }
	$(BIN)/monai-ceph detect demo/films --out demo/results
	$(BIN)/monai-ceph evaluate demo/films
	$(BIN)/monai-ceph report demo/results --films demo/films --out demo/report
	@echo "Open demo/report/index.html in a browser. The table above is the error against demo/films/landmarks.csv:"
	@echo "synthetic films say nothing about patients, and a point that is called ok can be wrong."

# the demo's films, to see, correct and sign in a browser
review: demo
	$(PIP) install "$(TORCH)" -c $(PINS) -e ".[review]"
	$(BIN)/monai-ceph review demo/results --films demo/films

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# many tests wait for servers: three at a time, with a thread each, keep two cores busy. tests/slow_files.py has the order
pytest: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

test: lint types pytest

paper: setup
	@test -d "$(ISBI)/RawImage" || { echo "make paper needs ISBI=FOLDER, the films of ISBI 2015 with RawImage/ in it"; exit 2; }
	$(BIN)/python benchmarks/paper.py "$(ISBI)"

# the built page is in the repository: a fresh clone needs no Node
web:
# not npm ci: it fails where a registry lacks an optional package of another system
	cd web && npm install --no-save && npm run lint && npm test && npm run build

docs: $(VENV)/.docs
# the variable silences a notice about MkDocs 2, which the extra does not install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# needs every extra: the objects that it lists are made
conformance: optional
	$(BIN)/python docs/conformance_statement.py

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) install "$(TORCH)" -c $(PINS) -e ".[docs]"
	@touch $@

# the smaller lock takes its versions from the larger one
EXTRAS := label ray s3-tests onnx openvino pacs fhir node-tests viewer-tests pretrained docs report review
LOCK := pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --no-header --no-annotate --quiet \
	--override requirements/no-torch.txt --upgrade --extra dev
lock: setup
	$(PIP) install uv
	$(BIN)/uv $(LOCK) $(EXTRAS:%=--extra %) --output-file requirements/lock-optional.txt
	$(BIN)/uv $(LOCK) --constraint requirements/lock-optional.txt --output-file requirements/lock.txt
	$(BIN)/uv pip compile requirements/release.in --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		--quiet --upgrade --output-file requirements/release.txt

SUPPLY := build/supply
IN_NEW := $(SUPPLY)/installed/bin/python -m pip --disable-pip-version-check --quiet

$(SUPPLY)/tools/.installed: requirements/release.txt
	$(PYTHON) -m venv $(SUPPLY)/tools
	$(SUPPLY)/tools/bin/python -m pip --disable-pip-version-check --quiet install $(LOCKED)release.txt
	@touch $@

# the release names its wheel; otherwise one is built
WHEEL ?= $(SUPPLY)/dist/*.whl

# Hashes are checked while all pinned packages are fetched. Of these, only what the wheel needs is installed.
sbom: $(SUPPLY)/tools/.installed
	rm -rf $(SUPPLY)/installed $(SUPPLY)/wheels $(SUPPLY)/dist
	$(SUPPLY)/tools/bin/python -m build --no-isolation --wheel --outdir $(SUPPLY)/dist . >/dev/null
	$(PYTHON) -m venv $(SUPPLY)/installed
	$(IN_NEW) wheel $(LOCKED)lock.txt --wheel-dir $(SUPPLY)/wheels
	sed -n 's/^\([a-z0-9].*[^ \]\) *\\$$/\1/p' requirements/lock.txt >$(SUPPLY)/pins.txt
	$(IN_NEW) install $(TORCH_INDEX) "$(TORCH)" -c $(SUPPLY)/pins.txt
	$(IN_NEW) install --no-index --find-links $(SUPPLY)/wheels -c $(SUPPLY)/pins.txt $(WHEEL)
	$(SUPPLY)/tools/bin/cyclonedx-py environment $(SUPPLY)/installed --pyproject pyproject.toml \
		--output-format JSON --output-file monai-ceph.cdx.json
# the version is not in pyproject.toml, where cyclonedx-py looks for it
	$(SUPPLY)/installed/bin/python -c "import json, pathlib; from importlib.metadata import version; \
		file = pathlib.Path('monai-ceph.cdx.json'); bill = json.loads(file.read_text()); \
		bill['metadata']['component']['version'] = version('monai-ceph'); file.write_text(json.dumps(bill, indent=2))"

# Strict: a package that the database does not know is an error, too. IGNORE names vulnerabilities that do not matter here.
IGNORE ?=
AUDIT = $(SUPPLY)/tools/bin/pip-audit --strict --disable-pip $(IGNORE:%=--ignore-vuln %)
audit: $(SUPPLY)/tools/.installed
	echo "$(TORCH)" >$(SUPPLY)/torch.txt
	$(AUDIT) --no-deps -r $(SUPPLY)/torch.txt
	$(AUDIT) --require-hashes -r requirements/lock-optional.txt -r requirements/release.txt

clean:
	rm -rf $(VENV) $(MAP) demo build dist site *.egg-info
