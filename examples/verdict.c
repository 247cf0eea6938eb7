/*
 * Whether files run on a GPU, from a program of one's own: include/kguard.h and libkguard.a.
 *
 *     make && gcc -Iinclude examples/verdict.c build/libkguard.a -pthread -o verdict
 *     ./verdict sm_120 /opt/venv/lib/python3.12/site-packages/udf_ext.so
 */
#include <kguard.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int cannot = 0;

    for (int i = 2; i < argc; i++) {
        char holds[1024], help[256];
        kg_file *file;
        int error = kg_scan(argv[i], &file), reason = 0, answer;

        if (error < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-error));
            return 2;
        }
        answer = kg_verdict(file, argv[1], NULL, &reason);
        if (answer < 0) {
            fprintf(stderr, "%s: not a target\n", argv[1]);
            kg_free(file);
            return 2;
        }
        kg_holds(file, holds, sizeof holds);
        kg_advice(file, argv[1], NULL, help, sizeof help);
        printf("%s: %s", argv[i], kg_answer_name(answer));
        if (answer != KG_NO_CUDA)
            printf(" (%s)", holds);
        if (reason)
            printf(", KG%d %s", reason, kg_reason_title(reason));
        printf("%s%s\n", help[0] ? ": " : "", help);
        if (kg_damage(file))
            printf("%s: %s\n", argv[i], kg_damage(file));
        cannot |= answer == KG_NONE;
        kg_free(file);
    }
    return cannot;
}
