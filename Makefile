# Two commands do everything; see README.md. CMake does the work.
.PHONY: demo check build clean

demo: build
	scripts/demo.sh build/release/twinlens

check: setup
	cmake --workflow --preset dev

build: setup
	cmake --preset release >/dev/null
	cmake --build --preset release

.PHONY: setup
setup:
	scripts/setup.sh

clean:
	rm -rf build
