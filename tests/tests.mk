# Tests. `make check` ends with "N passed, N failed, N skipped"; STRICT=1 fails on a skip.

# A unit test tests/unit/<room>_<what>.c is one cmocka program, linked with its room and the rooms
# below it: what a test needs from a higher floor, it cannot have.
FLOORS_base := base
FLOORS_code := base code
FLOORS_rules := base code rules
FLOORS_report := base code rules report
FLOORS_watch := base code rules report watch
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
room_of = $(firstword $(subst _, ,$(1)))
objects_of = $(foreach r,$(FLOORS_$(1)),$(patsubst %.c,$(OBJDIR)/%.o,$(wildcard shim/$(r)/*.c)))
define UNIT_RULE
$(OBJDIR)/unit/$(1): $(OBJDIR)/tests/unit/$(1).o $$(call objects_of,$(call room_of,$(1)))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$^ $$(SAN_FLAGS) -lcmocka $$(STATIC_LIBS)
endef
$(foreach t,$(UNIT),$(eval $(call UNIT_RULE,$(t))))

# make unit TEST=code_fatbin    builds and runs one unit test
.PHONY: unit
unit: $(OBJDIR)/unit/$(TEST)
	$(OBJDIR)/unit/$(TEST)
