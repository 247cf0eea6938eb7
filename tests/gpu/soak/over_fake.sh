#!/bin/sh
# Some seconds of the soak over the fake driver: its counting, its children, its verdict.
KG_FAKE=$OBJDIR/fake exec python3 tests/gpu/soak/soak.py 4 8
