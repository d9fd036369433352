# Two commands do everything; see README.md. CMake does the work.
.PHONY: demo check build clean

demo: build
	scripts/demo.sh build/release/twinlens

# All tests; then those that take seconds again, with sanitizers and, where they are there, with
# clang and a race detector.
check: setup
	cmake --workflow --preset dev
	cmake --workflow --preset asan-quick
	if command -v clang >/dev/null; then cmake --workflow --preset clang-quick; fi
	if test -e $(archer); then cmake --workflow --preset races; fi

build: setup
	cmake --preset release >/dev/null
	cmake --build --preset release

# A study and the backend's loops by several threads; wants clang and libomp with archer.
archer = $(dir $(realpath $(shell command -v clang)))../lib/libarcher.so
.PHONY: races
races:
	scripts/setup.sh races
	cmake --workflow --preset races

# Builds what is not built, and copies it below PREFIX.
PREFIX ?= /usr/local
.PHONY: install
install: build
	cmake --install build/release --prefix $(PREFIX)

# Inputs that nobody thought of, for so many seconds a target; needs clang.
SECONDS ?= 60
.PHONY: fuzz
fuzz:
	scripts/fuzz.sh $(SECONDS)

.PHONY: setup
setup:
	scripts/setup.sh

clean:
	rm -rf build
