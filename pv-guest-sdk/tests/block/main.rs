//! The block front end's rings on the host, against a model of a back end: what is written is read, in whatever order answers come and however many
//! tasks ask; nothing is lost, nothing is kept, and a back end that breaks the protocol gets an error out of it, no more. Run under Miri, too.

mod back;
mod hostile;
mod model;
mod ordinary;
mod random;
mod tasks;
mod texts;

use std::sync::Arc;

use dom0_core::blkback::request::Limits;
use pv_guest_sdk::block::engine::{Engine, Setup};
use pv_guest_sdk::block::queue::Queue;
use pv_guest_sdk::block::volume::Volume;
use pv_guest_sdk::block::{Discard, Info, Options};

use back::{Back, Manner};
use model::Model;

/// Sectors of the disk in these tests.
pub(crate) const SECTORS: u64 = 2048;

/// A disk, its back end, and what is on it.
pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) volume: Volume<Model>,
    pub(crate) backs: Vec<Back>,
    pub(crate) disk: Vec<u8>,
}

pub(crate) fn info() -> Info {
    Info {
        sectors: SECTORS,
        sector_size: 512,
        physical_sector_size: 512,
        read_only: false,
        cdrom: false,
        removable: false,
        flush: true,
        barrier: true,
        discard: Some(Discard { granularity: 512, alignment: 0, secure: false }),
        persistent: false,
        max_indirect: 256,
    }
}

impl Rig {
    pub(crate) fn new(options: Options, manner: Manner, info: Info) -> Rig {
        let model = Model::new(4096);
        let limits =
            Limits { sectors: info.sectors, block: info.block(), read_only: false, discard: true, max_indirect: info.max_indirect };
        let queue = |index: u32| {
            let order = options.ring_order(Some(3));
            let setup = Setup { domid: 7, port: 100 + index, handle: 51712, order, pool: options.pool_pages() };
            Arc::new(Queue::new(Engine::new(model.clone(), setup).unwrap()))
        };
        let queues: Vec<_> = (0..options.queues(Some(4))).map(queue).collect();
        let backs = queues.iter().zip(1..).map(|(queue, seed)| Back::new(&model, queue, limits, manner, seed)).collect();
        let info = Info { persistent: manner.persistent, ..info };
        let volume = Volume::new(queues, info, options.segments(info.max_indirect));
        Rig { model, volume, backs, disk: vec![0; info.sectors as usize * 512] }
    }

    /// Runs tasks on the volume.
    pub(crate) fn run<'a>(&'a mut self, tasks: impl FnOnce(&'a Volume<Model>) -> Vec<tasks::Task<'a>>) {
        let (volume, backs, disk) = (&self.volume, &mut self.backs, &mut self.disk);
        tasks::run(tasks(volume), || {
            let mut busy = false;
            for (back, queue) in backs.iter_mut().zip(volume.queues()) {
                busy |= back.run(disk);
                queue.rang();
            }
            busy
        });
    }

    /// Both ends let go: nothing may be left.
    pub(crate) fn end(mut self) {
        self.backs.iter_mut().for_each(Back::disconnect);
        for queue in self.volume.queues() {
            assert_eq!(queue.used(), 0, "no request is left");
            assert!(queue.close().is_empty(), "nothing is kept");
        }
        assert_eq!((self.model.grants_out(), self.model.pages_out()), (0, 0));
    }
}
