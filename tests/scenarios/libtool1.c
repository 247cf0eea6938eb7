/* options: -O0 */
#define VALUE 1
#include "tool.h"
