//! A real bzImage, if one is at hand: `DOMUS_TEST_VMLINUZ` names it, `DOMUS_TEST_VMLINUX` the ELF file inside, unpacked by other means.

mod image_support;

use image::Elf;
use image_support::{Memory, load};

#[test]
#[ignore = "needs DOMUS_TEST_VMLINUZ, a bzImage, and DOMUS_TEST_VMLINUX, its kernel unpacked"]
fn stock_linux_arrives_as_other_tools_unpack_it() {
    let read = |name| std::fs::read(std::env::var_os(name).expect(name)).expect(name);
    let (packed, unpacked) = (read("DOMUS_TEST_VMLINUZ"), read("DOMUS_TEST_VMLINUX"));
    let mut memory = Memory::new(128 << 20);
    let begin = std::time::Instant::now();
    let (kernel, steps) = load(&packed, &mut memory).unwrap();
    println!("{} bytes in {steps} steps, {:?}", unpacked.len(), begin.elapsed());
    let mut wanted = Memory::new(128 << 20);
    for load in Elf::parse(&unpacked).unwrap().loads() {
        let bytes = &unpacked[load.offset as usize..load.file_end() as usize];
        wanted.0[load.paddr as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    assert!(memory.0 == wanted.0, "wrong contents");
    assert_eq!(kernel, image::notes::read(&Elf::parse(&unpacked).unwrap(), &mut &unpacked[..]).unwrap());
}
