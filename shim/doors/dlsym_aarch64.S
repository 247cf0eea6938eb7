/*
 * void *dlsym(void *handle, const char *name)
 *
 * Jumps to the real dlsym with stack and link register untouched, so that RTLD_NEXT and
 * RTLD_DEFAULT see the true caller, unless the handle is a real one and the name starts with "cu" or
 * "nv".
 */
    .text
    .globl  dlsym
    .type   dlsym, %function
dlsym:
    .cfi_startproc
    hint    #34                     /* bti c */
    adrp    x16, kgi_real_dlsym
    ldr     x16, [x16, :lo12:kgi_real_dlsym]
    cbz     x16, 2f
0:  add     x9, x0, #1              /* RTLD_NEXT is -1, RTLD_DEFAULT is 0 */
    cmp     x9, #1
    b.ls    1f
    cbz     x1, 1f
    ldrb    w9, [x1]
    cmp     w9, #'c'
    b.eq    3f
    cmp     w9, #'n'
    b.ne    1f
    ldrb    w9, [x1, #1]
    cmp     w9, #'v'
    b.eq    4f
    br      x16
3:  ldrb    w9, [x1, #1]
    cmp     w9, #'u'
    b.ne    1f
4:  mov     x2, x30                 /* the caller */
    b       kgi_dlsym
1:  br      x16
2:  stp     x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset 29, -32
    .cfi_offset 30, -24
    stp     x0, x1, [sp, #16]
    mov     x29, sp
    bl      kgi_find_dlsym
    mov     x16, x0
    ldp     x0, x1, [sp, #16]
    ldp     x29, x30, [sp], #32
    .cfi_def_cfa_offset 0
    .cfi_restore 29
    .cfi_restore 30
    cbnz    x16, 0b
    mov     x0, xzr                 /* a process without any dlsym: nothing can be found */
    ret
    .cfi_endproc
    .size   dlsym, . - dlsym
    .section .note.GNU-stack, "", %progbits
    .section .note.gnu.property, "a"
    .balign 8
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000000, 4, 1, 0     /* BTI */
