/* What a careless program does: launches and goes on. */
#include "runtime.h"

int main(void)
{
    lacking_stub();
    fitting_stub();
    lacking_stub();
    puts("all is well");
    return 0;
}
