//! I/O ports, and above all: how soon Linux stops calibrating against the PIT, and whether a patient guest measures right.

use domus_hv_core::emulate::insn::Size;
use domus_hv_core::emulate::ports::Ports;
use zerocopy::FromZeros;

/// A guest on a machine where an access takes as long as an emulated one may (1 µs).
struct Guest {
    ports: Ports,
    now: u64,
    accesses: u32,
}

impl Guest {
    fn new() -> Self {
        Guest { ports: Ports::new_zeroed(), now: 123_456_789, accesses: 0 }
    }

    fn inb(&mut self, port: u16) -> u8 {
        self.tick();
        self.ports.read(port, Size::B1, self.now, |_| 0xff) as u8
    }

    fn outb(&mut self, value: u8, port: u16) {
        self.tick();
        self.ports.write(port, Size::B1, value.into(), self.now);
    }

    fn tick(&mut self) {
        self.now += 1000;
        self.accesses += 1;
    }

    /// Gate up, speaker off.
    fn open_gate(&mut self) {
        let old = self.inb(0x61);
        self.outb(old & !2 | 1, 0x61);
    }

    fn load(&mut self, control: u8, count: u16) {
        self.outb(control, 0x43);
        let [low, high] = count.to_le_bytes();
        self.outb(low, 0x42);
        self.outb(high, 0x42);
    }

    /// How many times in a row the high byte of the count is this, up to a limit.
    fn see_high_byte(&mut self, value: u8) -> u32 {
        let seen = |guest: &mut Self| {
            guest.inb(0x42);
            guest.inb(0x42) == value
        };
        (0..50_000).take_while(|_| seen(self)).count() as u32
    }
}

#[test]
fn quick_calibration_ends_at_once() {
    let mut guest = Guest::new();
    guest.open_gate();
    guest.load(0xb0, 0xffff);
    guest.see_high_byte(0);
    // A kernel that wants to watch the count wants to see this more than five times.
    assert!(guest.see_high_byte(0xff) <= 5);
    assert!(guest.accesses < 20, "{}", guest.accesses);
}

#[test]
fn waiting_for_the_output_measures_right() {
    for count in [1193u16, 11932, 59659] {
        let mut guest = Guest::new();
        guest.open_gate();
        guest.load(0xb0, count);
        let start = guest.now;
        while guest.inb(0x61) & 0x20 == 0 {}
        let want = u64::from(count) * 1_000_000_000 / 1_193_182;
        let have = guest.now - start;
        assert!(have.abs_diff(want) <= 3000, "{have} instead of {want}");
    }
}

#[test]
fn the_count_goes_down_in_coarse_steps() {
    let mut guest = Guest::new();
    guest.open_gate();
    guest.load(0xb0, 0xffff);
    let mut last = u16::MAX;
    for _ in 0..40 {
        guest.now += 1_000_000;
        let loaded_for = guest.now + 1000 - 123_456_789;
        let count = u16::from_le_bytes([guest.inb(0x42), guest.inb(0x42)]);
        let ticks = loaded_for * 1_193_182 / 1_000_000_000;
        let elapsed = 0xffff - u64::from(count);
        assert!(count < last && elapsed.abs_diff(ticks) <= 1024, "{elapsed} {ticks}");
        last = count;
    }
}

#[test]
fn a_latched_count_stands_until_read() {
    let mut guest = Guest::new();
    guest.open_gate();
    guest.load(0xb0, 0xffff);
    guest.outb(0x80, 0x43);
    guest.now += 20_000_000;
    let latched = [guest.inb(0x42), guest.inb(0x42)];
    let running = [guest.inb(0x42), guest.inb(0x42)];
    assert_eq!(u16::from_le_bytes(latched), 0xfbff);
    assert!(u16::from_le_bytes(running) < 0xfbff - 20_000);
}

#[test]
fn read_back_latches_the_count_of_channel_2() {
    // (command, does it latch?): count of channel 2; status only; count of channel 0 and 1.
    for (command, latches) in [(0xd8, true), (0xe8, false), (0xd6, false)] {
        let mut guest = Guest::new();
        guest.open_gate();
        guest.load(0xb0, 0xffff);
        guest.outb(command, 0x43);
        guest.now += 20_000_000;
        let count = u16::from_le_bytes([guest.inb(0x42), guest.inb(0x42)]);
        assert_eq!(count == 0xfbff, latches, "{command:#x}");
    }
}

#[test]
fn raising_the_gate_starts_again_and_holding_it_does_not() {
    let mut guest = Guest::new();
    guest.open_gate();
    guest.load(0xb0, 1193);
    guest.now += 900_000;
    guest.outb(1, 0x61);
    guest.now += 200_000;
    assert_eq!(guest.inb(0x61) & 0x20, 0x20);
    guest.outb(0, 0x61);
    guest.outb(1, 0x61);
    assert_eq!(guest.inb(0x61) & 0x20, 0);
}

#[test]
fn one_byte_counts() {
    // Low byte only: 200 ticks. High byte only: 0x300 ticks.
    for (control, byte, ticks) in [(0x90, 200, 200), (0xa0, 3, 0x300)] {
        let mut guest = Guest::new();
        guest.open_gate();
        guest.outb(control, 0x43);
        guest.outb(byte, 0x42);
        let start = guest.now;
        while guest.inb(0x61) & 0x20 == 0 {}
        let want: u64 = ticks * 1_000_000_000 / 1_193_182;
        assert!((guest.now - start).abs_diff(want) <= 3000);
    }
}

#[test]
fn one_byte_reads() {
    // 0xffff, 1024 ticks ahead, is 0xfbff; with the high byte alone the count is 0xff00, and 0xfb00.
    for (control, want) in [(0x90, [0xff, 0xff]), (0xa0, [0xfb, 0xfb]), (0xb0, [0xff, 0xfb])] {
        let mut guest = Guest::new();
        guest.open_gate();
        guest.load(control, 0xffff);
        assert_eq!([guest.inb(0x42), guest.inb(0x42)], want, "{control:#x}");
    }
}

#[test]
fn a_rate_generator_is_low_for_one_tick() {
    let mut ports = Ports::new_zeroed();
    let write = |ports: &mut Ports, port, value| ports.write(port, Size::B1, value, 0);
    for (port, value) in [(0x61, 1), (0x43, 0xb4), (0x42, 100), (0x42, 0)] {
        write(&mut ports, port, value);
    }
    let high = |tick: u64| {
        let now = (tick * 2 + 1) * 500_000_000 / 1_193_182;
        { ports }.read(0x61, Size::B1, now, |_| 0) & 0x20 != 0
    };
    let low: Vec<u64> = (0..400).filter(|&tick| !high(tick)).collect();
    assert_eq!(low, [99, 199, 299, 399]);
}

#[test]
fn counts_stay_within_their_period() {
    // Rate generator and square wave of 5000 ticks, after 10,000 ticks: 10,240 are seen, the square wave counts by twos.
    for (control, want) in [(0xb4, 5000 - 240), (0xb6, 5000 - 480)] {
        let mut ports = Ports::new_zeroed();
        for (port, value) in [(0x61, 1), (0x43, control), (0x42, 0x88), (0x42, 0x13)] {
            ports.write(port, Size::B1, value, 0);
        }
        let now = 10_000 * 1_000_000_000 / 1_193_182 + 1;
        let [low, high] = [0, 1].map(|_| ports.read(0x42, Size::B1, now, |_| 0));
        assert_eq!(high << 8 | low, want);
    }
}

#[test]
fn a_closed_gate_stops_the_count() {
    let mut guest = Guest::new();
    guest.load(0xb0, 100);
    guest.now += 1_000_000_000;
    assert_eq!(guest.inb(0x61) & 0x21, 0);
    guest.open_gate();
    guest.now += 1_000_000;
    assert_eq!(guest.inb(0x61) & 0x21, 0x21);
}

#[test]
fn a_square_wave_has_two_halves() {
    let mut guest = Guest::new();
    guest.open_gate();
    guest.load(0xb6, 11932);
    let highs = (0..10_000).filter(|_| guest.inb(0x61) & 0x20 != 0).count();
    assert!((4900..=5100).contains(&highs), "{highs}");
}

#[test]
fn the_refresh_bit_toggles() {
    let mut guest = Guest::new();
    let changes = |guest: &mut Guest| {
        let bits: Vec<u8> = (0..1000).map(|_| guest.inb(0x61) & 0x10).collect();
        bits.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    assert!((64..=68).contains(&changes(&mut guest)));
}

#[test]
fn clock_registers_go_by_index() {
    let mut ports = Ports::new_zeroed();
    ports.write(0x70, Size::B1, 0x8b, 0);
    assert_eq!(ports.read(0x70, Size::B1, 0, |_| 0), 0x0b);
    assert_eq!(ports.read(0x71, Size::B1, 0, |index| index + 1), 0x0c);
    assert_eq!(ports.read(0x71, Size::B1, 0, |_| 0xff), 0xff);
    // Both at once: the index and what it names.
    assert_eq!(ports.read(0x70, Size::B2, 0, |_| 0x42), 0x420b);
}

#[test]
fn nobody_is_all_ones() {
    let mut ports = Ports::new_zeroed();
    let ones = |size: Size| size.mask() as u32;
    for port in [0x20, 0x40, 0x43, 0x60, 0x64, 0x3f8, 0xcf8, 0xcfc, 0xffff] {
        for size in [Size::B1, Size::B2, Size::B4] {
            // Next to a port that answers, not all of a wide access is ones.
            if port == 0x40 && size == Size::B4 || port == 0x60 && size != Size::B1 {
                continue;
            }
            ports.write(port, size, 0, 0);
            assert_eq!(ports.read(port, size, 0, |_| 0), ones(size), "{port:#x}");
        }
    }
    // PCI configuration mechanism 1 does not echo, so it is not there.
    ports.write(0xcf8, Size::B4, 0x8000_0000, 0);
    assert_eq!(ports.read(0xcf8, Size::B4, 0, |_| 0), 0xffff_ffff);
}

#[test]
#[cfg_attr(miri, ignore = "too many cases, and no unsafe code to check")]
fn hostile_accesses_do_no_harm() {
    let mut random = super::random::Random(0x9017);
    let mut ports = Ports::new_zeroed();
    for _ in 0..200_000 {
        let port = random.pick(&[0x40, 0x42, 0x43, 0x61, 0x70, 0x71, 0xfffe]);
        let size = random.pick(&[Size::B1, Size::B2, Size::B4]);
        let some = random.next();
        let now = random.pick(&[0, 1, 1_000_000, u64::MAX / 2, u64::MAX, some]);
        match random.next() & 1 {
            0 => ports.write(port, size, random.next() as u32, now),
            _ => {
                let value = ports.read(port, size, now, |index| index);
                assert_eq!(u64::from(value) & !size.mask(), 0);
            }
        }
    }
}
