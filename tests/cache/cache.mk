# make check-cache    the cache's tests ten times as long, plain and under both sets of sanitizers;
#                     some minutes, as root for the file systems and users of jit_cache_system

CACHE_UNITS := $(filter jit_cache%,$(UNIT))
.PHONY: check-cache check-cache-built
check-cache:
	@.ci/deps check
	@$(MAKE) --no-print-directory check-cache-built
	@$(MAKE) --no-print-directory OBJDIR=$(OBJDIR)-address SAN=address,undefined check-cache-built
	@$(MAKE) --no-print-directory OBJDIR=$(OBJDIR)-thread SAN=thread check-cache-built
check-cache-built: $(CACHE_UNITS:%=$(OBJDIR)/unit/%)
	@OBJDIR=$(abspath $(OBJDIR)) MANY=10 TIMEOUT=900 tests/run.sh $(CACHE_UNITS:%=$(OBJDIR)/unit/%)
