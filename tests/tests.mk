# Tests. `make check` ends with "N passed, N failed, N skipped".
