# Everything is set up in .venv on first use and kept: a second run only does what has changed.
# PYTHON chooses the interpreter: make test PYTHON=python3.12

PYTHON ?= python3
# Any that masklstm is built for, as in: make test TENSORFLOW=tensorflow-cpu==2.20.*
# The one without CUDA, half the size, where there is no card.
NEWEST := $(lastword $(shell python3 build_support/installed_tensorflow.py minors))
TENSORFLOW ?= $(if $(shell command -v nvidia-smi),tensorflow,tensorflow-cpu)==$(NEWEST).*
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(shell find csrc cmake build_support -name "*.*" -type f -not -name "*.pyc" 2>/dev/null) CMakeLists.txt setup.py pyproject.toml

# TensorFlow's own notes at start-up are not ours to repeat.
export TF_CPP_MIN_LOG_LEVEL ?= 2
# One CMake for all builds: another one compiles everything anew.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Most of what gets installed is never imported; what is, Python compiles then.
export PIP_NO_COMPILE ?= 1
export NO_MKDOCS_2_WARNING ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test campaign fuzz sanitize lint format docs site notebooks bench bench-full study wheel wheel-cuda wheels clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1	/p' $(MAKEFILE_LIST)

# What the build needs goes into the environment too, so that building does not fetch it again.
$(VENV)/.tools: pyproject.toml
	@echo "Setting up $(VENV): TensorFlow and the build tools, 1 GB, some minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=23" "setuptools>=77" wheel cmake ninja "pybind11>=2.12"
	touch $@

# $(call install,EXTRAS): the kernels that take longest are compiled on one core while packages are
# unpacked on another. What may go wrong there is said by the build behind it.
define install
	@mkdir -p build
	@test "$$MASKLSTM_NATIVE" = OFF || { MASKLSTM_OPS=OFF MASKLSTM_TARGET=masklstm_kernels_first \
	  CMAKE_BUILD_PARALLEL_LEVEL=1 $(BIN)/python setup.py build_ext >build/first.log 2>&1 || true; } & \
	$(BIN)/pip install --quiet "$(TENSORFLOW)" $$($(BIN)/python build_support/requirements.py $(1)); \
	status=$$?; wait; exit $$status
	@echo "Building the native library"
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[$(1)]"
endef

$(VENV)/.installed: $(VENV)/.tools $(NATIVE)
	$(call install,dev)
	touch $@ $(VENV)/.demo

# What the demo needs and no more: without XLA, with the kernels of this machine alone. The rest is
# added by whatever needs it.
$(VENV)/.demo: $(VENV)/.tools $(NATIVE)
	MASKLSTM_XLA=$${MASKLSTM_XLA:-OFF} MASKLSTM_X86_KERNELS=HERE $(MAKE) --no-print-directory .demo
	touch $@

.PHONY: .demo
.demo:
	$(call install,demo)

# PyTorch, 3 GB, and the others that the full benchmark compares with.
$(VENV)/.providers: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[dev,bench]"
	touch $@

demo: $(VENV)/.demo  ## train an LSTM on real labels with gaps; leaves a picture and a model
	$(BIN)/masklstm demo

test: $(VENV)/.installed  ## run the tests and the examples in the docstrings
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --doctest-modules --doctest-glob=README.md tests masklstm README.md

campaign: $(VENV)/.installed  ## random and hostile cases against oracles, an hour; CASES=10: ten times as many
	cd tests && $(CURDIR)/$(BIN)/python -m campaign --times $(or $(CASES),1)

fuzz: $(VENV)/.installed  ## compare 20,000 random cases with the reference, and 2,000 of each recurrent cell
	MASKLSTM_FUZZ_CASES=20000 $(BIN)/python -m pytest tests/ops/test_properties.py tests/kernels/test_recurrent_kernels.py

sanitize: $(VENV)/.installed  ## the CPU kernels under gcc's three sanitizers: tests, and a share of the campaign
	scripts/sanitize.sh

lint: $(VENV)/.installed  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(shell find csrc -name '*.h' -o -name '*.cc' -o -name '*.cu')
	$(BIN)/mypy

format: $(VENV)/.installed  ## put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(shell find csrc -name '*.h' -o -name '*.cc' -o -name '*.cu')

docs: $(VENV)/.installed  ## regenerate docs/why.md, xla.md, masked.md and classic-*.md
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python docs/scripts/why.py > docs/why.md.new
	mv docs/why.md.new docs/why.md
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python docs/scripts/xla.py > docs/xla.md.new
	mv docs/xla.md.new docs/xla.md
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python docs/scripts/masked.py > docs/masked.md.new
	mv docs/masked.md.new docs/masked.md
	for name in masking_layer custom_loss imputed_labels; do \
		page=docs/classic-$$(echo $$name | tr _ -).md; \
		TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python docs/scripts/classic.py $$name > $$page.new && mv $$page.new $$page || exit 1; \
	done

site: $(VENV)/.installed  ## the documentation as a site with a reference: build/site/index.html
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.installed  ## run the notebooks of docs/notebooks, and keep what they show
	$(BIN)/python docs/scripts/stations.py
	$(BIN)/python docs/scripts/notebooks.py

bench: $(VENV)/.installed  ## time it against what else there is: five minutes, a table and a plot
	$(BIN)/python -m bench.run

bench-full: $(VENV)/.providers  ## everything, with PyTorch, JAX and Numba: an hour; docs/performance.md
	$(BIN)/python -m bench.run --full
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.fit
	$(BIN)/python -m bench.report

study: $(VENV)/.installed  ## does masking beat imputing? an hour; docs/study.md
	$(BIN)/python examples/study.py --out docs --fresh

wheel: $(VENV)/.installed  ## build dist/*.tar.gz, and from it dist/*.whl, in isolation, without CUDA
	MASKLSTM_CUDA=OFF PYTHON=$(BIN)/python scripts/build_wheel.sh

wheel-cuda: $(VENV)/.installed  ## the same with the CUDA kernels; see docs/wheels.md
	MASKLSTM_CUDA=ON PYTHON=$(BIN)/python scripts/build_wheel.sh

wheels: $(VENV)/.installed  ## the wheels of all versions of TensorFlow and Python, and the one without native part
	scripts/build_wheels.sh

clean:  ## remove what was built, and the environment
	rm -rf $(VENV) build dist *.egg-info masklstm/*.so masklstm/_build.json
