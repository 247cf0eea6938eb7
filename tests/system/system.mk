# make check-system    what needs root, other Debians, other processors, or many minutes. Installs what it
# needs; makes its chroots in SYSTEM_DIR (/var/tmp/kguard-system), once. The lines go to build/system.txt;
# tests/system/results.md holds those that were recorded.     SYSTEM="harm battery ..." does only these
SYSTEM ?= harm battery suites bullseye bookworm trixie aarch64 image pack
.PHONY: check-system
check-system:
	@.ci/deps system
	@$(MAKE) --no-print-directory all fake harm scenarios $(OBJDIR)/soak
	@tests/system/system.sh $(SYSTEM)
