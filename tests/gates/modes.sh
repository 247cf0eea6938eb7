#!/bin/bash
# docs/modes.md is what was recorded, and nothing else.
diff <(python3 tests/gpu/modes/document.py tests/gpu/results/modes.json) docs/modes.md
