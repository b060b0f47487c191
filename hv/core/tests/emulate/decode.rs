//! The instruction decoder against iced-x86: every form, addressing mode, size and prefix, and then random bytes.

use super::oracle::{expected, normalised};
use super::random::{Random, registers};
use domus_hv_core::emulate::decode::{decode, decode_forced};
use domus_hv_core::emulate::insn::{DecodeError, Op, WriteKind};

/// Opcodes of every form that is decoded, and their neighbours that are not.
const ONE_BYTE: &[u8] = &[
    0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19, 0x20, 0x21, 0x28, 0x29, 0x30, 0x31, 0x38, 0x39, 0x63, 0x6c, 0x6d,
    0x6e, 0x6f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8e, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xaa,
    0xc6, 0xc7, 0xcc, 0xcd, 0xce, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf4, 0xf6, 0xf7, 0xfa, 0xfb, 0xfe, 0xff,
];
const TWO_BYTE: &[u8] = &[
    0x00, 0x01, 0x05, 0x06, 0x08, 0x09, 0x0b, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0xa2, 0xa3, 0xab, 0xb0,
    0xb1, 0xb3, 0xba, 0xbb, 0xc0, 0xc1, 0xc3, 0xc7, 0xae,
];
const PREFIXES: &[&[u8]] = &[
    &[],
    &[0x66],
    &[0x67],
    &[0x64],
    &[0x65],
    &[0x3e],
    &[0xf0],
    &[0xf2],
    &[0xf3],
    &[0x66, 0x67],
    &[0x64, 0x2e],
    &[0x65, 0x64],
    &[0x67, 0xf0],
    &[0x66, 0xf3],
    &[0x66, 0xf0, 0x65],
];
const TAIL: [u8; 12] = [0x91, 0x82, 0xa3, 0xf4, 0x95, 0x86, 0x77, 0xe8, 0x59, 0xfa, 0xbb, 0xcc];

/// True for bytes that iced decodes and the hypervisor refuses on purpose: a repeat prefix where no string instruction follows.
fn refused_on_purpose(bytes: &[u8]) -> bool {
    let prefixes = || bytes.iter().take_while(|b| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3));
    prefixes().any(|&b| b == 0xf2) || prefixes().any(|&b| b == 0xf3)
}

/// Compares one instruction; true if it was accepted.
fn check(bytes: &[u8], seed: u64) -> bool {
    let regs = registers(seed);
    let want = expected(bytes, &regs);
    match (decode(bytes), want) {
        (Ok(insn), want) => {
            let have = normalised(&insn, &regs);
            assert_eq!(Some(have), want, "{bytes:02x?} decodes to {insn:?}");
            check_truncation(&bytes[..insn.length.into()]);
            true
        }
        (Err(_), Some(want)) => {
            assert!(refused_on_purpose(bytes), "{bytes:02x?} is refused, but is {want:?}");
            false
        }
        (Err(_), None) => false,
    }
}

/// An instruction needs its own bytes and no more; cut short, it asks for more, but never for more than it has.
fn check_truncation(bytes: &[u8]) {
    assert!(decode(bytes).is_ok(), "{bytes:02x?}");
    for given in 0..bytes.len() {
        let Err(DecodeError::Truncated { need }) = decode(&bytes[..given]) else {
            panic!("{:02x?} of {bytes:02x?} is not reported as truncated", &bytes[..given]);
        };
        let need = usize::from(need);
        assert!(given < need && need <= bytes.len(), "{given} {need} {bytes:02x?}");
    }
}

fn opcodes() -> impl Iterator<Item = Vec<u8>> {
    let two = TWO_BYTE.iter().map(|&opcode| vec![0x0f, opcode]);
    ONE_BYTE.iter().map(|&opcode| vec![opcode]).chain(two)
}

fn rex_bytes() -> impl Iterator<Item = Option<u8>> {
    (0x40..=0x4f).map(Some).chain([None])
}

fn assemble(prefixes: &[u8], rex: Option<u8>, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes: Vec<u8> = prefixes.iter().copied().chain(rex).collect();
    rest.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.extend_from_slice(&TAIL);
    bytes
}

#[test]
#[cfg_attr(miri, ignore = "too many cases, and no unsafe code to check")]
fn every_form_with_every_prefix_and_modrm() {
    let mut random = Random(0x5eed);
    let mut accepted = 0u32;
    for opcode in opcodes() {
        for prefixes in PREFIXES {
            // All REX bytes alone, the telling ones with other prefixes.
            let telling = |rex: &Option<u8>| prefixes.is_empty() || matches!(rex, None | Some(0x40 | 0x41 | 0x44 | 0x48 | 0x4f));
            for rex in rex_bytes().filter(telling) {
                for modrm in 0..=255u8 {
                    let sib = random.next() as u8;
                    let bytes = assemble(prefixes, rex, &[&opcode, &[modrm, sib]]);
                    accepted += u32::from(check(&bytes, random.next()));
                }
            }
        }
    }
    assert!(accepted > 500_000, "only {accepted} instructions were accepted");
}

#[test]
#[cfg_attr(miri, ignore = "too many cases, and no unsafe code to check")]
fn every_addressing_mode() {
    let mut random = Random(0xadd7);
    let mut accepted = 0u32;
    let forms: [&[u8]; 3] = [&[0x89], &[0x0f, 0xbb], &[0x83]];
    for opcode in forms {
        for prefixes in [&[][..], &[0x67], &[0x65], &[0x67, 0x64]] {
            for rex in rex_bytes() {
                for modrm in (0..=255u8).filter(|modrm| modrm & 7 == 4 && modrm >> 6 != 3) {
                    for sib in 0..=255u8 {
                        let bytes = assemble(prefixes, rex, &[opcode, &[modrm, sib]]);
                        accepted += u32::from(check(&bytes, random.next()));
                    }
                }
            }
        }
    }
    // All but the eighth of 83 that is CMP.
    assert_eq!(accepted, (2 * 24 + 21) * 256 * 4 * 17);
}

/// Set `DOMUS_FUZZ_ROUNDS` for a longer hunt, and `DOMUS_FUZZ_SEED` (odd) for another.
fn from_environment(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |value| value.parse().expect("a number"))
}

#[test]
#[cfg_attr(miri, ignore = "too many cases, and no unsafe code to check")]
fn random_bytes() {
    let rounds = from_environment("DOMUS_FUZZ_ROUNDS", 400_000);
    let mut random = Random(from_environment("DOMUS_FUZZ_SEED", 0xf023));
    let mut accepted = 0u64;
    for _ in 0..rounds {
        let mut bytes = random.next().to_le_bytes().to_vec();
        bytes.extend_from_slice(&random.next().to_le_bytes());
        // Half of them start like something we know.
        if random.next() & 1 == 0 {
            let start = random.pick(PREFIXES).iter().copied();
            let opcode = match random.next() & 1 {
                0 => vec![random.pick(ONE_BYTE)],
                _ => vec![0x0f, random.pick(TWO_BYTE)],
            };
            bytes = start.chain(opcode).chain(bytes).collect();
        }
        bytes.truncate((random.next() % 24) as usize);
        accepted += u64::from(check(&bytes, random.next()));
    }
    assert!(accepted > rounds / 8, "only {accepted} instructions were accepted");
}

#[test]
fn fifteen_bytes_are_the_limit() {
    let mut bytes = vec![0x66; 14];
    bytes.extend([0xfa, 0x90]);
    assert_eq!(decode(&bytes).map(|insn| insn.length), Ok(15));
    assert_eq!(decode(&bytes[..14]), Err(DecodeError::Truncated { need: 15 }));
    bytes.insert(0, 0x66);
    assert_eq!(decode(&bytes), Err(DecodeError::Unknown));
    assert_eq!(decode(&[0x66; 15]), Err(DecodeError::Unknown));
}

#[test]
fn wider_than_an_entry_is_refused() {
    // cmpxchg16b (%rdi)
    assert_eq!(decode(&[0x48, 0x0f, 0xc7, 0x0f]), Err(DecodeError::Unknown));
    // cmpxchg8b (%rdi)
    let insn = decode(&[0x0f, 0xc7, 0x0f]).unwrap();
    assert!(matches!(insn.op, Op::Write { kind: WriteKind::Cmpxchg8b, .. }));
}

#[test]
fn forced_emulation() {
    let bytes = [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2, 0x90];
    let insn = decode_forced(&bytes[..7]).unwrap();
    assert_eq!(decode_forced(&bytes), Ok(insn));
    assert_eq!((insn.op, insn.length), (Op::Cpuid, 7));
    assert!(!insn.lock && !insn.addr32);
    for given in 0..7 {
        let short = decode_forced(&bytes[..given]);
        assert_eq!(short, Err(DecodeError::Truncated { need: 7 }));
        let mut wrong = bytes;
        wrong[given] ^= 1;
        assert_eq!(decode_forced(&wrong), Err(DecodeError::Unknown));
    }
    // The prefix alone is UD2 to the plain decoder.
    assert_eq!(decode(&bytes), Err(DecodeError::Unknown));
}
