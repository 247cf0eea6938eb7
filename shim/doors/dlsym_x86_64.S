/*
 * void *dlsym(void *handle, const char *name)
 *
 * Jumps to the real dlsym with stack and return address untouched, so that RTLD_NEXT and
 * RTLD_DEFAULT see the true caller, unless the handle is a real one and the name starts with "cu" or
 * "nv".
 */
    .text
    .globl  dlsym
    .type   dlsym, @function
dlsym:
    .cfi_startproc
    endbr64
    movq    kgi_real_dlsym(%rip), %rax
    testq   %rax, %rax
    jz      2f
0:  leaq    1(%rdi), %rcx           /* RTLD_NEXT is -1, RTLD_DEFAULT is 0 */
    cmpq    $1, %rcx
    jbe     1f
    testq   %rsi, %rsi
    jz      1f
    cmpb    $'c', (%rsi)
    je      3f
    cmpb    $'n', (%rsi)
    jne     1f
    cmpb    $'v', 1(%rsi)
    je      4f
    jmp     *%rax
3:  cmpb    $'u', 1(%rsi)
    jne     1f
4:  movq    (%rsp), %rdx            /* the caller */
    jmp     kgi_dlsym
1:  jmp     *%rax
2:  pushq   %rdi
    .cfi_adjust_cfa_offset 8
    pushq   %rsi
    .cfi_adjust_cfa_offset 8
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    call    kgi_find_dlsym
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %rsi
    .cfi_adjust_cfa_offset -8
    popq    %rdi
    .cfi_adjust_cfa_offset -8
    testq   %rax, %rax
    jnz     0b
    ret                             /* a process without any dlsym: nothing can be found */
    .cfi_endproc
    .size   dlsym, . - dlsym
    .section .note.GNU-stack, "", @progbits
    .section .note.gnu.property, "a"
    .balign 8
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000002, 4, 3, 0     /* IBT and SHSTK */
