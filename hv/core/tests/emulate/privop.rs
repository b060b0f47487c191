//! Privileged instructions: what is asked for, who may ask, and how the answer reaches the registers.

use super::random::registers;
use domus_hv_core::emulate::cr;
use domus_hv_core::emulate::decode::decode;
use domus_hv_core::emulate::insn::Size;
use domus_hv_core::emulate::privop::{Action, Port, Privilege, Reply, bitmap_allows, complete, decide, interrupt_error_code};
use domus_hv_core::emulate::regs::PlainRegisters;

const KERNEL: Privilege = Privilege { kernel: true, iopl: 1, architectural_iopl: false };
const USER: Privilege = Privilege { kernel: false, iopl: 1, architectural_iopl: false };
const DF: u64 = 1 << 10;

fn ask(bytes: &[u8], regs: &PlainRegisters, privilege: Privilege) -> Action {
    decide(&decode(bytes).unwrap(), regs, privilege)
}

/// The registers after `bytes` got `reply`.
fn after(bytes: &[u8], mut regs: PlainRegisters, reply: Reply) -> PlainRegisters {
    complete(&decode(bytes).unwrap(), &mut regs, reply);
    regs
}

fn port(number: u16, size: Size) -> Port {
    Port { number, size, needs_bitmap: false }
}

#[test]
fn ports() {
    let mut regs = registers(3);
    regs.gprs[0] = 0x1111_2222_3333_4455;
    regs.gprs[2] = 0xffff_ffff_ffff_0cf8;
    assert_eq!(ask(&[0xe4, 0x42], &regs, KERNEL), Action::PortIn(port(0x42, Size::B1)));
    assert_eq!(ask(&[0x66, 0xed], &regs, KERNEL), Action::PortIn(port(0xcf8, Size::B2)));
    assert_eq!(ask(&[0xef], &regs, KERNEL), Action::PortOut(port(0xcf8, Size::B4), 0x3333_4455));
    assert_eq!(ask(&[0xee], &regs, KERNEL), Action::PortOut(port(0xcf8, Size::B1), 0x55));
    let all = Reply::Value(0xffff_ffff);
    assert_eq!(after(&[0xe4, 0x42], regs, all).gprs[0], 0x1111_2222_3333_44ff);
    assert_eq!(after(&[0x66, 0xed], regs, all).gprs[0], 0x1111_2222_3333_ffff);
    assert_eq!(after(&[0xed], regs, all).gprs[0], 0xffff_ffff);
    assert_eq!(after(&[0xed], regs, all).rip, regs.rip.wrapping_add(1));
}

#[test]
fn iopl() {
    let regs = registers(4);
    let needs_bitmap = |privilege| match ask(&[0xec], &regs, privilege) {
        Action::PortIn(port) => port.needs_bitmap,
        other => panic!("{other:?}"),
    };
    for (kernel, iopl, architectural_iopl, free) in [
        (true, 0, false, false),
        (true, 1, false, true),
        (true, 0, true, true),
        (false, 0, true, false),
        (false, 1, false, false),
        (false, 2, false, false),
        (false, 3, false, true),
    ] {
        let privilege = Privilege { kernel, iopl, architectural_iopl };
        assert_eq!(needs_bitmap(privilege), !free, "{privilege:?}");
        let want = if free { Action::Nothing } else { Action::Bounce };
        assert_eq!(ask(&[0xfa], &regs, privilege), want);
        assert_eq!(ask(&[0xfb], &regs, privilege), want);
    }
}

#[test]
fn io_bitmap() {
    // Ports 0x60 and 0x64 are free, their neighbours are not.
    let mask = 0b1111_1111_1110_1110;
    assert!(bitmap_allows(mask, port(0x60, Size::B1)));
    assert!(bitmap_allows(mask, port(0x64, Size::B1)));
    assert!(!bitmap_allows(mask, port(0x61, Size::B1)));
    assert!(!bitmap_allows(mask, port(0x60, Size::B2)));
    assert!(!bitmap_allows(mask, port(0x67, Size::B4)));
    assert!(bitmap_allows(0xf87f, port(0x67, Size::B4)));
    assert!(!bitmap_allows(0x0400, port(0x67, Size::B4)));
}

#[test]
fn kernel_only() {
    let regs = registers(5);
    let wanted: [(&[u8], Action); 9] = [
        (&[0x0f, 0x06], Action::ClearTaskSwitched),
        (&[0x0f, 0x09], Action::Nothing),
        (&[0x0f, 0x20, 0xe0], Action::ReadCr(4)),
        (&[0x41, 0x0f, 0x22, 0xd9], Action::WriteCr(3, regs.gprs[9])),
        (&[0x0f, 0x21, 0xf8], Action::ReadDr(7)),
        (&[0x0f, 0x23, 0xc3], Action::WriteDr(0, regs.gprs[3])),
        (&[0x0f, 0x32], Action::ReadMsr(regs.gprs[1] as u32)),
        (&[0x0f, 0x31], Action::ReadTsc),
        (&[0x0f, 0x01, 0xf9], Action::ReadTscp),
    ];
    for (bytes, action) in wanted {
        assert_eq!(ask(bytes, &regs, KERNEL), action);
        assert_eq!(ask(bytes, &regs, USER), Action::Bounce);
    }
    // Known, but the guest's own trouble: hlt, invd, invlpg, lmsw, rdpmc, mov from cr8, a page-table write.
    let bounced: [&[u8]; 7] =
        [&[0xf4], &[0x0f, 0x08], &[0x0f, 0x01, 0x38], &[0x0f, 0x01, 0xf0], &[0x0f, 0x33], &[0x44, 0x0f, 0x20, 0xc0], &[0x48, 0x89, 0x37]];
    for bytes in bounced {
        assert_eq!(ask(bytes, &regs, KERNEL), Action::Bounce);
    }
}

#[test]
fn registers_of_msr_tsc_and_cpuid() {
    let mut regs = registers(6);
    (regs.gprs[0], regs.gprs[1], regs.gprs[2]) = (!0xf << 32 | 0x89ab_cdef, !0 << 32 | 0xc000_0101, !0 << 32 | 0xffff_8880);
    assert_eq!(ask(&[0x0f, 0x30], &regs, KERNEL), Action::WriteMsr(0xc000_0101, 0xffff_8880_89ab_cdef));
    assert_eq!(ask(&[0x0f, 0xa2], &regs, USER), Action::Cpuid(0x89ab_cdef, 0xc000_0101));

    let got = after(&[0x0f, 0x32], regs, Reply::Value(0x0123_4567_89ab_cdef));
    assert_eq!((got.gprs[0], got.gprs[2], got.gprs[1]), (0x89ab_cdef, 0x0123_4567, regs.gprs[1]));
    let got = after(&[0x0f, 0x01, 0xf9], regs, Reply::Tscp(5 << 32 | 7, 9));
    assert_eq!((got.gprs[0], got.gprs[2], got.gprs[1]), (7, 5, 9));
    let got = after(&[0x0f, 0xa2], regs, Reply::Leaf([1, 2, 3, 4]));
    assert_eq!(got.gprs[..4], [1, 3, 4, 2]);
    let got = after(&[0x41, 0x0f, 0x20, 0xd4], regs, Reply::Value(0xdead));
    assert_eq!((got.gprs[12], got.rip), (0xdead, regs.rip.wrapping_add(4)));
    // A wrmsr changes nothing but RIP and RF.
    regs.rflags |= 1 << 16;
    let got = after(&[0x0f, 0x30], regs, Reply::Done);
    assert_eq!(got, PlainRegisters { rip: regs.rip.wrapping_add(2), rflags: regs.rflags & !(1 << 16), ..regs });
}

#[test]
fn repeated_strings_go_one_element_at_a_time() {
    let mut regs = registers(7);
    (regs.gprs[1], regs.gprs[2], regs.gprs[7]) = (3, 0x1f0, 0x1000);
    let rep_insw = [0xf3, 0x66, 0x6d];
    let start = regs.rip;
    for (va, left, rip) in [(0x1000, 2, start), (0x1002, 1, start), (0x1004, 0, start.wrapping_add(3))] {
        let want = Action::StringIn(port(0x1f0, Size::B2), va);
        assert_eq!(ask(&rep_insw, &regs, KERNEL), want);
        regs = after(&rep_insw, regs, Reply::Done);
        assert_eq!((regs.gprs[1], regs.rip), (left, rip));
    }
    // Nothing left: done without an access, and nothing moves.
    assert_eq!(ask(&rep_insw, &regs, KERNEL), Action::Nothing);
    let done = after(&rep_insw, regs, Reply::Done);
    assert_eq!((done.gprs, done.rip), (regs.gprs, regs.rip.wrapping_add(3)));
}

#[test]
fn strings_obey_direction_segment_and_address_size() {
    let mut regs = registers(8);
    regs.gprs[2] = 0x3f8;
    regs.rflags |= DF;
    // outsb %gs:(%rsi)
    let outsb = [0x65, 0x6e];
    let va = regs.gs_base.wrapping_add(regs.gprs[6]);
    assert_eq!(ask(&outsb, &regs, KERNEL), Action::StringOut(port(0x3f8, Size::B1), va));
    let got = after(&outsb, regs, Reply::Done);
    assert_eq!(got.gprs[6], regs.gprs[6].wrapping_sub(1));
    assert_eq!((got.gprs[1], got.rip), (regs.gprs[1], regs.rip.wrapping_add(2)));
    // rep insl (%edi) with edi and ecx at their ends
    let rep_insl = [0xf3, 0x67, 0x6d];
    (regs.gprs[1], regs.gprs[7], regs.rflags) = (5 << 32 | 2, 7 << 32 | 0xffff_fffc, 2);
    assert_eq!(ask(&rep_insl, &regs, KERNEL), Action::StringIn(port(0x3f8, Size::B4), 0xffff_fffc));
    let got = after(&rep_insl, regs, Reply::Done);
    assert_eq!((got.gprs[7], got.gprs[1], got.rip), (0, 1, regs.rip));
}

#[test]
fn software_interrupts() {
    let regs = registers(9);
    assert_eq!(ask(&[0xcd, 0x80], &regs, USER), Action::Interrupt(0x80));
    assert_eq!(ask(&[0xcc], &regs, USER), Action::Interrupt(3));
    assert!(USER.may_interrupt(3) && !USER.may_interrupt(2));
    assert!(KERNEL.may_interrupt(1) && !KERNEL.may_interrupt(0));
    assert_eq!(interrupt_error_code(0x81), 0x40a);
}

#[test]
fn control_registers() {
    assert_eq!(cr::write_cr0(cr::cr0(false)), Some(false));
    assert_eq!(cr::write_cr0(cr::cr0(true)), Some(true));
    for bit in (0..64).filter(|&bit| 1 << bit != cr::CR0_TS) {
        assert_eq!(cr::write_cr0(cr::cr0(false) ^ 1 << bit), None);
    }
    assert_eq!(cr::cr0(false), 0x8005_0033);
    assert_eq!(cr::cr0(true), 0x8005_003b);
    // TSD DE PAE MCE OSFXSR OSXMMEXCPT FSGSBASE.
    let all = cr::guest_cr4(u64::MAX, true);
    assert_eq!(all, 0x1066c);
    assert_eq!(cr::hardware_cr4_bits(all), 0x1000c);
    assert_eq!(cr::guest_cr4(0, true), all & !cr::hardware_cr4_bits(all));
    assert_eq!(cr::guest_cr4(u64::MAX, false), all & !cr::CR4_FSGSBASE);
}
