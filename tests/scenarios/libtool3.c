/* options: -O0 */
#define VALUE 100
#include "tool.h"
