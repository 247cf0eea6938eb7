# make            build/libkguard.so and build/kguard
# make demo       the main job: a failing program, named          (installs what it needs)
# make check      every test that needs no GPU                    (installs what it needs)
# make check-gpu  on a machine with a GPU, from a carried build/
# make check-system    other Debians, aarch64, what needs root (installs what it needs; many minutes)
# make bench      overhead figures
# make install    also uninstall, deb, wheel: packaging/packaging.mk
# V=1 shows commands; SAN=address,undefined or SAN=thread; OBJDIR=dir

OBJDIR ?= build
CC ?= gcc
OBJCOPY ?= objcopy
# The first make of a new machine may have to install the compiler yet.
ARCH := $(or $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1),$(shell uname -m))
Q := $(if $(V),,@)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Werror
CFLAGS ?= -O2 -g
# Whatever a distribution's CFLAGS say: no stack protector and no _FORTIFY_SOURCE, whose symbols
# (__stack_chk_fail through %fs on musl, __*_chk) are what keeps a library from loading everywhere;
# no LTO, which loses what only the assembler sees.
KG_CFLAGS := -std=gnu11 -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-lto \
             -fno-stack-protector -U_FORTIFY_SOURCE -D_GNU_SOURCE -fno-math-errno \
             -fasynchronous-unwind-tables '-ffile-prefix-map=$(CURDIR)=.' -Iinclude -Ishim -MMD -MP
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
# -nostdlib leaves out their runtimes too.
SAN_LIBS := $(if $(findstring address,$(SAN)),-lasan) $(if $(findstring undefined,$(SAN)),-lubsan) \
            $(if $(findstring thread,$(SAN)),-ltsan)
# dlsym runs before the sanitizers are set up.
$(OBJDIR)/shim/base/object.o $(OBJDIR)/shim/doors/resolve.o: SAN_FLAGS :=

ROOMS := base code rules jit report watch doors
SRC := $(foreach room,$(ROOMS),$(wildcard shim/$(room)/*.c))
ASM := $(wildcard shim/doors/*_$(ARCH).S)
OBJ := $(SRC:%.c=$(OBJDIR)/%.o) $(ASM:%.S=$(OBJDIR)/%.o)
# Everything below the doors, for unit tests.
CORE := $(filter-out $(OBJDIR)/shim/doors/%,$(OBJ))

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

include tests/tests.mk tests/gpu/gpu.mk

.DEFAULT_GOAL := all
.PHONY: all
all: $(OBJDIR)/libkguard.so $(OBJDIR)/kguard $(OBJDIR)/libkguard.a

$(OBJDIR)/%.o: %.c | deps
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(WARN) $(CFLAGS) $(KG_CFLAGS) $(SAN_FLAGS) -c $< -o $@

$(OBJDIR)/%.o: %.S | deps
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(KG_CFLAGS) -c $< -o $@

# The export list comes from doors.def, as everything else about the doors does.
$(OBJDIR)/libkguard.map: shim/doors/doors.def shim/doors/map.c.in | deps
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x c -Ishim shim/doors/map.c.in | tr ' ' '\n' | sed '/^$$/d' > $@

# Bound lazily: a process without CUDA calls few of its forty imports, and looking up the others costs it 5 us.
$(OBJDIR)/libkguard.so: $(OBJ) $(OBJDIR)/libkguard.map
	$(if $(V),,@echo "  LD    $@")
	$(Q)$(CC) -shared -o $@ $(OBJ) $(SAN_FLAGS) $(LDFLAGS) \
	    -Wl,--version-script=$(OBJDIR)/libkguard.map -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,lazy \
	    -Wl,-z,relro -Wl,-z,noseparate-code -Wl,-Bsymbolic -Wl,--as-needed -Wl,--exclude-libs,ALL -Wl,-soname,libkguard.so \
	    -nostdlib $(WRAP) $(STATIC_LIBS) $(SAN_LIBS) -lgcc -lc

# Walks of loaded objects, libunwind's too, go through shim/base/walk.c.
WRAP = -Wl,--wrap=dl_iterate_phdr
# Static, PIC archives; each is decided by the gates in tests/gates.
STATIC_LIBS = -l:liblz4.a -l:libzstd.a -l:libmd.a /usr/lib/llvm-14/lib/libunwind.a -l:libsupc++.a

# The command's alone. With the readers it uses, libarchive needs no more than these.
CLI_LIBS = -l:libarchive.a -l:libjansson.a -l:libnettle.a -l:liblzma.a -l:libzstd.a -l:libbz2.a -l:libz.a

# It holds the table of advice as it is.
$(OBJDIR)/shim/rules/advice.o: shim/rules/advice.tsv

# Debian keeps LLVM's libunwind headers apart: another libunwind may be installed beside it.
$(OBJDIR)/shim/report/stack.o: KG_CFLAGS += -isystem /usr/include/libunwind

# The command: the same objects as the library's where both do the same, as one static program. From an
# archive, so that only what is used of them goes in; the stand-ins are for what a library may need.
CLI_OBJ := $(patsubst %.c,$(OBJDIR)/%.o,$(wildcard shim/cli/*.c))
CLI_ROOMS := $(foreach room,base code rules jit report,$(wildcard shim/$(room)/*.c))
CLI_CORE := $(filter-out %/standin.o %/stack.o %/python.o,$(CLI_ROOMS:%.c=$(OBJDIR)/%.o))

$(OBJDIR)/core.a: $(CLI_CORE)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OBJDIR)/kguard: $(CLI_OBJ) $(OBJDIR)/core.a
	$(if $(V),,@echo "  LD    $@")
	$(Q)$(CC) $(if $(SAN),,-static) -o $@ $^ $(SAN_FLAGS) $(LDFLAGS) -Wl,--gc-sections -pthread \
	    $(CLI_LIBS) -l:liblz4.a -l:libmd.a -l:libsupc++.a

# The public API's scan and verdict, for other programs: one object, of which only include/kguard.h's
# names can be seen.
$(OBJDIR)/libkguard.a: $(filter-out %/main.o,$(CLI_OBJ)) $(OBJDIR)/core.a
	@rm -f $@ $(OBJDIR)/cli.a && ar rcs $(OBJDIR)/cli.a $(filter-out %/main.o,$(CLI_OBJ))
	$(Q)$(CC) -r -nostdlib -o $(OBJDIR)/libkguard.o $(OBJDIR)/shim/cli/api.o $(OBJDIR)/cli.a \
	    $(OBJDIR)/core.a -l:liblz4.a -l:libzstd.a -l:libmd.a -l:libsupc++.a
	$(Q)$(OBJCOPY) -w --keep-global-symbol='kg_*' $(OBJDIR)/libkguard.o && ar rcs $@ $(OBJDIR)/libkguard.o

include packaging/packaging.mk

.PHONY: deps
deps:
	@.ci/deps build

.PHONY: clean
clean:
	rm -rf $(OBJDIR)

-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d)
