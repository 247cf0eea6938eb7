# On a machine with a GPU, from a carried build (build/ and build-gpu/); tests/gpu/prepare.sh makes
# the second where there is a network. Results go to $OUT, or build-gpu/results.
.PHONY: gpu-prepare check-gpu bench-gpu
gpu-prepare:
	tests/gpu/prepare.sh
check-gpu:
	tests/gpu/check.sh
bench-gpu:
	tests/bench/gpu.sh
