//! Grants.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{Page, address, leaf};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::grant::*;
use pv_guest_sdk::abi::hypercall::GRANT_TABLE_OP;
use pv_guest_sdk::{events, grants, hypercall};

pub const CHECKS: &[Check] = &[
    ("references and domains that do not exist cannot be mapped", no_such),
    ("a read-only grant cannot be mapped or copied to for writing", read_only),
    ("grants are mapped at good addresses only", bad_address),
    ("handles that do not exist cannot be unmapped", bad_handle),
    ("a mapping is unmapped as it was mapped", other_address),
    ("copies stay within the page and within what is ours", copies),
    ("tables beyond the limit are refused", limits),
    ("a frame that is a page table cannot be granted for writing", table),
];

fn map(mut request: MapGrantRef) -> (hypercall::Result, i16, u32) {
    // SAFETY: the addresses are nobody's.
    let result = unsafe { hypercall::grant_table_op(OP_MAP_GRANT_REF, core::slice::from_mut(&mut request)) };
    (result, request.status, request.handle)
}

fn unmap(host_addr: u64, handle: u32) -> i16 {
    let mut request = UnmapGrantRef { host_addr, handle, ..Default::default() };
    // SAFETY: as above.
    let _ = unsafe { hypercall::grant_table_op(OP_UNMAP_GRANT_REF, core::slice::from_mut(&mut request)) };
    request.status
}

fn own() -> u16 {
    events::own_domid().unwrap_or(SELF)
}

fn share(writable: bool) -> (grants::GrantRef, Page) {
    let page = Page::new();
    let pointer = core::ptr::NonNull::new(page.address as *mut u8).unwrap_or(core::ptr::NonNull::dangling());
    // SAFETY: nothing else uses the page.
    (unsafe { grants::grant(own(), pointer, writable) }.unwrap_or(u32::MAX), page)
}

fn no_such() -> Outcome {
    let good = MapGrantRef { host_addr: address(), flags: GNTMAP_HOST_MAP, dom: own(), ..Default::default() };
    for grant_ref in [500u32, 100_000, u32::MAX] {
        let (result, status, _) = map(MapGrantRef { grant_ref, ..good });
        holds!(result.is_err() || status < 0);
    }
    let (reference, _) = share(true);
    for dom in [77u16, 0x7fef, 0xffff] {
        let (result, status, _) = map(MapGrantRef { grant_ref: reference, dom, ..good });
        holds!(result.is_err() || status < 0);
    }
    Ok(())
}

fn read_only() -> Outcome {
    let (grant_ref, _) = share(false);
    let good = MapGrantRef { host_addr: address(), flags: GNTMAP_HOST_MAP, dom: own(), grant_ref, ..Default::default() };
    holds!(map(good).1 < 0);
    let (_, status, handle) = map(MapGrantRef { flags: GNTMAP_HOST_MAP | GNTMAP_READONLY, ..good });
    same!(status, 0);
    same!(unmap(good.host_addr, handle), 0);
    let source = CopyPtr { ref_or_frame: Page::new().mfn, domid: SELF, ..Default::default() };
    let dest = CopyPtr { ref_or_frame: grant_ref.into(), domid: own(), ..Default::default() };
    holds!(copy(Copy { source, dest, len: 8, flags: GNTCOPY_DEST_GREF, ..Default::default() }) < 0);
    Ok(())
}

fn bad_address() -> Outcome {
    let (grant_ref, _) = share(true);
    let good = MapGrantRef { flags: GNTMAP_HOST_MAP, dom: own(), grant_ref, ..Default::default() };
    for host_addr in [0u64, 0x1000, 1 << 60, 1 << 47, 0xffff_8000_0000_0000, 0xffff_8300_0000_0000, 0xffff_87ff_ffff_f000] {
        let (result, status, _) = map(MapGrantRef { host_addr, ..good });
        same!((host_addr, result.is_err() || status < 0), (host_addr, true));
    }
    // By entry: misaligned, no table, not ours.
    let entry = leaf(address());
    for host_addr in [entry | 4, entry | 1, Page::new().slot(3), 0x1_0000_0000 << 12] {
        let (result, status, handle) = map(MapGrantRef { host_addr, flags: GNTMAP_HOST_MAP | GNTMAP_CONTAINS_PTE, ..good });
        if result.is_ok() && status == 0 {
            let _ = unmap(host_addr, handle);
        }
        same!((host_addr & 7, result.is_err() || status < 0), (host_addr & 7, true));
    }
    // Neither for the host nor for devices.
    holds!(map(MapGrantRef { host_addr: address(), flags: 0, ..good }).1 < 0);
    Ok(())
}

fn bad_handle() -> Outcome {
    for handle in [500u32, 100_000, u32::MAX] {
        holds!(unmap(address(), handle) < 0);
    }
    Ok(())
}

fn other_address() -> Outcome {
    let (grant_ref, _) = share(true);
    let host_addr = address();
    let (_, status, handle) = map(MapGrantRef { host_addr, flags: GNTMAP_HOST_MAP, dom: own(), grant_ref, ..Default::default() });
    same!(status, 0);
    holds!(unmap(address(), handle) < 0);
    holds!(unmap(0xffff_8300_0000_0000, handle) < 0);
    same!(grants::revoke(grant_ref).is_err(), true);
    same!(unmap(host_addr, handle), 0);
    holds!(unmap(host_addr, handle) < 0);
    same!(grants::revoke(grant_ref), Ok(()));
    Ok(())
}

fn copy(mut request: Copy) -> i16 {
    // SAFETY: the frames are nobody's.
    let result = unsafe { hypercall::grant_table_op(OP_COPY, core::slice::from_mut(&mut request)) };
    if result.is_err() { i16::MIN } else { request.status }
}

fn copies() -> Outcome {
    let (reference, page) = share(true);
    page.write(0, 0x1122_3344);
    let to = Page::new();
    let source = CopyPtr { ref_or_frame: reference.into(), domid: own(), ..Default::default() };
    let dest = CopyPtr { ref_or_frame: to.mfn, domid: SELF, ..Default::default() };
    let good = Copy { source, dest, len: 8, flags: GNTCOPY_SOURCE_GREF, ..Default::default() };
    same!(copy(good), 0);
    same!(to.read(0), 0x1122_3344);
    for bad in [
        Copy { len: 4097, ..good },
        Copy { len: u16::MAX, ..good },
        Copy { source: CopyPtr { offset: 4095, ..source }, ..good },
        Copy { dest: CopyPtr { offset: 4092, ..dest }, ..good },
        Copy { source: CopyPtr { offset: u16::MAX, ..source }, ..good },
        Copy { dest: CopyPtr { ref_or_frame: 0x1_0000_0000, ..dest }, ..good },
        Copy { dest: CopyPtr { ref_or_frame: u64::MAX, ..dest }, ..good },
        Copy { dest: CopyPtr { ref_or_frame: leaf(address()) >> 12, ..dest }, ..good },
        Copy { dest: CopyPtr { ref_or_frame: domus_test_kernels::tables::kernel_root_mfn(), ..dest }, ..good },
        Copy { source: CopyPtr { domid: 77, ..source }, ..good },
        Copy { flags: 0xffff, ..good },
    ] {
        let status = copy(bad);
        same!((bad, status < 0), (bad, true));
    }
    Ok(())
}

fn limits() -> Outcome {
    let mut list = [0u64; 4];
    for nr_frames in [65u32, 4096, u32::MAX] {
        let mut setup = [SetupTable { dom: SELF, nr_frames, frame_list: list.as_mut_ptr() as u64, ..Default::default() }];
        // SAFETY: refused.
        let result = unsafe { hypercall::grant_table_op(OP_SETUP_TABLE, &mut setup) };
        holds!(result.is_err() || setup[0].status < 0);
    }
    for operation in [OP_MAP_GRANT_REF, OP_COPY, OP_SETUP_TABLE] {
        // SAFETY: no structures there.
        let result = unsafe { hypercall::call(GRANT_TABLE_OP, [operation.into(), 0x1000, u64::from(u32::MAX), 0, 0]) };
        holds!(result.is_err());
    }
    Ok(())
}

fn table() -> Outcome {
    // SAFETY: it must be refused when it is used.
    let reference = unsafe { grants::grant_mfn(own(), domus_test_kernels::tables::kernel_root_mfn(), true) };
    let Ok(grant_ref) = reference else { return Ok(()) };
    let (result, status, _) =
        map(MapGrantRef { host_addr: address(), flags: GNTMAP_HOST_MAP, dom: own(), grant_ref, ..Default::default() });
    holds!(result.is_err() || status < 0);
    Ok(())
}
