/* options: -O2 */
#define VALUE 10
#include "tool.h"
