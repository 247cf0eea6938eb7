/* A library that takes most of the static thread-local memory there is to spare (glibc 2.36: 512
 * bytes and what alignment leaves). */
__thread char taken[400] __attribute__((tls_model("initial-exec")));
char *take(void);
char *take(void)
{
    return taken;
}
