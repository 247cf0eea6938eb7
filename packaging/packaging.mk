# What is installed, and what it is packed into: Debian packages, a wheel.
#   make install [DESTDIR=] [PREFIX=/usr/local] [LIBDIR=]   uninstall: the same with the same settings
#   make deb      build/deb/libkguard_*.deb, kguard_*.deb
#   make wheel    build/wheel/kguard-*.whl
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share

VERSION := $(shell sed -n 's/^\#define KG_VERSION "\(.*\)"/\1/p' include/kguard.h)
# The date of the pages and packages: the same source gives the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export SOURCE_DATE_EPOCH

PACKAGING := $(OBJDIR)/packaging
PAGES := $(addprefix $(PACKAGING)/,kguard.1 libkguard.7 kguard-cache.5 kguard.bash)

$(PACKAGING)/pages: $(PACKAGING)/pages.o $(filter-out %/main.o,$(CLI_OBJ)) $(OBJDIR)/core.a
	$(Q)rm -f $@.a && ar rcs $@.a $(filter-out %/pages.o %.a,$^)
	$(Q)$(CC) -static -o $@ $< $@.a $(OBJDIR)/core.a $(SAN_FLAGS) -pthread \
	    $(CLI_LIBS) -l:liblz4.a -l:libmd.a -l:libsupc++.a

# Each time: the date may be another.
$(PAGES): $(PACKAGING)/%: packaging/%.in $(PACKAGING)/pages FORCE
	$(Q)$(PACKAGING)/pages <$< >$@.new && mv $@.new $@

$(PACKAGING)/kguard.pc: packaging/kguard.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
	    -e 's|@includedir@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' -e 's|@version@|$(VERSION)|' $< >$@
.PHONY: FORCE
FORCE:

# mode:file:where it goes
FROM := $(OBJDIR)
INSTALLED = \
    755:$(FROM)/kguard:$(BINDIR)/kguard \
    644:$(FROM)/libkguard.so:$(LIBDIR)/libkguard.so \
    644:$(FROM)/libkguard.a:$(LIBDIR)/libkguard.a \
    644:$(PACKAGING)/kguard.pc:$(LIBDIR)/pkgconfig/kguard.pc \
    644:include/kguard.h:$(INCLUDEDIR)/kguard.h \
    644:$(PACKAGING)/kguard.1:$(DATADIR)/man/man1/kguard.1 \
    644:$(PACKAGING)/kguard-cache.5:$(DATADIR)/man/man5/kguard-cache.5 \
    644:$(PACKAGING)/libkguard.7:$(DATADIR)/man/man7/libkguard.7 \
    644:$(PACKAGING)/kguard.bash:$(DATADIR)/bash-completion/completions/kguard

# Into this system, by its administrator: ld.so is to find the bare name.
IS_HERE := [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null
LD_CONF := /etc/ld.so.conf.d/kguard.conf

# install(1) makes a new file each time: one that is mapped by running programs must not be written to.
.PHONY: install uninstall
install: all $(PAGES) $(PACKAGING)/kguard.pc
	@for row in $(INSTALLED); do \
	    file=$${row#*:} && install -D -m "$${row%%:*}" "$${file%%:*}" "$(DESTDIR)$${row##*:}" || exit; \
	done
	@if $(IS_HERE); then \
	    ldconfig && found=$$(ldconfig -p | sed -n 's/.*libkguard\.so .*=> //p' | head -n 1) && \
	    if ! [ "$$found" -ef $(LIBDIR)/libkguard.so ]; then \
	        mkdir -p $(dir $(LD_CONF)) && echo $(LIBDIR) >$(LD_CONF) && ldconfig; \
	    fi; \
	fi

uninstall:
	@for row in $(INSTALLED); do rm -f "$(DESTDIR)$${row##*:}" || exit; done
	@if $(IS_HERE); then \
	    ! grep -qsxF $(LIBDIR) $(LD_CONF) || rm -f $(LD_CONF); ldconfig; \
	fi

# ---- packages ---------------------------------------------------------------------------------------------

# Without what only a debugger reads: a third of the size.
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

# tree: folder, where below it
tree = @rm -rf $(1) && $(MAKE) --no-print-directory install FROM=$(PACKAGING)/stripped \
    DESTDIR=$(1)/tree $(2)

.PHONY: deb wheel
deb: $(STRIPPED) $(PACKAGING)/NOTICES
	$(call tree,$(OBJDIR)/deb,PREFIX=/usr LIBDIR=/usr/lib/$(ARCH)-linux-gnu)
	@packaging/deb.sh $(VERSION) $(ARCH) $(PACKAGING)/NOTICES $(OBJDIR)/deb

wheel: $(STRIPPED) $(PACKAGING)/NOTICES
	$(call tree,$(OBJDIR)/wheel,PREFIX=)
	@packaging/wheel.py $(VERSION) $(ARCH) $(PACKAGING)/NOTICES $(OBJDIR)/wheel

# tests/packaging starts from these.
check-built: $(if $(SAN),,$(PAGES) $(STRIPPED))
