# Fuzz targets: tests/fuzz/fuzz_<target>.c over functions that take bytes, with seeds in
# tests/fuzz/corpus/<target>.
#   make fuzz-replay            every corpus file once, with the compiler of the build; part of check
#   make fuzz FUZZ_TIME=300     clang's libFuzzer with address and undefined sanitizers, seconds each;
#                               what it finds lies in $(OBJDIR)/fuzz
#   make fuzz-calls FUZZ_TIME=60 SEED=1    sequences of driver calls, with the library and without

FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SRC := $(wildcard shim/code/*.c) shim/base/memory.c shim/base/words.c
FUZZ_OBJ := $(FUZZ_SRC:%.c=$(OBJDIR)/%.o)
FUZZ_LIBS = $(CLI_LIBS) -l:liblz4.a -l:libzstd.a -l:libmd.a
FUZZ_SHA256 := shim/jit/sha256.c shim/base/object.c
# Those of the walk need it too.
FUZZ_WALK := $(patsubst %,shim/cli/%.c,set walk archive oci digest hide image layers record process) \
             shim/base/text.c $(FUZZ_SHA256)
FUZZ_MORE_archive := $(FUZZ_WALK)
FUZZ_MORE_oci := $(FUZZ_WALK)
FUZZ_MORE_maps := $(FUZZ_WALK)
FUZZ_MORE_scan := $(patsubst %,shim/cli/%.c,engine find kernels judge) \
    $(wildcard shim/rules/verdict.c shim/rules/target.c)
FUZZ_MORE_cache_entry := shim/jit/cache_entry.c $(FUZZ_SHA256) shim/rules/target.c
FUZZ_MORE_package := $(patsubst %,shim/%.c,cli/package cli/set report/package base/text)
FUZZ_TIME ?= 60
CLANG ?= clang

define FUZZ_RULE
$(OBJDIR)/fuzz/replay_$(1): $(OBJDIR)/tests/fuzz/fuzz_$(1).o $(OBJDIR)/tests/fuzz/replay.o $(FUZZ_OBJ) \
    $(FUZZ_MORE_$(1):%.c=$(OBJDIR)/%.o)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$^ $$(SAN_FLAGS) $$(FUZZ_LIBS)

$(OBJDIR)/fuzz/fuzz_$(1): tests/fuzz/fuzz_$(1).c tests/fuzz/exercise.h $(FUZZ_SRC) $(FUZZ_MORE_$(1))
	@mkdir -p $$(@D)
	$$(Q)$$(CLANG) -O1 -g -D_GNU_SOURCE -Iinclude -Ishim -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined -o $$@ $$(filter %.c,$$^) $$(FUZZ_LIBS)
endef
$(foreach t,$(FUZZ),$(eval $(call FUZZ_RULE,$(t))))

.PHONY: fuzz-replay
fuzz-replay: $(FUZZ:%=$(OBJDIR)/fuzz/replay_%)
	@for t in $(FUZZ); do $(OBJDIR)/fuzz/replay_$$t tests/fuzz/corpus/$$t || exit 1; done

.PHONY: fuzz
fuzz: $(FUZZ:%=$(OBJDIR)/fuzz/fuzz_%)
	@for t in $(FUZZ); do \
	    mkdir -p $(OBJDIR)/fuzz/found_$$t && \
	    $(OBJDIR)/fuzz/fuzz_$$t -max_total_time=$(FUZZ_TIME) -timeout=5 -rss_limit_mb=512 \
	        -print_final_stats=1 -verbosity=0 -dict=tests/fuzz/words.dict -artifact_prefix=$(OBJDIR)/fuzz/ \
	        $(OBJDIR)/fuzz/found_$$t tests/fuzz/corpus/$$t || exit 1; done

# Sequences of driver calls, each with and without the library: tests/fuzz/calls.py.
$(OBJDIR)/fuzz/calls: tests/fuzz/calls.c include/kg_cuda.h | fake
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -O1 -g -D_GNU_SOURCE -Iinclude $(SAN_FLAGS) -o $@ $< \
	    -L$(OBJDIR)/fake -l:libcuda.so.1 -lpthread -ldl

.PHONY: fuzz-calls
fuzz-calls: $(OBJDIR)/libkguard.so $(OBJDIR)/fuzz/calls $(OBJDIR)/scenarios/libimage.so
	@OBJDIR=$(abspath $(OBJDIR)) SAN=$(SAN) tests/fuzz/calls.py $(FUZZ_TIME) $(SEED)

-include $(FUZZ:%=$(OBJDIR)/tests/fuzz/fuzz_%.d)
