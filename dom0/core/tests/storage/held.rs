//! An operator's command that waits for an image, and a guest that lets go of it meanwhile.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use domus_dom0_core::block::fake::{FakeDisk, FakeMemory, block_on};
use domus_dom0_core::block::{Buffer, Disk, Doing, Info, Piece, Place, read_bytes};
use domus_dom0_core::config::Format;
use domus_dom0_core::qcow2::Taken;
use domus_dom0_core::storage::{Access, Storage, Target};

/// A disk whose flushes wait until they may go on.
struct Gate {
    disk: Rc<FakeDisk>,
    open: Cell<bool>,
}

impl Disk for Gate {
    fn info(&self) -> Info {
        self.disk.info()
    }
    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        self.disk.place(offset, bytes, write)
    }
    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.disk.read(offset, into)
    }
    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        self.disk.write(offset, from)
    }
    fn flush(&self) -> Doing<'_> {
        Box::pin(async {
            poll_fn(|_| if self.open.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            self.disk.flush().await
        })
    }
    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        self.disk.discard(offset, bytes)
    }
}

#[test]
fn a_command_that_waited_does_not_write_what_is_somebody_elses_now() {
    let memory = FakeMemory::new();
    let storage = Storage::new(Rc::new(memory.clone()));
    let gate = Rc::new(Gate { disk: FakeDisk::new(&memory, 0, vec![0; 8 << 20]), open: Cell::new(true) });
    storage.add(0, "vda", gate.clone());
    let target = Target::new("/dev/vda", Format::Qcow2);
    block_on(storage.create_image(&target, Some(4 << 20), None, true)).unwrap();
    let page = memory.take(4096);
    let fill = |disk: &dyn Disk, cluster: u64, value: u8| {
        page.set(0, &[value; 4096]);
        block_on(disk.write(cluster << 16, page.pieces())).unwrap();
    };
    let first = block_on(storage.open(&target, Access::Write, "xvda of a")).unwrap();
    fill(&**first.disk(), 0, 1);
    gate.open.set(false);
    let mut context = Context::from_waker(Waker::noop());
    let mut close = pin!(first.close());
    assert!(close.as_mut().poll(&mut context).is_pending());
    let mut snapshot = pin!(storage.take_snapshot(&target, "one", Taken::default()));
    assert!(snapshot.as_mut().poll(&mut context).is_pending(), "it waits for the flush");
    gate.open.set(true);
    assert!(close.as_mut().poll(&mut context).is_ready());

    let second = block_on(storage.open(&target, Access::Write, "xvda of b")).unwrap();
    (1..9).for_each(|cluster| fill(&**second.disk(), cluster, 2));
    let refused = block_on(snapshot).unwrap_err().to_string();
    assert!(refused.contains("try again"), "{refused}");
    (9..17).for_each(|cluster| fill(&**second.disk(), cluster, 3));
    block_on(second.close()).unwrap();
    let again = block_on(storage.open(&target, Access::Read, "xvda of c")).unwrap();
    for (cluster, value) in [(0, 1), (1, 2), (8, 2), (9, 3), (16, 3)] {
        assert_eq!(block_on(read_bytes(&**again.disk(), &memory, cluster << 16, 4096)).unwrap(), [value; 4096], "{cluster}");
    }
    let report = block_on(again.image().unwrap().check()).unwrap();
    assert!(report.is_sound() && report.leaked == 0, "{report:?}");
}
