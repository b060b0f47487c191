//! A real kernel, if one is at hand: `DOMUS_TEST_VMLINUX` names an uncompressed Linux with PV support. Ignored otherwise.

use domus_image::{Elf, Plan, Request, notes};

#[test]
#[ignore = "needs DOMUS_TEST_VMLINUX, an uncompressed Linux"]
fn stock_linux_can_be_planned() {
    let path = std::env::var_os("DOMUS_TEST_VMLINUX").expect("DOMUS_TEST_VMLINUX must name the kernel");
    let file = std::fs::read(path).expect("the kernel named by DOMUS_TEST_VMLINUX");
    let elf = Elf::parse(&file).unwrap();
    elf.check_length(file.len() as u64).unwrap();
    let kernel = notes::read(&elf, &mut &file[..]).unwrap();
    println!("{kernel:#x?}");
    assert_eq!(kernel.virt_base, 0xffff_ffff_8000_0000);
    assert_eq!(kernel.phys_start, 0x100_0000);
    assert_eq!(kernel.guest_os.as_str(), "linux");
    assert!(kernel.mod_start_pfn && kernel.init_p2m.is_some());
    let request = Request { nr_pages: 256 << 8, ramdisk_bytes: 2 << 20, store: true, console: true, first_domain: false };
    let plan = Plan::new(&kernel, &request).unwrap();
    println!("{plan:#x?}");
    assert!(plan.used < request.nr_pages);
}
