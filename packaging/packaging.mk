# What is installed, and what it is packed into: Debian packages, a wheel.
#   make install [DESTDIR=] [PREFIX=/usr/local] [BINDIR= LIBDIR= INCLUDEDIR= DATADIR=]
#   make uninstall     with the same settings
#   make deb           build/deb/libkguard_*.deb, kguard_*.deb
#   make wheel         build/wheel/kguard-*.whl
# For another processor: CC, OBJCOPY and STRIP of its, RUNNER what runs its programs (tests/system/aarch64.sh).
PREFIX ?= /usr/local
INSTALL = VERSION=$(VERSION) DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' BINDIR='$(BINDIR)' \
    LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' DATADIR='$(DATADIR)' packaging/install.sh

VERSION := $(shell sed -n 's/^\#define KG_VERSION "\(.*\)"/\1/p' include/kguard.h)
# The date of the pages and packages: the same source gives the same bytes.
ifndef SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
endif
export SOURCE_DATE_EPOCH

PACKAGING := $(OBJDIR)/packaging
PAGES := $(addprefix $(PACKAGING)/,kguard.1 libkguard.7 kguard-cache.5 kguard.bash)

$(PACKAGING)/pages: $(PACKAGING)/pages.o $(filter-out %/main.o,$(CLI_OBJ)) $(OBJDIR)/core.a
	$(Q)rm -f $@.a && ar rcs $@.a $(filter-out %/pages.o %.a,$^)
	$(Q)$(CC) -static -o $@ $< $@.a $(OBJDIR)/core.a $(SAN_FLAGS) -pthread \
	    $(CLI_LIBS) -l:liblz4.a -l:libmd.a -l:libsupc++.a

# Each time: the date may be another.
$(PAGES): $(PACKAGING)/%: packaging/%.in $(PACKAGING)/pages FORCE
	$(Q)$(RUNNER) $(PACKAGING)/pages <$< >$@.new && mv $@.new $@
.PHONY: FORCE
FORCE:

.PHONY: install uninstall
install: all $(PAGES)
	@$(INSTALL) $@ $(OBJDIR) $(PACKAGING)
uninstall:
	@$(INSTALL) $@ $(OBJDIR) $(PACKAGING)

# ---- packages ---------------------------------------------------------------------------------------------

# Without what only a debugger reads: half the size.
STRIP ?= strip
$(PACKAGING)/stripped/%: $(OBJDIR)/%
	@mkdir -p $(@D)
	$(Q)$(STRIP) --strip-unneeded --remove-section=.comment --remove-section=.note -o $@ $<
STRIPPED := $(addprefix $(PACKAGING)/stripped/,kguard libkguard.so libkguard.a)

# What the licences of the libraries ask for that are linked into the binaries, as Debian has it.
LINKED := $(filter-out gcc,$(shell sed -n '/^build="/,/"$$/s/build=\|"//gp' .ci/deps))
$(PACKAGING)/NOTICES: .ci/deps
	@mkdir -p $(@D)
	@for p in $(LINKED); do \
	    echo "==== of $$p"; cat /usr/share/doc/$$p/copyright; echo; \
	done >$@

# An installed tree, in a folder of its own.
tree = @rm -rf $(OBJDIR)/$@ && VERSION=$(VERSION) DESTDIR=$(OBJDIR)/$@/tree \
    BINDIR= LIBDIR= INCLUDEDIR= DATADIR= $(1) packaging/install.sh install $(PACKAGING)/stripped $(PACKAGING)

.PHONY: deb wheel
deb: $(STRIPPED) $(PAGES) $(PACKAGING)/NOTICES
	$(call tree,PREFIX=/usr LIBDIR=/usr/lib/$(ARCH)-linux-gnu)
	@packaging/deb.sh $(VERSION) $(ARCH) $(PACKAGING)/NOTICES $(OBJDIR)/deb
wheel: $(STRIPPED) $(PAGES) $(PACKAGING)/NOTICES
	$(call tree,PREFIX=)
	@packaging/wheel.py $(VERSION) $(ARCH) $(PACKAGING)/NOTICES $(OBJDIR)/wheel

# tests/packaging starts from these.
check-built: $(if $(SAN),,$(PAGES) $(STRIPPED))
