# make check-corpus [ONLY=torch]: real wheels, and the CUDA toolkit (ONLY=/usr/local/cuda/lib64) where there is
# one, read by us and by cuobjdump, one after another. Needs a network, pip, some 4 GB of disk at a time and
# half an hour; keeps its results in tests/corpus/results.md.

CORPUS_OBJ := $(patsubst %.c,$(OBJDIR)/%.o,$(filter-out %/main.c,$(wildcard shim/cli/*.c)))
$(OBJDIR)/corpus/list: $(OBJDIR)/tests/corpus/list.o $(CORPUS_OBJ) $(OBJDIR)/core.a
	@mkdir -p $(@D) && rm -f $@.a && ar rcs $@.a $(CORPUS_OBJ)
	$(Q)$(CC) -o $@ $< $@.a $(OBJDIR)/core.a $(SAN_FLAGS) -pthread $(CLI_LIBS) -l:liblz4.a \
	    -l:libsupc++.a

.PHONY: check-corpus
check-corpus: $(OBJDIR)/corpus/list $(OBJDIR)/kguard
	@OBJDIR=$(abspath $(OBJDIR)) tests/corpus/check.py $(ONLY)

# make check-images: images as umoci and skopeo write them, which must be installed
.PHONY: check-images
check-images: $(OBJDIR)/kguard
	@OBJDIR=$(abspath $(OBJDIR)) tests/corpus/images.sh
