/* link: -l:libcudart.so.13 */
#include "extension.h"
