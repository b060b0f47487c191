//! The page of code that a kernel with a HYPERCALL_PAGE note calls instead of executing `syscall` itself: a stub of 32 bytes for each number.

/// Bytes of a stub; there are 128 in the page.
const STUB_BYTES: usize = 32;
/// The one call that does not return to its caller, and whose stub therefore leaves rax, r11 and rcx on the stack: `iret`'s frame.
const IRET: u32 = abi::hypercall::IRET as u32;
/// `int3`, for what is never executed.
const BREAKPOINT: u8 = 0xcc;

/// Fills `page` with the stubs.
pub fn fill(page: &mut [u8; 4096]) {
    page.fill(BREAKPOINT);
    for (number, stub) in (0u32..).zip(page.chunks_exact_mut(STUB_BYTES)) {
        let code = if number == IRET { &iret_stub()[..] } else { &stub_for(number)[..] };
        for (room, byte) in stub.iter_mut().zip(code) {
            *room = *byte;
        }
    }
}

/// push rcx; push r11; mov eax, number; syscall; pop r11; pop rcx; ret
fn stub_for(number: u32) -> [u8; 14] {
    let [a, b, c, d] = number.to_le_bytes();
    [0x51, 0x41, 0x53, 0xb8, a, b, c, d, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3]
}

/// push rcx; push r11; push rax; mov eax, 23; syscall
fn iret_stub() -> [u8; 11] {
    let [a, b, c, d] = IRET.to_le_bytes();
    [0x51, 0x41, 0x53, 0x50, 0xb8, a, b, c, d, 0x0f, 0x05]
}
