# make bench    what the library costs; exit 1 when a limit is missed

BENCH := $(OBJDIR)/bench
BENCH_CC = $(CC) -std=gnu11 -Wall -Wextra -Werror -Wno-unused -O2 -g -D_GNU_SOURCE -Iinclude -Ishim
BENCH_LD = -L$(OBJDIR)/fake -Wl,-rpath-link,$(OBJDIR)/fake -l:libcudart.so.12 -l:libcuda.so.1

$(BENCH)/libraw.so: tests/bench/raw.c tests/scenarios/runtime.h | fake
	@mkdir -p $(@D)
	$(Q)$(BENCH_CC) -DNO_LACKING -DNO_FITTING -shared -fPIC -o $@ $< $(BENCH_LD)
$(BENCH)/libempty.so:
	@mkdir -p $(@D)
	$(Q)echo 'extern int empty; int empty;' | $(BENCH_CC) -shared -fPIC -x c -o $@ -
$(BENCH)/calls: tests/bench/calls.c tests/bench/bench.h tests/scenarios/runtime.h | fake
	@mkdir -p $(@D)
	$(Q)$(BENCH_CC) -DNO_LACKING -o $@ $< $(BENCH_LD)
$(BENCH)/exec: tests/bench/exec.c tests/bench/bench.h
	@mkdir -p $(@D)
	$(Q)$(BENCH_CC) -o $@ $<

$(BENCH)/cache: tests/bench/cache.c tests/bench/bench.h $(call objects_of,jit)
	@mkdir -p $(@D)
	$(Q)$(BENCH_CC) -o $@ $(filter %.c %.o,$^) $(WRAP) $(STATIC_LIBS)

# make bench-cache    what a hit of the compute cache costs, beside reading the file
.PHONY: bench-cache
bench-cache: $(BENCH)/cache
	@$(BENCH)/cache

.PHONY: bench
bench:
	@.ci/deps check
	@$(MAKE) --no-print-directory $(OBJDIR)/libkguard.so fake $(addprefix $(BENCH)/,libraw.so libempty.so calls exec)
	@OBJDIR=$(OBJDIR) python3 tests/bench/bench.py

# make bench-scan [PATHS="file or folder ..."]    kguard scan beside cat and cuobjdump (CUOBJDUMP=path)
.PHONY: bench-scan
bench-scan: $(OBJDIR)/kguard
	@python3 tests/bench/scan.py $(OBJDIR)/kguard $(PATHS)
