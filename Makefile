# Two commands do everything; see README.md. CMake does the work.
.PHONY: demo check build clean

demo: build
	scripts/demo.sh build/release/twinlens

check: setup
	cmake --workflow --preset dev

build: setup
	cmake --preset release >/dev/null
	cmake --build --preset release

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
