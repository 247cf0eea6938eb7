# What tests/harm/*.sh run.   make harm
HARM := $(OBJDIR)/harm
HARM_CC = $(CC) -std=gnu11 -Wall -Wextra -Werror -Wno-unused -O1 -g -D_GNU_SOURCE -Iinclude
$(HARM)/lib%.so: tests/harm/lib%.c
	@mkdir -p $(@D)
	$(Q)$(HARM_CC) -shared -fPIC -o $@ $<
$(HARM)/host: tests/harm/host.c $(SCN_HEADERS) | fake
	@mkdir -p $(@D)
	$(Q)$(HARM_CC) -o $@ $< -L$(FAKE) -l:libcuda.so.1 -lpthread -ldl -lm -Wl,-rpath-link,$(FAKE)

.PHONY: harm
harm: $(HARM)/host $(HARM)/libtls.so $(HARM)/libaudit.so
# The tests judge the file that is shipped.
HARM_TESTS := $(if $(SAN),,$(filter-out %/system.sh,$(wildcard tests/harm/*.sh)))
