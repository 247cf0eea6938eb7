# Tests. `make check` ends with "N passed, N failed, N skipped"; STRICT=1 fails on a skip.

# A unit test tests/unit/<room>_<what>.c is one cmocka program, linked with its room and the rooms
# below it: what a test needs from a higher floor, it cannot have.
FLOORS_base := base
FLOORS_code := base code
FLOORS_rules := base code rules
FLOORS_jit := base code rules jit
FLOORS_report := base code rules report
FLOORS_watch := base code rules jit report watch
FLOORS_cli := base code rules jit report cli
# The shared libarchive has the writers too, which tests make archives with.
UNIT_LIBS_cli = -larchive $(CLI_LIBS)
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
room_of = $(firstword $(subst _, ,$(1)))
# A command's main.c has a main() of its own.
objects_of = $(foreach r,$(FLOORS_$(1)),$(patsubst %.c,$(OBJDIR)/%.o,\
    $(filter-out %/main.c,$(wildcard shim/$(r)/*.c))))
# From an archive: what a test does not use may need what is not linked here.
define UNIT_RULE
$(OBJDIR)/unit/$(1): $(OBJDIR)/tests/unit/$(1).o $$(call objects_of,$(call room_of,$(1)))
	@mkdir -p $$(@D) && rm -f $$@.a && ar rcs $$@.a $$(filter-out $$<,$$^)
	$$(Q)$$(CC) -o $$@ $$< $$@.a $$(SAN_FLAGS) -lcmocka $$(UNIT_LIBS_$(call room_of,$(1))) $$(WRAP) $$(STATIC_LIBS)
endef
$(foreach t,$(UNIT),$(eval $(call UNIT_RULE,$(t))))

-include $(UNIT:%=$(OBJDIR)/tests/unit/%.d)

# The same as a library, for an interpreter to load.
$(OBJDIR)/unit/report_python: | $(OBJDIR)/unit/report_python.so
$(OBJDIR)/unit/report_python.so: $(OBJDIR)/tests/unit/report_python.o $(call objects_of,report)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -o $@ $^ $(SAN_FLAGS) -lcmocka $(WRAP) $(STATIC_LIBS)

# make unit TEST=code_fatbin    builds and runs one unit test
.PHONY: unit
unit: $(OBJDIR)/unit/$(TEST)
	$(OBJDIR)/unit/$(TEST)

# ---- the fake driver, fuzz targets, benchmarks: each with its own rules ------------------------------

-include tests/fake/fake.mk tests/cache/cache.mk tests/fuzz/fuzz.mk tests/bench/bench.mk tests/corpus/corpus.mk

# ---- scenarios: one small program each, over the fake driver ------------------------------------------

# The head of a program says " * link: libraries" and " * options: for the compiler"; that of a library
# lib*.c may say " * as: name", where a program is to find it under the scenarios' directory.
SCN := $(OBJDIR)/scenarios
SCN_LIBS := $(patsubst tests/scenarios/%.c,$(SCN)/%.so,$(wildcard tests/scenarios/lib*.c))
SCN_PROGRAMS := $(patsubst tests/scenarios/%.c,$(SCN)/%,$(wildcard tests/scenarios/s[0-9]*.c))
SCENARIOS := $(sort $(wildcard tests/scenarios/s[0-9]*.c tests/scenarios/s[0-9]*.py))
SCN_HEADERS := $(wildcard tests/scenarios/*.h examples/*.fatbin) include/kg_cuda.h
SCN_STATIC := $(foreach v,11 12 13,$(OBJDIR)/fake/libcudart_static_$(v).a)
head = $(shell sed -nE 's/^( \*|\/\*) $(1): (.*[^ */]).*/\2/p' $<)
SCN_CC = $(CC) -std=gnu11 -Wall -Wextra -Werror -Wno-unused -O1 -g -D_GNU_SOURCE -Iinclude \
         $(SAN_FLAGS) $(call head,options)
# Before glibc 2.34 dlopen and threads have libraries of their own.
SCN_LD = -L$(OBJDIR)/fake -L$(SCN) -Wl,-rpath-link,$(OBJDIR)/fake $(call head,link) -Wl,--as-needed -ldl -lpthread

$(SCN)/lib%.so: tests/scenarios/lib%.c $(SCN_HEADERS) | fake
	@mkdir -p $(@D) $(dir $(SCN)/$(call head,as))
	$(Q)$(SCN_CC) -shared -fPIC -o $@ $< $(SCN_LD) \
	    -Wl,-soname,$(notdir $(or $(call head,as),$@))
	$(Q)$(if $(call head,as),cp $@ $(SCN)/$(call head,as))

$(SCN)/s%: tests/scenarios/s%.c $(SCN_HEADERS) $(SCN_STATIC) | fake $(SCN_LIBS)
	@mkdir -p $(@D)
	$(Q)$(SCN_CC) -o $@ $< $(SCN_LD)

.PHONY: scenarios
scenarios: $(SCN_PROGRAMS) $(SCN_LIBS)

# make scenario TEST=s17_same_failure_10000_times    builds and runs one; RECORD=1 records it anew
.PHONY: scenario
scenario: $(OBJDIR)/libkguard.so $(SCN_LIBS) $(filter $(SCN)/$(TEST),$(SCN_PROGRAMS))
	OBJDIR=$(OBJDIR) SAN=$(SAN) tests/scenarios/scenario.sh $(filter %/$(TEST).c %/$(TEST).py,$(SCENARIOS))

include tests/harm/harm.mk tests/system/system.mk

# ---- all of it -------------------------------------------------------------------------------------------

# Gates judge the file that is shipped: not the sanitized one.
GATES := $(if $(SAN),,$(wildcard tests/gates/*.sh))
.PHONY: check check-built
check:
	@.ci/deps check
	@$(MAKE) --no-print-directory check-built
FUZZ_REPLAY := $(FUZZ:%=$(OBJDIR)/fuzz/replay_%)
# The command's tests start other programs and compilers under it: they judge what is shipped; its code
# runs sanitized in the unit tests.
CLI_TESTS := $(if $(SAN),,tests/cli/golden.sh $(wildcard tests/cli/*_test.py))
# Likewise packages, and the examples as their reader has them.
PACKAGING_TESTS := $(if $(SAN),,$(wildcard tests/packaging/*_test.py))
# And sequences of calls, each in ten processes: minutes, sanitized.
FUZZ_CALLS := $(if $(SAN),,tests/fuzz/calls.py)
check-built: all fake $(OBJDIR)/soak harm scenarios $(UNIT:%=$(OBJDIR)/unit/%) $(FUZZ_REPLAY) \
    $(FUZZ_CALLS:tests/%.py=$(OBJDIR)/%)
	@OBJDIR=$(abspath $(OBJDIR)) SAN=$(SAN) CC=$(CC) STRICT=$(STRICT) tests/run.sh \
	    $(GATES) $(FAKE_TESTS) $(HARM_TESTS) $(CLI_TESTS) $(PACKAGING_TESTS) \
	    $(UNIT:%=$(OBJDIR)/unit/%) $(FUZZ_REPLAY) $(FUZZ_CALLS) $(SCENARIOS)

# ---- the demo ---------------------------------------------------------------------------------------------

# examples/run.py fails on any GPU: that is what it is for.
.PHONY: demo
demo:
	@.ci/deps demo
	@$(MAKE) --no-print-directory $(OBJDIR)/libkguard.so fake
	@echo 'LD_PRELOAD=$$PWD/$(OBJDIR)/libkguard.so python3 examples/run.py'
	@so=$$(realpath $(OBJDIR)/libkguard.so); \
	case $$so in *[\ :]*) so=$(OBJDIR)/libkguard.so ;; esac; \
	KG_FAKE=$(OBJDIR)/fake LD_PRELOAD=$$so python3 examples/run.py; test $$? = 1
