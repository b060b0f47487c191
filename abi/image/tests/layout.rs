//! The plan and its page tables, walked as the MMU would: regions do not overlap, every address of the initial mapping leads to its page, the
//! tables are read-only wherever they are mapped, and nothing else is mapped.

use std::collections::{HashMap, HashSet};

use domus_image::error::ImageError;
use domus_image::features::Features;
use domus_image::layout::{Plan, Request};
use domus_image::pages::Pages;
use domus_image::tables::Entry;
use domus_image::{KernelInfo, context, hypercall_page, start_info};
use proptest::prelude::*;

const PAGE: u64 = 4096;
const HIGH: u64 = 0xffff_ffff_8000_0000;

fn kernel(virt_base: u64, start: u64, bytes: u64) -> KernelInfo {
    KernelInfo { entry: virt_base + start, virt_base, phys_start: start, phys_end: start + bytes, ..KernelInfo::default() }
}

fn linux() -> KernelInfo {
    KernelInfo { init_p2m: Some(0x80_0000_0000), mod_start_pfn: true, ..kernel(HIGH, 0x100_0000, 0x2e0_0000) }
}

fn request(mib: u64, ramdisk_bytes: u64) -> Request {
    Request { nr_pages: mib * 256, ramdisk_bytes, store: true, console: true, first_domain: false }
}

/// The tables as memory holds them once someone followed the plan.
struct Memory {
    tables: HashMap<u64, HashMap<u16, Entry>>,
    root: u64,
}

impl Memory {
    fn build(plan: &Plan) -> Self {
        let mut tables = HashMap::new();
        for position in 0..plan.table_count() {
            let table = plan.table(position).unwrap();
            assert!(tables.insert(table.pfn, plan.entries(table).collect()).is_none(), "two tables in one page");
        }
        assert_eq!(plan.table(plan.table_count()), None);
        Self { tables, root: plan.page_tables.first }
    }

    fn walk(&self, va: u64) -> Option<(u64, bool)> {
        let mut table = self.root;
        for level in [4, 3, 2, 1] {
            let slot = (va >> (12 + 9 * (level - 1)) & 511) as u16;
            match *self.tables[&table].get(&slot)? {
                Entry::Table { pfn } if level > 1 => table = pfn,
                Entry::Page { pfn, writable } if level == 1 => return Some((pfn, writable)),
                other => panic!("{other:?} in a table of level {level}"),
            }
        }
        None
    }

    /// Every mapped page with its virtual address, and how many tables were met.
    fn all(&self) -> (Vec<(u64, u64, bool)>, usize) {
        let (mut found, mut met) = (Vec::new(), HashSet::new());
        let mut open = vec![(self.root, 4u32, 0u64)];
        while let Some((table, level, base)) = open.pop() {
            assert!(met.insert(table), "a table is reachable twice");
            for (&slot, entry) in &self.tables[&table] {
                let va = base | u64::from(slot) << (12 + 9 * (level - 1));
                match *entry {
                    Entry::Table { pfn } => open.push((pfn, level - 1, va)),
                    Entry::Page { pfn, writable } => found.push((((va << 16) as i64 >> 16) as u64, pfn, writable)),
                    Entry::Absent => unreachable!(),
                }
            }
        }
        (found, met.len())
    }
}

fn regions(plan: &Plan) -> Vec<Pages> {
    let one = |pfn| Pages { first: pfn, count: 1 };
    let mut all = vec![plan.kernel, plan.page_tables, one(plan.start_info), one(plan.boot_stack)];
    all.extend(plan.ramdisk.map(|ramdisk| ramdisk.pages));
    all.push(plan.frame_list.apart.unwrap_or(plan.frame_list.pages));
    all.extend(plan.store.map(one));
    all.extend(plan.console.map(one));
    all
}

/// All promises at once; a plan that keeps them can be started.
fn check(kernel: &KernelInfo, request: &Request, plan: &Plan) {
    let mut taken = regions(plan);
    taken.sort_by_key(|pages| (pages.first, pages.count));
    for pair in taken.windows(2) {
        assert!(pair[0].end() <= pair[1].first, "{pair:?} overlap");
    }
    assert!(taken.last().unwrap().end() <= plan.used.max(plan.mapped.end()));
    assert!(plan.used <= request.nr_pages && plan.mapped.end() <= plan.used);
    assert_eq!(plan.v_end % (4 << 20), 0);
    assert!(plan.mapped.end() - plan.boot_stack > 128, "less than 512 KiB of padding");
    assert_eq!(plan.kernel.first, kernel.phys_start / PAGE);
    assert_eq!(plan.frame_list.pages.count, (request.nr_pages * 8).div_ceil(PAGE));

    assert_eq!(plan.ramdisk.map_or(plan.ramdisk_start, |ramdisk| ramdisk.pages.first), plan.ramdisk_start);
    let without = Plan::new(kernel, &Request { ramdisk_bytes: 0, ..*request }).unwrap();
    assert_eq!(without.ramdisk_start, plan.ramdisk_start);

    let memory = Memory::build(plan);
    let (found, met) = memory.all();
    assert_eq!(met as u64, plan.table_count(), "a table is not reachable");
    let apart = if plan.frame_list.apart.is_some() { plan.frame_list.pages.count } else { 0 };
    assert_eq!(found.len() as u64, plan.mapped.count + apart);
    let table_pages: HashSet<u64> = memory.tables.keys().copied().collect();
    for (va, pfn, writable) in found {
        assert_eq!(writable, !table_pages.contains(&pfn));
        if va >= plan.v_start && va < plan.v_end {
            assert_eq!(plan.va_of(pfn), Some(va));
        } else {
            assert_eq!(pfn - plan.frame_list.pages.first, (va - plan.frame_list.va) / PAGE);
        }
    }
    for page in 0..plan.mapped.count {
        assert_eq!(memory.walk(plan.v_start + page * PAGE).map(|(pfn, _)| pfn), Some(page));
    }
    for page in 0..plan.frame_list.pages.count {
        let pfn = plan.frame_list.pages.first + page;
        assert_eq!(memory.walk(plan.frame_list.va + page * PAGE), Some((pfn, true)));
    }
    for pfn in plan.page_tables.first..plan.page_tables.end() {
        assert_eq!(memory.walk(plan.va_of(pfn).unwrap()), Some((pfn, false)), "a table is not mapped read-only");
    }
    let frames = plan.frame_list.apart.map_or(0, |apart| apart.count - plan.frame_list.pages.count);
    assert_eq!(table_pages.len() as u64, plan.page_tables.count + frames);
}

#[test]
fn linux_gets_its_list_apart_and_its_ramdisk_unmapped() {
    let (kernel, request) = (linux(), request(256, 5_000_001));
    let plan = Plan::new(&kernel, &request).unwrap();
    check(&kernel, &request, &plan);
    let ramdisk = plan.ramdisk.unwrap();
    assert_eq!((ramdisk.va, ramdisk.pages.count, ramdisk.pages.first), (None, 1221, plan.mapped.end()));
    assert_eq!(plan.frame_list.va, 0x80_0000_0000);
    // 65536 entries of 8 bytes; a table each of levels 3, 2 and 1.
    assert_eq!(plan.frame_list.apart.unwrap(), Pages { first: ramdisk.pages.end(), count: 128 + 3 });
    // 62 MiB end, and 2 MiB a table: level 4, 3, 2 and 32 of level 1.
    assert_eq!(plan.v_end - plan.v_start, 64 << 20);
    assert_eq!(plan.page_tables.count, 3 + 32);
}

#[test]
fn without_wishes_all_is_mapped_in_the_documented_order() {
    let (kernel, request) = (kernel(HIGH, 0x10_0000, 0x5001), request(16, 4097));
    let plan = Plan::new(&kernel, &request).unwrap();
    check(&kernel, &request, &plan);
    assert_eq!(plan.kernel, Pages { first: 256, count: 6 });
    assert_eq!(plan.ramdisk.unwrap().pages, Pages { first: 262, count: 2 });
    assert_eq!(plan.ramdisk.unwrap().va, Some(HIGH + 262 * PAGE));
    assert_eq!(plan.frame_list.pages, Pages { first: 264, count: 8 });
    assert_eq!((plan.start_info, plan.store, plan.console), (272, Some(273), Some(274)));
    assert_eq!(plan.page_tables, Pages { first: 275, count: 5 });
    assert_eq!(plan.boot_stack, 280);
    assert_eq!(plan.v_end, HIGH + (4 << 20));
}

#[test]
fn a_first_domain_alone_has_neither_rings_nor_ramdisk() {
    let kernel = kernel(0, 0x10_0000, 0x4000);
    let request = Request { nr_pages: 4096, first_domain: true, ..Request::default() };
    let plan = Plan::new(&kernel, &request).unwrap();
    check(&kernel, &request, &plan);
    assert_eq!((plan.store, plan.console, plan.ramdisk), (None, None, None));
    assert_eq!(plan.v_start, 0);
    let info = start_info::start_info(&plan, &start_info::Given { shared_info: 0x5000, ..Default::default() }).unwrap();
    assert_eq!(info.flags, 3);
    assert_eq!(info.nr_pages, 4096);
    assert_eq!((info.mod_start, info.mod_len, info.store_mfn, info.console_mfn), (0, 0, 0, 0));
    assert_eq!((info.pt_base, info.nr_pt_frames), (plan.page_tables.first * PAGE, plan.page_tables.count));
    assert_eq!(info.mfn_list, plan.frame_list.pages.first * PAGE);
    assert_eq!(&info.magic[..15], b"xen-3.0-x86_64\0");
}

#[test]
fn start_info_names_what_lies_apart_by_pfn() {
    let plan = Plan::new(&linux(), &request(128, 10_000)).unwrap();
    let ring = |mfn, port| start_info::Ring { mfn, port };
    let given = start_info::Given { shared_info: 0x1000, store: ring(7, 1), console: ring(8, 2), command_line: b"console=hvc0" };
    let info = start_info::start_info(&plan, &given).unwrap();
    assert_eq!(info.flags, 8);
    assert_eq!((info.mod_start, info.mod_len), (plan.ramdisk.unwrap().pages.first, 10_000));
    let apart = plan.frame_list.apart.unwrap();
    assert_eq!((info.first_p2m_pfn, info.nr_p2m_frames, info.mfn_list), (apart.first, apart.count, 0x80_0000_0000));
    assert_eq!((info.store_mfn, info.store_evtchn, info.console_mfn, info.console_evtchn), (7, 1, 8, 2));
    assert_eq!(&info.cmd_line[..13], b"console=hvc0\0");
    let long = [b'a'; 1024];
    let refused = start_info::start_info(&plan, &start_info::Given { command_line: &long, ..given });
    assert_eq!(refused, Err(ImageError::CommandLineTooLong(1024)));
    assert!(start_info::start_info(&plan, &start_info::Given { command_line: &long[..1023], ..given }).is_ok());
}

#[test]
fn the_first_vcpu_starts_at_the_entry_with_the_promised_registers() {
    let kernel = linux();
    let plan = Plan::new(&kernel, &request(128, 0)).unwrap();
    let context = context::vcpu_context(&kernel, &plan, 0x1234);
    assert_eq!(context.user_regs.rip, kernel.entry);
    assert_eq!(context.user_regs.rsi, HIGH + plan.start_info * PAGE);
    assert_eq!(context.user_regs.rsp, HIGH + (plan.boot_stack + 1) * PAGE);
    assert_eq!((context.user_regs.cs, context.user_regs.ss), (0xe033, 0xe02b));
    assert_eq!((context.kernel_ss, context.kernel_sp), (0xe02b, context.user_regs.rsp));
    assert_eq!(context.user_regs.rflags & 1 << 9, 1 << 9);
    assert_eq!((context.ctrlreg[3], context.flags), (0x1234 << 12, 0x24));
    assert_eq!((context.debugreg[6], context.debugreg[7]), (0xffff_0ff0, 0x400));
}

#[test]
fn hypercall_stubs_are_those_of_the_facts() {
    let mut page = [0; 4096];
    hypercall_page::fill(&mut page);
    assert_eq!(page[29 * 32..29 * 32 + 15], [0x51, 0x41, 0x53, 0xb8, 29, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3, 0xcc]);
    assert_eq!(page[23 * 32..23 * 32 + 12], [0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc]);
    assert_eq!(page[127 * 32 + 4], 127);
}

#[test]
fn a_list_just_below_the_mapping_shares_tables_with_it() {
    for gap in [1u64, 2, 511, 512, 513, 1 << 18] {
        let virt_base = 0x40_0000_0000;
        let request = request(64, 0);
        let list = 32;
        let kernel = KernelInfo { init_p2m: Some(virt_base - (gap - 1 + list) * PAGE), ..kernel(virt_base, 0, 0x4000) };
        let plan = Plan::new(&kernel, &request).unwrap();
        check(&kernel, &request, &plan);
        assert!(plan.frame_list.apart.is_some());
    }
}

#[test]
fn a_list_above_the_mapping_shares_tables_with_it() {
    for (base, gap) in [(0, 0), (0, 1), (0x40_0000_0000, 511), (0x1000_0000, 512), (0, 1 << 18), (HIGH, 0), (0, (0xffff_c900 << 20) - 1024)]
    {
        let kernel = KernelInfo { init_p2m: Some(base + (4 << 20) + gap * PAGE), ..kernel(base, 0, 0x4000) };
        let request = request(16, 0);
        let plan = Plan::new(&kernel, &request).unwrap();
        check(&kernel, &request, &plan);
        assert_eq!((Some(plan.frame_list.va), plan.frame_list.apart.is_some()), (kernel.init_p2m, true));
    }
}

#[test]
fn an_init_p2m_in_the_mapping_or_unaligned_is_not_honoured() {
    for at in [HIGH, HIGH + (4 << 20) - PAGE, 0x80_0000_0001] {
        let (kernel, request) = (KernelInfo { init_p2m: Some(at), ..kernel(HIGH, 0, 0x4000) }, request(16, 0));
        let plan = Plan::new(&kernel, &request).unwrap();
        check(&kernel, &request, &plan);
        assert_eq!(plan.frame_list.apart, None);
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let small = request(16, 0);
    let refusal = |kernel: KernelInfo, request: &Request| Plan::new(&kernel, request).unwrap_err();
    let hole = 0xffff_8000_0000_0000;
    assert!(matches!(refusal(kernel(hole, 0, 0x4000), &small), ImageError::AddressSpace { .. }));
    assert!(matches!(refusal(kernel(hole - (1 << 20), 0, 0x4000), &small), ImageError::AddressSpace { .. }));
    assert!(matches!(refusal(kernel(0x8000_0000_0000 - (256 << 10), 0, 0x4000), &small), ImageError::AddressSpace { .. }));
    assert!(matches!(refusal(kernel(u64::MAX - 0x20_ffff, 0, 0x4000), &small), ImageError::AddressSpace { .. }));
    let list_in_hole = KernelInfo { init_p2m: Some(hole), ..linux() };
    assert!(matches!(refusal(list_in_hole, &request(256, 0)), ImageError::AddressSpace { .. }));
    let close = KernelInfo { init_p2m: Some(HIGH - PAGE), ..kernel(HIGH, 0, 0x4000) };
    assert_eq!(refusal(close, &small), ImageError::P2mOverlaps(HIGH - PAGE));
    let needy = KernelInfo { features: Features { supported: 1 << 11, required: 1 << 11 }, ..kernel(HIGH, 0, 0x4000) };
    assert_eq!(refusal(needy, &small), ImageError::NeedsDomain0);
    assert!(Plan::new(&needy, &Request { first_domain: true, ..small }).is_ok());
}

#[test]
fn the_message_names_the_least_memory_that_works() {
    let ImageError::TooLittleMemory { needed, .. } = Plan::new(&linux(), &request(16, 1 << 20)).unwrap_err() else {
        panic!("not a matter of memory");
    };
    // The frame list grows with the memory, so that what is needed is a lower bound; a few pages more must do.
    assert!(Plan::new(&linux(), &Request { nr_pages: needed + 32, ..request(16, 1 << 20) }).is_ok());
    assert!(Plan::new(&linux(), &Request { nr_pages: needed - 1, ..request(16, 1 << 20) }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_plan_keeps_its_promises(
        base in prop_oneof![Just(0u64), Just(HIGH), Just(0xffff_8800_0000_0000u64), (0u64..1 << 34).prop_map(|page| page * PAGE)],
        start in 0u64..0x200_0000,
        bytes in 1u64..0x200_0000,
        nr_pages in 0u64..0xa000,
        ramdisk_bytes in prop_oneof![Just(0u64), 1u64..0x100_0000],
        (store, console, first_domain, mod_start_pfn) in any::<(bool, bool, bool, bool)>(),
        apart in prop::option::of((0u64..1 << 20, any::<bool>())),
    ) {
        let init_p2m = apart.and_then(|(pages, above)| if above { base.checked_add(pages * PAGE) } else { base.checked_sub(pages * PAGE) });
        let kernel = KernelInfo { init_p2m, mod_start_pfn, ..kernel(base, start, bytes) };
        let request = Request { nr_pages, ramdisk_bytes, store, console, first_domain };
        match Plan::new(&kernel, &request) {
            Ok(plan) => check(&kernel, &request, &plan),
            Err(ImageError::TooLittleMemory { needed, available }) => prop_assert!(needed > available),
            Err(ImageError::P2mOverlaps(_)) => prop_assert!(init_p2m.is_some_and(|at| at < base && base - at < (nr_pages * 8).next_multiple_of(PAGE))),
            // Only a list below a kernel that begins where the hypervisor's part ends, or above one that is near the end.
            Err(ImageError::AddressSpace { start, .. }) => prop_assert!(base == 0xffff_8800_0000_0000 && start < base || base == HIGH && start > base),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
