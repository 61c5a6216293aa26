# Needs Python 3.11 or newer with pip, make and git. The targets install everything else.

PYTHON ?= python3
UV_VERSION := 0.13.9

UV := .tools/bin/uv
RUN := .venv/bin

# Always .venv, with the Python of this machine, whatever virtual environment is active.
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
# Like pip, trust the certificates that this machine trusts, such as those of a company's proxy.
export UV_SYSTEM_CERTS := 1
unexport VIRTUAL_ENV
unexport PYTHONHOME
# The tests start hundreds of programs. If Python may not keep what it has compiled, as in many
# containers, each of them compiles all of its imports again, which doubles the time of its start.
unexport PYTHONDONTWRITEBYTECODE

# pyright uses Node from a package, and does not look for updates.
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help setup servers demo test dev load bench audit check format lint typecheck mypy pyright pytest test-end-to-end test-page chaos protections mutants record-histories docs vendor lock clean

help: ## List the targets
	@echo "Targets of make:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r target text; do printf '%-20s %s\n' "  $$target" "$$text"; done

demo: servers ## Two exports on real servers, into demo-exports/ (KEEP=1: keep the servers running)
	@$(RUN)/python -m dev.demo $(if $(filter-out 0,$(KEEP)),--keep)

# Side by side, because the tests leave a part of two cores idle.
test: lint ## All checks, and the tests of all parts
	@$(MAKE) --no-print-directory --jobs=3 mypy pyright pytest

dev: servers ## Servers, worker and HTTP API until Ctrl-C, with data in .dev/ (REPORTS=my.toml: your own reports)
	@$(RUN)/python -m dev.stack $(if $(REPORTS),--reports "$(REPORTS)")

load: servers ## Load a file into `make dev`: FILE=orders.csv COLLECTION=orders (REPLACE=1, TIME_FORMAT=%d/%m/%Y)
	@$(RUN)/python -m dev.load $(if $(filter-out 0,$(REPLACE)),--replace) \
	  $(if $(TIME_FORMAT),--time-format "$(TIME_FORMAT)") "$(FILE)" "$(COLLECTION)"

setup: $(UV) ## Everything for developers into .venv, exactly as locked
	@$(UV) sync --locked --quiet --extra codec --extra api --extra messages --python "$(PYTHON)"

# What a newcomer needs. Inexact: what `make setup` has installed stays.
servers: $(UV)
	@test -d .venv || echo "Installing the servers and libraries into .venv/, only once …"
	@$(UV) sync --locked --quiet --inexact --no-default-groups --group servers --extra api --extra messages --python "$(PYTHON)"

# With --target, pip needs neither a virtual environment nor write access to the system's packages.
$(UV): $(if $(filter $(UV_VERSION),$(shell cat .tools/uv-version 2>/dev/null)),,force)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." \
	    "To use another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -m pip --version >/dev/null || { \
	  echo "pip for $(PYTHON) is needed (on Debian: apt-get install python3-pip)." >&2; exit 1; }
	@rm -rf .tools && mkdir .tools
	@"$(PYTHON)" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	  --target .tools --require-hashes --requirement dev/uv-requirements.txt
	@echo "$(UV_VERSION)" > .tools/uv-version

.PHONY: force
force:

check: lint typecheck ## Formatting, lint, types, import layers and unused code, without the tests

pytest: setup ## The tests of `make test`, without the checks
	$(RUN)/pytest $(addprefix --ignore=tests/,chaos benchmarks end_to_end page)

format: setup ## Format and fix what can be fixed
	$(RUN)/ruff format
	$(RUN)/ruff check --fix

lint: setup ## Formatting, lint, import layers and unused code
	$(RUN)/ruff format --check
	$(RUN)/ruff check
	$(RUN)/lint-imports
	$(RUN)/vulture

typecheck: mypy pyright ## mypy and pyright, both strict

mypy: setup
	$(RUN)/mypy

pyright: setup
	$(RUN)/pyright

bench: $(UV) ## Benchmarks into benchmarks/RESULTS.md (ONLY="small fairness", QUICK=1)
	@$(UV) sync --locked --quiet --extra codec --extra api --extra messages --group bench --python "$(PYTHON)"
	$(RUN)/python -m benchmarks $(ONLY) $(if $(filter-out 0,$(QUICK)),--quick)

chaos: setup ## The fault suite, killed workers, lost servers and more, and the tests of benchmarks (long: EXPORTS=500 KILLS=200 SEED=...)
	EXPORTS="$(EXPORTS)" KILLS="$(KILLS)" SEED="$(SEED)" $(RUN)/python -m pytest tests/chaos tests/benchmarks

test-end-to-end: setup ## The tests of whole installations, and of all that the documentation tells people to type
	$(RUN)/pytest tests/end_to_end

test-page: setup ## The tests of the exports page in Chromium, which is installed if it is not there
	@if $(RUN)/python -m dev.browser; then $(RUN)/pytest -n 2 tests/page; else [ -z "$$CI" ]; fi

protections: setup ## Take out each protection that a test names, and check that each test fails (ONLY="tests/workflows/test_cancel.py")
	$(RUN)/python -m tests.support.protections $(ONLY)

mutants: $(UV) ## Make small mistakes in the code, and see whether tests notice (ONLY="periods", SAMPLE=40)
	@$(UV) sync --locked --quiet --extra codec --extra api --extra messages --group mutants --python "$(PYTHON)"
	$(RUN)/python -m tests.support.mutants $(ONLY) $(if $(SAMPLE),--sample $(SAMPLE))

# uv asks https://osv.dev. Its exit code is 2 if it could not ask.
audit: $(UV) ## Look up known vulnerabilities of all locked packages (needs the Internet)
	@$(UV) audit --frozen --preview-features audit-command $(if $(SERVICE),--service-url $(SERVICE)); \
	  code=$$?; if [ $$code -eq 2 ]; then \
	    echo "NOTHING WAS AUDITED: the service for known vulnerabilities did not answer." >&2; \
	  fi; exit $$code

record-histories: setup ## Record the workflow histories that the replay tests read
	$(RUN)/python -m tests.support.record_histories

docs: setup ## Write docs/errors.md and docs/configuration.md from the code
	@$(RUN)/python -m dev.pages

vendor: setup ## Copy the libraries of the exports page from the npm registry, as its vendor.json says
	@$(RUN)/python -m dev.vendor

lock: $(UV) ## Update uv.lock after a change of pyproject.toml
	$(UV) lock --python "$(PYTHON)"

clean: ## Remove everything that make has made, except the data in .dev/
	rm -rf .venv .tools demo-exports chaos-records .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
