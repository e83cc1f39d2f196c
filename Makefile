# Everything a contributor runs. `make` alone lists the targets; each does its own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup system bytecode lab-tools kernel-tools demo test fuzz mutate attacks faults check bench proto lock clean

# The system's Python first: the users that the processes run as cannot read one that lies in somebody's home directory.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REPORT := build/test-report.xml
QUICK_REPORT := build/quick-test-report.xml

# What real tunnels need; what the virtual machine of the kernel tests needs on top.
PACKAGES := wireguard-go wireguard-tools nftables iproute2 iputils-ping libseccomp2 zbar-tools
KERNEL_PACKAGES := qemu-system-x86 busybox-static
# Foreign programs of the lab: two take part in its DHT, one is a home router's server of port mappings.
LAB_PACKAGES := transmission-daemon aria2 faketime miniupnpd-nftables

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: system $(STAMP) bytecode ## install what is needed: .venv from requirements.lock, and Debian packages where root

demo: setup ## three nodes on this machine that ping each other over real tunnels (root)
	$(BIN)/wgmesh demo --nodes 3 --once

# So many files of the lab at a time: they wait more than they compute, and more would be in each other's way.
LABS := 2

test: setup lab-tools kernel-tools ## all tests: unit, simulation, integration, lab (root), kernel (root)
	@mkdir -p build
	$(BIN)/pytest -n auto --dist loadfile -m "not lab and not kernel" --junit-xml=$(QUICK_REPORT)
	$(BIN)/pytest -n $(LABS) --dist loadfile -m "lab or kernel" --junit-xml=$(REPORT)

# So many seconds for all targets together.
FUZZ_SECONDS ?= 600

fuzz: setup ## look for inputs that break a rule (FUZZ_SECONDS=600)
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

# So many minutes for all modules together; MUTATE_MODULES="node/routes nat/paths" takes these instead of all.
MUTATE_MINUTES ?= 10
MUTATE_MODULES ?=

mutate: setup ## look for mistakes in deciding modules that no test notices (MUTATE_MINUTES=10, root)
	PYTHONPATH=tests nice $(BIN)/python -m mutate --minutes $(MUTATE_MINUTES) $(MUTATE_MODULES)

attacks: setup lab-tools ## carry out the attacks that tests know, and write docs/reference/attacks.md (root)
	PYTHONPATH=tests $(BIN)/python -m pages attacks

faults: setup lab-tools ## make the faults that tests know, and write docs/reference/faults.md (root)
	PYTHONPATH=tests $(BIN)/python -m pages faults

check: setup ## formatting, lint, types, import rules, contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto

bench: setup ## measure, and write docs/benchmarks.json and docs/benchmarks.md (root)
	PYTHONPATH=tests $(BIN)/python -m bench

proto: setup ## generate the Python of proto/wgmesh/v1
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto \
	    --python_out=proto --grpc_python_out=proto --mypy_out=proto --mypy_grpc_out=proto proto/wgmesh/v1/*.proto

lock: setup ## choose new versions for requirements.lock
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --extra dev --all-build-deps --strip-extras --allow-unsafe \
	    --no-header --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --output-file requirements.lock pyproject.toml

clean: ## remove what the other targets made
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installs the packages that are missing where that is possible, and otherwise says what to install.
define install_missing
	@missing=""; \
	for package in $(1); do \
	    dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
	        || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet=2; \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing >/dev/null; \
	else \
	    echo "Real tunnels need these packages:$$missing. As root, 'make setup' installs them on Debian."; \
	fi
endef

# A node without .pyc files compiles its modules at each start, for 0.2 s of a processor. Where the environment has
# PYTHONDONTWRITEBYTECODE, or the user may not write here, no start would ever leave them behind.
bytecode: $(STAMP)
	@$(BIN)/python -m compileall -q proto services clients

system:
	$(call install_missing,$(PACKAGES) $(shell $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv))

lab-tools: system
	$(call install_missing,$(LAB_PACKAGES))

kernel-tools: system
	$(call install_missing,$(KERNEL_PACKAGES))

$(STAMP): requirements.lock pyproject.toml | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wgmesh needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
