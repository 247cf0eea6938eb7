# On a machine with a GPU, from a carried build (build/ and build-gpu/); tests/gpu/prepare.sh makes
# the second where there is a network. Results go to $OUT, or build-gpu/results.
.PHONY: gpu-prepare check-gpu bench-gpu gpu-prepare-jit check-gpu-jit bench-gpu-jit check-gpu-modes \
    check-gpu-stack check-gpu-examples documents
gpu-prepare:
	tests/gpu/prepare.sh
check-gpu:
	tests/gpu/check.sh
check-gpu-modes:
	tests/gpu/modes.sh
check-gpu-stack:
	tests/gpu/stack.sh
check-gpu-examples:
	tests/gpu/examples.sh
# The documents, from what was recorded.
documents:
	@mkdir -p docs
	python3 tests/gpu/modes/document.py tests/gpu/results/modes.json >docs/modes.md
	python3 tests/stack/document.py tests/stack/recorded.json tests/gpu/results/stack.json >docs/stack.md
bench-gpu:
	tests/bench/gpu.sh
# KGUARD_JIT: after gpu-prepare
gpu-prepare-jit:
	tests/gpu/jit/prepare.sh
check-gpu-jit:
	tests/gpu/jit/check.sh
bench-gpu-jit:
	tests/gpu/jit/bench.sh
