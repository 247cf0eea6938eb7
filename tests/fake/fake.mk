# The fake driver and the fake runtimes: tests/fake/README.md.
#   make fake       build/fake/libcuda.so.1 (570.26, CUDA 12.8), build/fake/580/libcuda.so.1 (580.65.06,
#                   CUDA 13.0, with its log), build/fake/535/libcuda.so.1 (535.104.05, CUDA 12.2), libcudart.so.11.0 .12 .13, libcudart_static_11.a _12 _13
FAKE := $(OBJDIR)/fake
FAKE_TRACES := tests/recorded/driver-580.tsv
FAKE_CC = $(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -Wno-unused-parameter -O2 -g -fPIC \
          -Iinclude -I$(FAKE)
FAKE_DRIVER := tests/fake/cuda.c tests/fake/image.c tests/fake/mark.c tests/fake/trace.c

.PHONY: fake
fake: $(FAKE)/libcuda.so.1 $(FAKE)/580/libcuda.so.1 $(FAKE)/535/libcuda.so.1

$(FAKE)/answers.h: tests/fake/answers.awk tests/fake/fake.h $(FAKE_TRACES)
	@mkdir -p $(@D)
	$(Q)awk -f tests/fake/answers.awk tests/fake/fake.h $(FAKE_TRACES) | LC_ALL=C sort >$@

# fake_driver: the file, CUDA version, what it has beyond the older one
define FAKE_DRIVER_RULE
$(1): $(FAKE_DRIVER) tests/fake/fake.h include/kg_cuda.h $(FAKE)/answers.h tests/fake/fake.mk
	@mkdir -p $$(@D)
	$(if $(V),,@echo "  FAKE  $$@")
	$$(Q)echo '{ global: cu[!L]*; cuL[!o]*; $(3) local: *; };' >$(1).map
	$$(Q)$$(FAKE_CC) -fvisibility=hidden -DFAKE_CUDA='"$(2)"' -shared -o $$@ $(FAKE_DRIVER) \
	    -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic -Wl,-z,defs -Wl,--version-script=$(1).map \
	    -Wl,--exclude-libs,ALL -l:liblz4.a -l:libzstd.a
$(dir $(1))libcuda.so.1: $(1)
	$$(Q)ln -sf $(notdir $(1)) $$@
endef
$(eval $(call FAKE_DRIVER_RULE,$(FAKE)/libcuda.so.570.26,12080,))
$(eval $(call FAKE_DRIVER_RULE,$(FAKE)/580/libcuda.so.580.65.06,13000,cuLo*;))
$(eval $(call FAKE_DRIVER_RULE,$(FAKE)/535/libcuda.so.535.104.05,12020,))

# fake_runtime: version, name
define FAKE_RUNTIME_RULE
fake: $(FAKE)/$(2) $(FAKE)/libcudart_static_$(1).a
$(FAKE)/$(2): tests/fake/cudart.c include/kg_cuda.h tests/fake/fake.mk
	@mkdir -p $$(@D)
	$(if $(V),,@echo "  FAKE  $$@")
	$$(Q)echo '$(2) { global: cuda*; __cuda*; local: *; };' >$$@.map
	$$(Q)$$(FAKE_CC) -DRUNTIME=$(1) -DVISIBILITY='"default"' -shared -o $$@ $$< \
	    -Wl,-soname,$(2) -Wl,--version-script=$$@.map -Wl,-z,defs -ldl -lpthread
$(FAKE)/libcudart_static_$(1).a: tests/fake/cudart.c include/kg_cuda.h tests/fake/fake.mk
	@mkdir -p $$(@D)
	$$(Q)$$(FAKE_CC) -DRUNTIME=$(1) -DVISIBILITY='"hidden"' -c -o $$@.o $$<
	$$(Q)rm -f $$@ && ar rc $$@ $$@.o
endef
$(eval $(call FAKE_RUNTIME_RULE,11,libcudart.so.11.0))
$(eval $(call FAKE_RUNTIME_RULE,12,libcudart.so.12))
$(eval $(call FAKE_RUNTIME_RULE,13,libcudart.so.13))

# The 11.x runtime with the DT_SONAME that it has in PyTorch's wheels, beside a driver.
fake: $(FAKE)/wheel/libcudart.so.11.0
$(FAKE)/wheel/libcudart.so.11.0: $(FAKE)/libcudart.so.11.0 $(FAKE)/580/libcuda.so.1
	@mkdir -p $(@D)
	$(Q)$(FAKE_CC) -DRUNTIME=11 -DVISIBILITY='"default"' -shared -o $@ tests/fake/cudart.c \
	    -Wl,-soname,libcudart-d0da41ae.so.11.0 -Wl,--version-script=$<.map -Wl,-z,defs -ldl -lpthread
	$(Q)ln -sf ../580/$$(readlink $(FAKE)/580/libcuda.so.1) $(@D)/libcuda.so.1

# A driver under the name that it has in WSL.
fake: $(FAKE)/wsl/libcuda.so.1.1
$(FAKE)/wsl/libcuda.so.1.1: $(FAKE)/libcuda.so.570.26
	@mkdir -p $(@D)
	$(Q)cp $< $@ && ln -sf libcuda.so.1.1 $(@D)/libcuda.so.1

# The soak (tests/gpu/soak), which runs here for seconds and on a GPU for minutes.
$(OBJDIR)/soak: tests/gpu/soak/soak.c include/kg_cuda.h | fake
	@mkdir -p $(@D)
	$(Q)$(FAKE_CC) -Wno-missing-prototypes -o $@ $< -L$(FAKE) -l:libcuda.so.1 -lpthread -ldl

# What make check runs of this; the comparison with cuda.h only where there is one.
FAKE_TESTS := $(if $(SAN),,tests/fake/replay.sh tests/gpu/soak/over_fake.sh \
    $(if $(wildcard /usr/local/cuda/include/cuda.h),tests/fake/cuda_h.sh))
