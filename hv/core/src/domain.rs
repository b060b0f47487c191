//! A domain: what one guest owns, and the table of all of them.

use zerocopy::FromZeros;

use crate::console::DomainConsole;
use crate::events::DomainEvents;
use crate::grants::DomainGrants;
use crate::ids::{DomId, MAX_DOMAINS, MAX_VCPUS};
use crate::sched::DomainSched;
use crate::time::DomainTime;
use crate::vcpu::Vcpu;

/// One domain. Lies in whole frames of its own; all zero is a domain that owns nothing.
#[derive(FromZeros)]
#[repr(C)]
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// May use the control ABI and name other domains.
    pub privileged: bool,
    /// Teardown has begun: it never runs again and takes nothing new.
    pub dying: bool,
    /// It asked to be shut down, or crashed; `shutdown_reason` says which (`SHUTDOWN_*`).
    pub shut_down: bool,
    /// Held by the control domain: runs only when unpaused.
    pub paused: bool,
    /// `SHUTDOWN_*`, valid if `shut_down`.
    pub shutdown_reason: u32,
    /// How many of `vcpus` it may have.
    pub max_vcpus: u32,
    /// Assists in force, bit per `VMASST_TYPE_*`.
    pub assists: u64,
    /// Frame of `shared_info`.
    pub shared_info: u64,
    /// Chosen by the toolstack, shown by `domain info`.
    pub handle: [u8; 16],
    /// Its vCPUs.
    pub vcpus: [Option<&'static mut Vcpu>; MAX_VCPUS],
    /// Its event channels.
    pub events: DomainEvents,
    /// Its grant table and what it has mapped of others.
    pub grants: DomainGrants,
    /// The few I/O ports that answer it.
    pub ports: crate::emulate::ports::Ports,
    /// Its clock.
    pub time: DomainTime,
    /// What the scheduler keeps of it.
    pub sched: DomainSched,
    /// What it writes to the hypervisor's log.
    pub console: DomainConsole,
}

impl Domain {
    /// Sets the assists in force; vCPUs know of those that they need at every trap.
    pub fn set_assists(&mut self, assists: u64) {
        self.assists = assists;
        for vcpu in self.vcpus.iter_mut().flatten() {
            vcpu.shows_iopl = assists >> abi::vm_assist::TYPE_ARCHITECTURAL_IOPL & 1 != 0;
        }
    }

    /// A vCPU by number.
    pub fn vcpu(&self, id: u16) -> Option<&Vcpu> {
        self.vcpus.get(usize::from(id))?.as_deref()
    }

    /// A vCPU by number.
    pub fn vcpu_mut(&mut self, id: u16) -> Option<&mut Vcpu> {
        self.vcpus.get_mut(usize::from(id))?.as_deref_mut()
    }
}

/// All domains, by number.
pub struct DomainTable {
    slots: [Option<&'static mut Domain>; MAX_DOMAINS],
    /// How many slots are taken.
    taken: u32,
    /// Those whose teardown has begun, bit per number: there are few, and who looks for them looks often.
    dying: Dying,
}

/// A set of domains.
type Dying = [u64; MAX_DOMAINS / u64::BITS as usize];

impl DomainTable {
    /// A table without domains.
    pub const fn new() -> Self {
        DomainTable { slots: [const { None }; MAX_DOMAINS], taken: 0, dying: [0; MAX_DOMAINS / u64::BITS as usize] }
    }

    /// A domain by number.
    pub fn get(&self, id: DomId) -> Option<&Domain> {
        self.slots.get(usize::from(id))?.as_deref()
    }

    /// A domain by number.
    pub fn get_mut(&mut self, id: DomId) -> Option<&mut Domain> {
        self.slots.get_mut(usize::from(id))?.as_deref_mut()
    }

    /// Two different domains at once.
    pub fn pair(&mut self, a: DomId, b: DomId) -> Option<(&mut Domain, &mut Domain)> {
        let [a, b] = self.slots.get_disjoint_mut([usize::from(a), usize::from(b)]).ok()?;
        Some((a.as_deref_mut()?, b.as_deref_mut()?))
    }

    /// Puts a domain into its slot, which must be free.
    pub fn insert(&mut self, domain: &'static mut Domain) {
        let slot = &mut self.slots[usize::from(domain.id)];
        assert!(slot.is_none(), "domain number in use");
        *slot = Some(domain);
        self.taken += 1;
    }

    /// Takes a domain out.
    pub fn remove(&mut self, id: DomId) -> Option<&'static mut Domain> {
        let domain = self.slots.get_mut(usize::from(id))?.take()?;
        self.taken -= 1;
        let (word, bit) = place(id);
        self.dying[word] &= !bit;
        Some(domain)
    }

    /// Notes that a domain's teardown begins. No effect on a number that nobody has.
    pub fn begin_end(&mut self, id: DomId) {
        if let Some(domain) = self.get_mut(id) {
            domain.dying = true;
            let (word, bit) = place(id);
            self.dying[word] |= bit;
        }
    }

    /// The numbers of the domains whose teardown has begun, in order, as of now.
    pub fn dying(&self) -> impl Iterator<Item = DomId> + use<> {
        (0..).step_by(u64::BITS as usize).zip(self.dying).flat_map(|(first, mut word)| {
            core::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as DomId)?;
                word &= word - 1;
                Some(first + bit)
            })
        })
    }

    /// How many domains there are.
    pub fn len(&self) -> u32 {
        self.taken
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The domains, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Domain> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }
}

/// Where a set has a domain's bit.
fn place(id: DomId) -> (usize, u64) {
    (usize::from(id) / u64::BITS as usize, 1 << (u32::from(id) % u64::BITS))
}

impl Default for DomainTable {
    fn default() -> Self {
        Self::new()
    }
}
