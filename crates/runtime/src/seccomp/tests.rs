//! Filters are checked by running their instructions on call data, as the kernel would.

use super::syscalls::{Arch, table};
use super::*;
use crate::caps;
use proptest::prelude::*;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// The classic BPF machine, for the instructions used here.
fn run(program: &[u8], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    args.iter().for_each(|a| data.extend(a.to_ne_bytes()));
    let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
    let (mut a, mut pc) = (0u32, 0usize);
    loop {
        let i = &program[pc * 8..pc * 8 + 8];
        let (code, jt, jf) = (u16::from_ne_bytes([i[0], i[1]]), i[2] as usize, i[3] as usize);
        let k = u32::from_ne_bytes(i[4..8].try_into().unwrap());
        pc += 1;
        match code {
            0x20 => a = word(k as usize),
            0x54 => a &= k,
            0x05 => pc += k as usize,
            0x15 => pc += if a == k { jt } else { jf },
            0x25 => pc += if a > k { jt } else { jf },
            0x35 => pc += if a >= k { jt } else { jf },
            0x06 => return k,
            other => panic!("{other:#x}"),
        }
    }
}

fn number(arch: Arch, name: &str) -> u32 {
    table(arch).find(|(n, _)| *n == name).unwrap().1
}

fn default_program(capabilities: u64) -> Vec<u8> {
    compile(&Seccomp::RuntimeDefault, &Capabilities::same(capabilities)).unwrap()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_profile_answers_as_containerds() {
    let program = default_program(caps::DEFAULT);
    let eperm = ERRNO | libc::EPERM as u32;
    let enosys = ERRNO | libc::ENOSYS as u32;
    let table = [
        (Arch::X86_64, "read", 0, ALLOW),
        (Arch::X86_64, "writev", 0, ALLOW),
        (Arch::X86_64, "mount", 0, eperm),
        (Arch::X86_64, "unshare", 0, eperm),
        (Arch::X86_64, "keyctl", 0, eperm),
        (Arch::X86_64, "io_uring_setup", 0, eperm),
        (Arch::X86_64, "clone", libc::CLONE_VM as u64, ALLOW),
        (Arch::X86_64, "clone", libc::CLONE_NEWUSER as u64, eperm),
        (Arch::X86_64, "clone3", 0, enosys),
        (Arch::X86_64, "socket", 2, ALLOW),
        (Arch::X86_64, "socket", 40, eperm),
        (Arch::X86_64, "personality", 8, ALLOW),
        (Arch::X86_64, "personality", 4, eperm),
        (Arch::X86_64, "chroot", 0, ALLOW), // SYS_CHROOT is in the default set
        (Arch::X86_64, "reboot", 0, eperm),
        (Arch::I386, "write", 0, ALLOW),
        (Arch::I386, "socketcall", 0, ALLOW),
        (Arch::I386, "mount", 0, eperm),
    ];
    for (arch, name, first, expected) in table {
        let got = run(&program, arch.audit(), number(arch, name), [first, 0, 0, 0, 0, 0]);
        assert_eq!(got, expected, "{arch:?} {name}({first:#x}): {got:#x}");
    }
    let native = Arch::X86_64.audit();
    assert_eq!(run(&program, native, 0x4000_0000, [0; 6]), ALLOW, "x32 read");
    assert_eq!(run(&program, native, 4000, [0; 6]), enosys, "a call of the future");
    assert_eq!(run(&program, native, u32::MAX, [0; 6]), eperm, "a call skipped by a tracer");
    assert_eq!(run(&program, 0x1234, 0, [0; 6]), 0x8000_0000, "a foreign architecture");
    let admin = default_program(u64::MAX);
    assert_eq!(run(&admin, native, number(Arch::X86_64, "mount"), [0; 6]), ALLOW);
    assert_eq!(run(&admin, native, number(Arch::X86_64, "clone3"), [0; 6]), ALLOW);
}

#[test]
fn profiles_are_read_and_refused_with_the_reason() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    let program = Profile::parse(json).unwrap().compile().unwrap();
    let native = Arch::native();
    let got = run(&program, native.audit(), number(native, "mkdirat"), [0; 6]);
    assert_eq!(got, ERRNO | 28);
    assert_eq!(run(&program, native.audit(), number(native, "openat"), [0; 6]), ALLOW);
    for (json, words) in [
        ("{", "cannot load seccomp profile"),
        (r#"{"defaultAction":"X"}"#, "unknown action \"X\""),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "needs a listener"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["Y"]}"#, "unknown flag"),
    ] {
        let error = Profile::parse(json).unwrap_err().message;
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn every_name_of_the_default_profile_exists_somewhere() {
    let known: std::collections::BTreeSet<&str> = [Arch::X86_64, Arch::I386, Arch::Aarch64]
        .into_iter()
        .flat_map(|a| table(a).map(|(n, _)| n).collect::<Vec<_>>())
        .collect();
    // Calls of architectures this program is not built for.
    let foreign = ["riscv_flush_icache", "riscv_hwprobe", "recv", "send"];
    for rule in super::default::profile(u64::MAX).rules {
        for name in &rule.names {
            assert!(known.contains(name.as_str()) || foreign.contains(&name.as_str()), "{name}");
        }
    }
}

fn operator() -> impl Strategy<Value = Operator> {
    use Operator::*;
    prop_oneof![
        Just(NotEqual),
        Just(Less),
        Just(LessOrEqual),
        Just(Equal),
        Just(GreaterOrEqual),
        Just(Greater),
        Just(MaskedEqual)
    ]
}

proptest! {
    /// Comparisons agree with those of 64-bit integers, also around the 32-bit boundary.
    #[test]
    fn comparisons_are_those_of_u64(
        op in operator(),
        value in prop_oneof![any::<u64>(), 0u64..4, Just(u64::from(u32::MAX)), Just(1 << 32)],
        two in prop_oneof![any::<u64>(), 0u64..4],
        near in -2i64..3,
        other in any::<u64>(),
        use_other in any::<bool>(),
        index in 0u32..6,
    ) {
        let argument = if use_other { other } else { value.wrapping_add(near as u64) };
        let holds = match op {
            Operator::NotEqual => argument != value,
            Operator::Less => argument < value,
            Operator::LessOrEqual => argument <= value,
            Operator::Equal => argument == value,
            Operator::GreaterOrEqual => argument >= value,
            Operator::Greater => argument > value,
            Operator::MaskedEqual => argument & value == two,
        };
        let arg = Arg { index, value, value_two: two, op };
        // A second condition that always holds checks the jumps across conditions.
        let always = Arg { index: (index + 1) % 6, value: 0, value_two: 0, op: Operator::GreaterOrEqual };
        let rule = SyscallRule { names: vec!["read".into()], action: Action::Log, args: vec![arg, always] };
        let profile = Profile { default: Action::Allow, i386: false, x32: false, rules: vec![rule] };
        let mut args = [0; 6];
        args[index as usize] = argument;
        let native = Arch::native();
        let got = run(&profile.compile().unwrap(), native.audit(), number(native, "read"), args);
        prop_assert_eq!(got == 0x7ffc_0000, holds);
    }
}
