# make run    environment, corpus, training, evaluation: everything, and where to look afterwards
# make run-real  the same stages on real English without a download, in the folder real/
# make serve  Prefect, MLflow and the worker that runs the nights, on this machine; Ctrl-C ends them
# make test   the same environment, and the tests
# make bench  what a step of training costs beside other models, as ratios; needs data/tokenized
# make check  the same environment: style (ruff), layout (ruff format), types (mypy)

PYTHONS := python3.11 python3.12 python3.13 python3.14 python3 python
BIN     := $(CURDIR)/.venv/bin
STAMP   := .venv/.installed

export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run run-real serve test check bench environment
.DEFAULT_GOAL := run

run: environment
	@dvc repro
	@python -m ssl_lib summary
	@if [ -n "$$(git status --porcelain -- dvc.lock params.yaml data/sources 2>/dev/null)" ]; then \
		echo "Commit:   git add dvc.lock params.yaml data/sources && git commit -m 'Corpus, tokens and model of this run'"; \
	fi

# The documentation of the installed packages; nothing of the default run is touched.
run-real: environment
	@mkdir -p real
	@cd real && for stage in corpus tokenize train evaluate; do \
		python -m ssl_lib $$stage --params ../params.yaml --preset installed || exit 1; \
	done
	@cd real && python -m ssl_lib summary

serve: environment
	@exec python -m flows.serve

test: environment
	@python -m pytest

check: environment
	@ruff check
	@ruff format --check
	@mypy

bench: environment
	@python -m benchmarks.training --rows all --json benchmarks/rows.jsonl

environment: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	found=""; \
	for candidate in $(PYTHONS); do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found="$$candidate"; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or newer with its venv module is needed: install it, then run make again." >&2; exit 1; \
	fi; \
	if [ ! -x $(BIN)/python ]; then echo "Making .venv with $$found"; "$$found" -m venv .venv; fi; \
	echo "Installing what constraints.txt pins (minutes the first time)"; \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'; \
	touch $@
