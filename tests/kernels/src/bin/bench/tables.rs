//! Page tables.

use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::hypercall::{MMUEXT_OP, VM_ASSIST};
use pv_guest_sdk::abi::mmu::{EXT_NEW_BASEPTR, MmuUpdate, MmuextOp, UVMF_INVLPG, pte};
use pv_guest_sdk::abi::vm_assist::{CMD_ENABLE, TYPE_WRITABLE_PAGETABLES};
use pv_guest_sdk::{hypercall, memory};

use domus_test_kernels::tables::{kernel_root_mfn, page, second_root};

use crate::count::count;

/// Updates in one batch.
const BATCH: usize = 64;

/// A page of address space whose entry is changed, and two entries to change between: two frames, both writable.
struct Subject {
    window: memory::Window,
    entries: [u64; 2],
}

impl Subject {
    fn new(pages: usize) -> Subject {
        let bits = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY | pte::NX;
        let window = memory::reserve(pages).expect("address space");
        Subject { window, entries: [0; 2].map(|_| page().1 << 12 | bits) }
    }

    fn address(&self, page: usize) -> u64 {
        self.window.page(page) as u64
    }

    /// Where the entry of a page lies.
    fn machine(&self, page: usize) -> u64 {
        memory::virt_to_pte_machine(self.address(page)).expect("a table")
    }

    fn update(&self, page: usize, value: u64) -> MmuUpdate {
        MmuUpdate { ptr: self.machine(page), val: value }
    }
}

fn apply(requests: &[MmuUpdate]) {
    // SAFETY: nothing uses the addresses whose entries change.
    unsafe { hypercall::mmu_update(requests, SELF) }.expect("valid entries");
}

/// One entry in one `update_va_mapping` with INVLPG: a bit that only software uses changes.
pub fn single() -> u64 {
    let subject = Subject::new(1);
    let (address, entry) = (subject.address(0), subject.entries[0]);
    count(|turn| {
        let entry = entry | (turn & 1) << 9;
        // SAFETY: nothing uses the address.
        unsafe { hypercall::update_va_mapping(address, entry, UVMF_INVLPG) }.expect("a valid entry");
    })
}

/// Many entries in one `mmu_update`, mapped and unmapped in turn, for each.
pub fn batch() -> u64 {
    let subject = Subject::new(BATCH);
    let whole = |entry| core::array::from_fn::<_, BATCH, _>(|page| subject.update(page, entry));
    let requests = [subject.entries[0], 0].map(whole);
    count(|turn| apply(&requests[turn as usize & 1])) / BATCH as u64
}

/// One entry in one `mmu_update`, as in [`single`].
pub fn mmu_update() -> u64 {
    let subject = Subject::new(1);
    let entry = subject.entries[0];
    alternate(&subject, [entry, entry | 1 << 9])
}

/// One entry in one `mmu_update`: another frame.
pub fn other_frame() -> u64 {
    let subject = Subject::new(1);
    alternate(&subject, subject.entries)
}

fn alternate(subject: &Subject, entries: [u64; 2]) -> u64 {
    let requests = entries.map(|entry| subject.update(0, entry));
    count(|turn| apply(&requests[turn as usize & 1..][..1]))
}

/// A plain write to a read-only L1 table.
pub fn emulated() -> u64 {
    // SAFETY: the call takes no pointer.
    unsafe { hypercall::call(VM_ASSIST, [CMD_ENABLE.into(), TYPE_WRITABLE_PAGETABLES.into(), 0, 0, 0]) }.expect("the assist");
    let subject = Subject::new(1);
    let machine = subject.machine(0);
    let table = memory::pfn_to_virt(memory::mfn_to_pfn(machine >> 12).expect("a frame of ours")) as u64;
    let slot = (table | machine & 0xfff) as *mut u64;
    // SAFETY: nothing uses the address whose entry changes.
    count(|turn| unsafe { slot.write_volatile(subject.entries[turn as usize & 1]) })
}

/// The top-level table that is loaded already.
pub fn cr3() -> u64 {
    load([kernel_root_mfn(); 2])
}

/// Another top-level table.
pub fn other_cr3() -> u64 {
    // The number of repetitions is even, so the kernel's own is loaded last.
    load([second_root(), kernel_root_mfn()])
}

fn load(roots: [u64; 2]) -> u64 {
    let requests = roots.map(|arg1| MmuextOp { cmd: EXT_NEW_BASEPTR, arg1, ..Default::default() });
    count(|turn| {
        let request = (&raw const requests[turn as usize & 1]) as u64;
        // SAFETY: all these tables map the same. Nobody asks how many requests were done.
        unsafe { hypercall::call(MMUEXT_OP, [request, 1, 0, SELF.into(), 0]) }.expect("a table");
    })
}
