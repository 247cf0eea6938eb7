/* The plugin of s109: an image among its constants. */
#include "scenario.h"

EMBED(fatbin_many, "tests/scenarios/jit/many.compute_80.fatbin");
extern const void *const plugin_image;
const void *const plugin_image = fatbin_many;
