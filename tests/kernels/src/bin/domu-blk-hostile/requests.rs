//! Requests that cannot be carried out: each gets an error for an answer, and the connection stays as good as it was.

use domus_test_kernels::report::{Check, Complaint, Outcome as Verdict};
use domus_test_kernels::{fail, holds, same};
use pv_guest_sdk::abi::blkif::{
    DISCARD_SECURE, DiscardRequest, IndirectRequest, OP_DISCARD, OP_FLUSH, OP_INDIRECT, OP_READ, OP_WRITE, Request, Segment,
};
use pv_guest_sdk::abi::zerocopy::transmute;
use pv_guest_sdk::grants;
use pv_guest_sdk::hypercall::Result;

use crate::raw::{Granted, Outcome, Raw};

pub const CHECKS: &[Check] = &[
    ("a proper request is answered", proper),
    ("sectors that are not on the disk", sectors),
    ("too few and too many segments", counts),
    ("segments that do not lie in their page", segments),
    ("grants that are none", grants_that_are_none),
    ("operations that are none", operations),
    ("indirect requests beyond the limits", indirect),
    ("discards beyond the disk", discards),
];

fn with(act: impl FnOnce(&mut Raw) -> Verdict) -> Verdict {
    let mut raw = Raw::open().map_err(|error| Complaint::new(format_args!("cannot connect: {error}")))?;
    act(&mut raw)?;
    // Whatever was asked, what is proper works after it.
    let request = raw.read();
    same!(raw.ask(request), Ok(Outcome::Status(0)), "a proper read afterwards");
    same!(raw.end(), Ok(()), "the end");
    Ok(())
}

fn refused(raw: &mut Raw, request: Request, what: &str) -> Verdict {
    match raw.ask(request) {
        Ok(Outcome::Status(status)) if status < 0 => Ok(()),
        other => fail!("{what}: {other:?}"),
    }
}

fn proper() -> Verdict {
    with(|raw| {
        // The same page eleven times is proper as well.
        let request = Request { nr_segments: 11, ..raw.read() };
        same!(raw.ask(request), Ok(Outcome::Status(0)));
        let flush = Request { operation: OP_FLUSH, nr_segments: 0, ..raw.read() };
        match raw.ask(flush) {
            Ok(Outcome::Status(_)) => Ok(()),
            other => fail!("a flush: {other:?}"),
        }
    })
}

fn sectors() -> Verdict {
    with(|raw| {
        for operation in [OP_READ, OP_WRITE] {
            for sector_number in [raw.sectors, raw.sectors - 1, raw.sectors + (1 << 40), 1 << 55, u64::MAX, u64::MAX - 7, 1 << 63] {
                let request = Request { operation, sector_number, ..raw.read() };
                refused(raw, request, "a sector")?;
            }
        }
        Ok(())
    })
}

fn counts() -> Verdict {
    with(|raw| {
        for nr_segments in [0, 12, 128, 255] {
            for operation in [OP_READ, OP_WRITE] {
                let request = Request { operation, nr_segments, ..raw.read() };
                refused(raw, request, "a count")?;
            }
        }
        Ok(())
    })
}

fn segments() -> Verdict {
    with(|raw| {
        for (first_sect, last_sect) in [(3, 2), (0, 8), (8, 8), (0, 255), (255, 0), (255, 255), (7, 0)] {
            let mut request = Request { nr_segments: 3, ..raw.read() };
            request.seg[1] = Segment { first_sect, last_sect, ..request.seg[1] };
            refused(raw, request, "a segment")?;
        }
        Ok(())
    })
}

fn grants_that_are_none() -> Verdict {
    with(|raw| {
        let ended = or_complaint(Granted::new(raw.device.back_domid(), true))?;
        let gref = ended.gref;
        same!(ended.end(), Ok(()));
        let read_only = or_complaint(Granted::new(raw.device.back_domid(), false))?;
        let another = or_complaint(Granted::new(1234, true))?;
        // 0 and 1 are grants: of the console's page and xenstore's.
        for gref in [gref, read_only.gref, another.gref, 5, 100_000, u32::MAX, 1 << 31] {
            let mut request = Request { nr_segments: 3, ..raw.read() };
            request.seg[2].gref = gref;
            refused(raw, request, "a grant")?;
        }
        // What may only be read may be written to the disk; here, what is there already.
        holds!(grants::revoke(another.gref).is_ok());
        same!(read_only.end(), Ok(()), "nothing of it stays mapped");
        Ok(())
    })
}

fn or_complaint<T>(result: Result<T>) -> core::result::Result<T, Complaint> {
    result.map_err(|error| Complaint::new(format_args!("{error}")))
}

fn operations() -> Verdict {
    with(|raw| {
        for operation in [4, 7, 8, 99, 128, 255] {
            let request = Request { operation, ..raw.read() };
            refused(raw, request, "an operation")?;
        }
        Ok(())
    })
}

fn indirect() -> Verdict {
    with(|raw| {
        let most: u16 = or_complaint(raw.device.tells("feature-max-indirect-segments"))?.unwrap_or(0);
        let table = or_complaint(Granted::new(raw.device.back_domid(), true))?;
        let fill = |segment: Segment| {
            // SAFETY: the page is ours, and holds 512 segments.
            (0..512).for_each(|index| unsafe { table.page.cast::<Segment>().add(index).write_volatile(segment) });
        };
        let whole = Segment { gref: raw.data.gref, first_sect: 0, last_sect: 7, _pad: 0 };
        fill(whole);
        let request = |nr_segments: u16, indirect_op: u8, sector_number: u64, gref: u32| -> Request {
            let indirect_grefs = [gref; 8];
            let request = IndirectRequest {
                operation: OP_INDIRECT,
                indirect_op,
                nr_segments,
                sector_number,
                id: 77,
                indirect_grefs,
                ..Default::default()
            };
            transmute!(request)
        };
        if most > 0 {
            same!(raw.ask(request(12, OP_READ, 0, table.gref)), Ok(Outcome::Status(0)), "a proper one");
        }
        for count in [0, most.saturating_add(1), 513, 4096, 4097, u16::MAX] {
            if count == 0 || count > most {
                refused(raw, request(count, OP_READ, 0, table.gref), "a count")?;
            }
        }
        for operation in [OP_FLUSH, OP_DISCARD, OP_INDIRECT, 4, 255] {
            refused(raw, request(12, operation, 0, table.gref), "an inner operation")?;
        }
        refused(raw, request(12, OP_READ, u64::MAX - 50, table.gref), "a sector")?;
        refused(raw, request(12, OP_READ, raw.sectors - 8, table.gref), "sectors at the end")?;
        for gref in [5, 100_000, u32::MAX] {
            refused(raw, request(12, OP_READ, 0, gref), "a page of segments")?;
            fill(Segment { gref, ..whole });
            refused(raw, request(12, OP_READ, 0, table.gref), "a grant in such a page")?;
            fill(whole);
        }
        for (first_sect, last_sect) in [(3, 2), (0, 8), (255, 255)] {
            fill(Segment { first_sect, last_sect, ..whole });
            refused(raw, request(12, OP_READ, 0, table.gref), "a segment")?;
        }
        same!(table.end(), Ok(()), "nothing of it stays mapped");
        Ok(())
    })
}

fn discards() -> Verdict {
    with(|raw| {
        let last = raw.sectors;
        let secure: u32 = or_complaint(raw.device.tells("discard-secure"))?.unwrap_or(0);
        let mut all =
            [(last, 1, 0), (0, last + 1, 0), (last - 1, 2, 0), (u64::MAX, 1, 0), (1, u64::MAX, 0), (u64::MAX, u64::MAX, 0), (0, 0, 0)]
                .to_vec();
        if secure == 0 {
            all.push((0, 8, DISCARD_SECURE));
        }
        for (sector_number, nr_sectors, flag) in all {
            let request = DiscardRequest { operation: OP_DISCARD, flag, id: 77, sector_number, nr_sectors, ..Default::default() };
            refused(raw, transmute!(request), "a discard")?;
        }
        Ok(())
    })
}
