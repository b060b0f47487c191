//! The mechanism of the scheduler against every short story: whatever vCPUs, guests and the control domain do and in which order, no
//! wake-up is lost, nobody runs twice or against the rules, and the accounts of time add up.

mod sched_world;

use abi::vcpu::{RUNSTATE_BLOCKED, RUNSTATE_OFFLINE, RUNSTATE_RUNNABLE, RUNSTATE_RUNNING};
use domus_hv_core::cpu::Cpu;
use domus_hv_core::sched::{Next, Policy, VcpuSched};
use domus_hv_core::time::{TimerQueue, VcpuTime};
use sched_world::{World, vcpu};
use zerocopy::FromZeros;

use domus_hv_core::ids::VcpuRef;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Schedule,
    /// The running vCPU blocks, polls its port, polls both ports of its domain, yields, handles its events.
    Block,
    PollOwn,
    PollBoth,
    Yield,
    TakeEvents,
    /// The running vCPU masks its upcalls.
    Mask,
    /// An event for the first or the second vCPU of domain 1.
    SendFirst,
    SendSecond,
    Pause,
    Unpause,
    DownSecond,
    UpSecond,
    /// Time passes and the timer interrupts.
    Interrupt,
}

const STEPS: [Step; 14] = [
    Step::Schedule,
    Step::Block,
    Step::PollOwn,
    Step::PollBoth,
    Step::Yield,
    Step::TakeEvents,
    Step::Mask,
    Step::SendFirst,
    Step::SendSecond,
    Step::Pause,
    Step::Unpause,
    Step::DownSecond,
    Step::UpSecond,
    Step::Interrupt,
];

const ALL: [VcpuRef; 3] = [VcpuRef { domain: 1, vcpu: 0 }, VcpuRef { domain: 1, vcpu: 1 }, VcpuRef { domain: 2, vcpu: 0 }];

struct Story {
    world: World,
    /// The port of each of [`ALL`].
    ports: [u32; 3],
    begun: u64,
}

impl Story {
    fn new() -> Story {
        let mut world = World::new();
        world.domain(1, 2);
        world.domain(2, 1);
        let ports = ALL.map(|who| world.port(who));
        Story { world, ports, begun: 0 }
    }

    /// Back to the beginning, without building the domains again.
    fn reset(&mut self) {
        let world = &mut self.world;
        world.hv().scheduler = Policy::new();
        world.hv().cpus[0] = Cpu::default();
        world.hv().timers = TimerQueue::new();
        for who in ALL {
            world.state(who).sched = VcpuSched::new_zeroed();
            world.state(who).time = VcpuTime::new_zeroed();
            world.take_events(who);
            world.set_mask(who, false);
            let domain = world.hv().domains.get_mut(who.domain).unwrap();
            domain.paused = false;
            domain.events.pollers = 0;
            domain.time.deadlines = [0; 32];
        }
        for who in ALL {
            world.hv().begin_vcpu(who);
            world.hv().vcpu_up(who).unwrap();
        }
        self.begun = world.now();
        world.schedule();
    }

    fn perform(&mut self, step: Step) {
        let world = &mut self.world;
        world.pass(3_000_000);
        let running = world.hv().cpus[0].running.filter(|&who| world.kit.hv.may_run(who));
        let own = |who| self.ports[ALL.iter().position(|&other| other == who).unwrap()];
        match (step, running) {
            (Step::Schedule, _) => {
                world.schedule();
            }
            (Step::Block, Some(who)) => world.hv().block(who),
            (Step::PollOwn, Some(who)) => {
                let blocked = world.hv().poll(who, &[own(who)]).unwrap();
                let deadline = world.now() + 5_000_000;
                world.hv().set_poll_timeout(who, (blocked && who.vcpu == 0).then_some(deadline));
            }
            (Step::PollBoth, Some(who)) if who.domain == 1 => {
                let ports = [self.ports[0], self.ports[1]];
                world.hv().poll(who, &ports).unwrap();
                world.hv().set_poll_timeout(who, None);
            }
            (Step::Yield, Some(who)) => world.hv().give_way(0, who),
            (Step::TakeEvents, Some(who)) => world.take_events(who),
            (Step::Mask, Some(who)) => world.set_mask(who, true),
            (Step::SendFirst, _) => world.send(1, self.ports[0]),
            (Step::SendSecond, _) => world.send(1, self.ports[1]),
            (Step::Pause, _) => world.hv().pause(1).unwrap(),
            (Step::Unpause, _) => world.hv().unpause(1).unwrap(),
            (Step::DownSecond, _) => world.hv().vcpu_down(vcpu(1, 1)).unwrap(),
            (Step::UpSecond, _) => world.hv().vcpu_up(vcpu(1, 1)).unwrap(),
            (Step::Interrupt, _) => {
                let now = world.now();
                world.hv().timer_interrupt(0, now);
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let cpu = self.world.kit.hv.cpus[0];
        for (who, port) in ALL.into_iter().zip(self.ports) {
            let may_run = self.world.kit.hv.may_run(who);
            let deliverable = self.world.deliverable(who);
            let polls = self.world.kit.hv.polls(who);
            let own_pending = self.world.pending(who.domain, port);
            let now = self.world.now();
            let sched = &self.world.state(who).sched;
            assert_eq!(sched.running, cpu.running == Some(who), "who runs");
            assert_eq!(sched.queued, may_run && !sched.running, "who is queued");
            assert!(!(sched.blocked && deliverable), "{who:?} sleeps though it has an event");
            assert!(!polls || sched.blocked, "a poller is blocked");
            // Both kinds of poll name the poller's own port.
            assert!(!(polls && own_pending), "{who:?} sleeps though a port that it polls is pending");
            let state = match (sched.running, may_run, sched.blocked) {
                (true, ..) => RUNSTATE_RUNNING,
                (_, true, _) => RUNSTATE_RUNNABLE,
                (.., true) => RUNSTATE_BLOCKED,
                _ => RUNSTATE_OFFLINE,
            };
            assert_eq!(sched.runstate.state(), state);
            assert_eq!(sched.runstate.spent_until(now).iter().sum::<u64>(), now - self.begun, "time is lost");
            assert!(!sched.running || may_run || cpu.reschedule, "{who:?} runs on though it must not");
            assert!(!sched.queued || cpu.running.is_some() || cpu.reschedule, "the CPU idles though {who:?} waits");
        }
    }

    fn tell(&mut self, steps: &[Step]) {
        self.reset();
        for &step in steps {
            self.perform(step);
            self.check();
        }
        let someone = ALL.into_iter().any(|who| self.world.kit.hv.may_run(who));
        assert_eq!(self.world.schedule() != Next::Idle, someone);
        self.check();
    }
}

/// Every story of `length` steps, or those whose index leaves `rest` when divided by `part`.
fn all_stories(length: u32, part: usize, rest: usize) {
    let mut story = Story::new();
    for number in (0..STEPS.len().pow(length)).skip(rest).step_by(part) {
        let mut left = number;
        let steps: Vec<Step> = (0..length)
            .map(|_| {
                let step = STEPS[left % STEPS.len()];
                left /= STEPS.len();
                step
            })
            .collect();
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story.tell(&steps)));
        assert!(told.is_ok(), "the story {steps:?}");
    }
}

#[test]
fn every_story_of_four_steps() {
    all_stories(4, 1, 0);
}

/// One in 61 of the stories of six steps: 123,000.
#[test]
fn some_stories_of_six_steps() {
    all_stories(6, 61, 17);
}
