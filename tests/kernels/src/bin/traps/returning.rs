//! The way back: `iret`, good frames and bad ones.

use domus_test_kernels::probe::IF;
use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{same, user, user_code};

pub const CHECKS: &[Check] = &[
    ("iret masks upcalls if its IF is clear", mask),
    ("iret to a non-canonical address is #GP there", wild_rip),
    ("iret to a non-canonical stack runs", wild_rsp),
    ("iret to a null or hypervisor code selector is #GP there", bad_cs),
    ("iret to a bad stack selector is #GP there", bad_ss),
    ("iret to compatibility mode works", compatibility),
    ("iret into the hypervisor's range is a page fault", into_hypervisor),
];

user_code! {
    user_ud2: "ud2";
}

fn mask() -> Outcome {
    user::set_up();
    let mut frame = user::frame(user_ud2);
    frame.rflags = 0;
    let closed = user::run(frame);
    same!((closed.masked_before(), closed.frame.rflags & IF), (true, 0));
    frame.rflags = IF;
    let open = user::run(frame);
    same!((open.masked_before(), open.frame.rflags & IF), (false, IF));
    Ok(())
}

fn wild_rip() -> Outcome {
    user::set_up();
    let mut frame = user::frame(user_ud2);
    for rip in [1u64 << 47, 1 << 60, 0xffff_7fff_ffff_ffff] {
        frame.rip = rip;
        let trap = user::run(frame);
        same!((trap.kind(), trap.frame.rip, trap.frame.cs & 0xffff), ((13, 0), rip, 0xe033));
    }
    Ok(())
}

fn wild_rsp() -> Outcome {
    let mut frame = user::frame(user_ud2);
    frame.rsp = 1 << 60;
    let trap = user::run(frame);
    same!((trap.kind(), trap.frame.rsp), ((6, 0), 1 << 60));
    Ok(())
}

fn bad_cs() -> Outcome {
    let mut frame = user::frame(user_ud2);
    for cs in [3u64, 0xe00b, 0x8003, 0xe02b, 0xffff, 0x7] {
        frame.cs = cs;
        let trap = user::run(frame);
        same!((trap.kind(), trap.frame.rip, trap.frame.cs & 0xffff), ((13, cs & !3), frame.rip, cs));
    }
    Ok(())
}

fn bad_ss() -> Outcome {
    let mut frame = user::frame(user_ud2);
    for ss in [0xe013u64, 0x8003, 0xe033, 0xffff, 0x7] {
        frame.ss = ss;
        let trap = user::run(frame);
        same!((trap.kind(), trap.frame.rip, trap.frame.ss & 0xffff), ((13, ss & !3), frame.rip, ss));
    }
    Ok(())
}

fn compatibility() -> Outcome {
    // Compatibility mode reaches only the low 4 GiB, where nothing is mapped: the fetch faults there, in 32-bit code.
    let mut frame = user::frame(user_ud2);
    frame.cs = 0xe023;
    frame.rip = 0x1234;
    let trap = user::run(frame);
    same!((trap.frame.vector, trap.cr2, trap.frame.rip, trap.frame.cs & 0xffff), (14, 0x1234, 0x1234, 0xe023));
    Ok(())
}

fn into_hypervisor() -> Outcome {
    let mut frame = user::frame(user_ud2);
    frame.rip = 0xffff_82d0_4020_0000;
    let trap = user::run(frame);
    same!((trap.frame.vector, trap.cr2), (14, frame.rip));
    Ok(())
}
