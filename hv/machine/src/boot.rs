//! The first instructions: from PVH's 32-bit entry (`pub/arch-x86/hvm/start_info.h`) to Rust in 64-bit mode at the linked address.
//!
//! The boot tables map the first 4 GiB three times with 2 MiB pages: at 0 (only until the jump), at the image's offset and in the
//! direct map. [`crate::paging`] replaces them with tables that give each section its own rights.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                      /* name and descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad pvh_entry - {offset}

    .section .boot.text, "ax", @progbits
    .code32
    .globl pvh_entry
pvh_entry:
    cld
    cli
    lea esp, [boot_stack_top - {offset}]
    mov esi, ebx                        /* physical address of hvm_start_info */

    /* Zero the bss: PVH loaders do, but nothing else here checks it. */
    lea edi, [__bss_start - {offset}]
    lea ecx, [__bss_end - {offset}]
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd

    /* Four page directories of 2 MiB pages: 4 GiB. */
    lea edi, [boot_directories - {offset}]
    mov eax, 0x83                       /* present, writable, large */
    mov ecx, 2048
2:  mov [edi], eax
    add edi, 8
    add eax, 0x200000
    loop 2b

    lea eax, [boot_directories - {offset} + 3]
    lea edi, [boot_pdpt - {offset}]
    mov ecx, 4
3:  mov [edi], eax
    add edi, 8
    add eax, 4096
    loop 3b

    lea eax, [boot_pdpt - {offset} + 3]
    lea edi, [boot_pml4 - {offset}]
    mov [edi], eax
    mov [edi + 261 * 8], eax
    mov [edi + 262 * 8], eax

    mov cr3, edi
    mov eax, cr4
    or eax, 0x20                        /* PAE */
    mov cr4, eax
    mov ecx, 0xc0000080                 /* EFER: LME, NXE, SCE */
    rdmsr
    or eax, 0x901
    wrmsr
    mov eax, 0x80010033                 /* PG, WP, NE, ET, MP, PE */
    mov cr0, eax

    lgdt [boot_gdtr - {offset}]
    .byte 0xea                          /* ljmp 8: */
    .long boot_64 - {offset}
    .word 8

    .code64
boot_64:
    movabs rax, offset boot_high
    jmp rax
boot_high:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    movabs rsp, offset boot_stack_top
    mov edi, esi
    xor ebp, ebp
    call {start}
    ud2

    .section .rodata.boot, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff            /* 64-bit code, ring 0 */
boot_gdtr:
    .word 15
    .long boot_gdt - {offset}
    .long 0

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4:        .skip 4096
boot_pdpt:        .skip 4096
boot_directories: .skip 4 * 4096
boot_stack:       .skip 32768
boot_stack_top:
    "#,
    offset = const crate::layout::IMAGE_OFFSET,
    start = sym crate::start,
);
