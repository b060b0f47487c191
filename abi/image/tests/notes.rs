//! The kernel's wishes: where they are looked for, what their absence means, which of them are refused.

mod common;

use common::{Builder, linux_like, note_bytes};
use domus_image::error::ImageError;
use domus_image::kernel::NotesFrom;
use domus_image::{Elf, KernelInfo, notes};

fn read(builder: &Builder) -> Result<KernelInfo, ImageError> {
    let file = builder.build();
    notes::read(&Elf::parse(&file)?, &mut &file[..])
}

/// A kernel of one page at physical 1 MiB, at virtual 0xffffffff80100000.
fn small() -> Builder {
    Builder::new(0).load(0x10_0000, vec![0; 0x2000], 0).number(3, 0xffff_ffff_8000_0000).number(1, 0xffff_ffff_8010_0010)
}

#[test]
fn linux_notes_are_understood() {
    let kernel = read(&linux_like()).unwrap();
    assert_eq!(kernel.notes_from, NotesFrom::Segment);
    assert_eq!(kernel.entry, 0xffff_ffff_8101_0000);
    assert_eq!(kernel.virt_base, 0xffff_ffff_8000_0000);
    assert_eq!((kernel.phys_start, kernel.phys_end), (0x100_0000, 0x101_3000));
    assert_eq!(kernel.virt_start(), 0xffff_ffff_8100_0000);
    assert_eq!(kernel.init_p2m, Some(0x80_0000_0000));
    assert_eq!(kernel.hypercall_page, None);
    assert!(kernel.mod_start_pfn);
    assert!(!kernel.suspend_cancel);
    assert_eq!(kernel.features.required, 1);
    assert_eq!(kernel.features.supported, 0x8801 | 1 << 4);
    assert_eq!(kernel.guest_os.as_str(), "linux");
}

#[test]
fn notes_in_a_section_serve_if_no_segment_has_any() {
    let kernel = read(&Builder { as_section: true, ..linux_like() }).unwrap();
    assert_eq!(kernel.notes_from, NotesFrom::Section);
    assert_eq!(kernel.entry, 0xffff_ffff_8101_0000);
}

#[test]
fn the_legacy_string_has_defaults_of_its_own() {
    let text = b"GUEST_OS=Mini-OS,XEN_VER=xen-3.0,VIRT_BASE=0x10000000,HYPERCALL_PAGE=0x1,LOADER=generic\0".to_vec();
    let builder = Builder { legacy: Some(text), ..Builder::new(0x1000_1000).load(0x1000_0000, vec![0; 0x3000], 0) };
    let kernel = read(&builder).unwrap();
    assert_eq!(kernel.notes_from, NotesFrom::LegacyString);
    assert_eq!(kernel.paddr_offset, 0x1000_0000);
    assert_eq!((kernel.phys_start, kernel.phys_end), (0, 0x3000));
    assert_eq!(kernel.entry, 0x1000_1000);
    assert_eq!(kernel.hypercall_page, Some(0x1000_1000));
    assert_eq!(kernel.guest_os.as_str(), "Mini-OS");
}

#[test]
fn without_notes_the_headers_decide() {
    let kernel = read(&Builder::new(0x10_0040).load(0x10_0000, vec![0; 0x1000], 0x1000)).unwrap();
    assert_eq!(kernel.notes_from, NotesFrom::Nowhere);
    assert_eq!((kernel.entry, kernel.virt_base, kernel.paddr_offset), (0x10_0040, 0, 0));
}

#[test]
fn notes_of_other_owners_are_passed_over() {
    let mut builder = Builder::new(0x1000).load(0x1000, vec![0; 16], 0);
    builder.notes = [note_bytes(b"GNU\0", 3, &[7; 20]), note_bytes(b"Xenix\0", 1, &[1]), note_bytes(b"", 0, b"")].concat();
    assert_eq!(read(&builder).unwrap().notes_from, NotesFrom::Nowhere);
}

#[test]
fn numbers_may_have_four_bytes_but_not_three() {
    assert!(read(&small().note(14, &1u32.to_le_bytes())).unwrap().suspend_cancel);
    assert_eq!(read(&small().note(14, &[1, 0, 0])).unwrap_err(), ImageError::BadNumber(14));
    assert_eq!(read(&small().note(1, &[])).unwrap_err(), ImageError::BadNumber(1));
}

#[test]
fn notes_that_reach_past_their_segment_are_refused() {
    for (field, value) in [(0, u32::MAX), (4, u32::MAX), (4, 9), (0, 0x100)] {
        let mut builder = small();
        let last = builder.notes.len() - 24;
        builder.notes[last + field..last + field + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(read(&builder).unwrap_err(), ImageError::BadNotes, "{field} {value:#x}");
    }
    let mut huge = small();
    huge.notes.resize(70_000, 0);
    assert_eq!(read(&huge).unwrap_err(), ImageError::NotesTooLarge(70_000));
}

#[test]
fn features_that_pv_domains_lack_are_refused_by_name() {
    let error = read(&small().note(10, b"!auto_translated_physmap|!writable_page_tables\0")).unwrap_err();
    assert_eq!(error, ImageError::FeatureMissing("auto_translated_physmap"));
    assert!(error.to_string().contains("auto_translated_physmap"));
    assert_eq!(read(&small().note(10, b"!supervisor_mode_kernel")).unwrap_err(), ImageError::FeatureMissing("supervisor_mode_kernel"));
    assert_eq!(read(&small().note(10, b"!telepathy")).unwrap_err(), ImageError::FeatureUnknown);
    assert!(read(&small().note(10, b"auto_translated_physmap|telepathy|!dom0")).is_ok());
}

#[test]
fn contradictions_are_refused() {
    let base = 0xffff_ffff_8000_0000;
    let cases = [
        (small().number(1, base + 0x10_2000), ImageError::EntryOutside(base + 0x10_2000)),
        (small().number(1, 0x10_0000), ImageError::EntryOutside(0x10_0000)),
        (small().number(2, base + 0x10_0010), ImageError::HypercallPageOutside(base + 0x10_0010)),
        (small().number(2, base + 0x10_2000), ImageError::HypercallPageOutside(base + 0x10_2000)),
        (small().number(2, u64::MAX - 0xfff), ImageError::HypercallPageOutside(u64::MAX - 0xfff)),
        (small().number(3, base + 1), ImageError::VirtBaseUnaligned(base + 1)),
        (small().number(4, 0x20_0000), ImageError::SegmentBelowOffset(0)),
        (small().note(5, b"xen-2.0\0"), ImageError::WrongXenVersion),
        (small().note(8, b"special\0"), ImageError::WrongLoader),
    ];
    for (builder, error) in cases {
        assert_eq!(read(&builder).unwrap_err(), error);
    }
    let only_offset = Builder::new(0x1000).load(0x1000, vec![0; 16], 0).number(4, 0);
    assert_eq!(read(&only_offset).unwrap_err(), ImageError::OffsetWithoutBase);
    let wrapping = small().number(3, u64::MAX - 0xfff);
    assert!(matches!(read(&wrapping).unwrap_err(), ImageError::AddressSpace { .. }));
    let pvh = Builder::new(0x1000).load(0x1000, vec![0; 16], 0).note(18, &0x1000u32.to_le_bytes());
    assert_eq!(read(&pvh).unwrap_err(), ImageError::PvhOnly);
}

#[test]
fn a_hypercall_page_in_the_image_is_accepted() {
    let kernel = read(&small().number(2, 0xffff_ffff_8010_1000)).unwrap();
    assert_eq!(kernel.hypercall_page, Some(0xffff_ffff_8010_1000));
}
