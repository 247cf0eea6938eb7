/* link: -l:libcudart.so.12 */
#include "extension.h"
