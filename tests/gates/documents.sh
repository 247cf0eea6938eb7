#!/bin/bash
# docs/modes.md and docs/stack.md are what was recorded, and nothing else.
status=0
diff <(python3 tests/gpu/modes/document.py tests/gpu/results/modes.json) docs/modes.md || status=1
diff <(python3 tests/stack/document.py tests/stack/recorded.json tests/gpu/results/stack.json) \
    docs/stack.md || status=1
exit $status
