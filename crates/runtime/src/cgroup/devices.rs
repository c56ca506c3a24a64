//! The device cgroup: files on version 1, a small BPF program on version 2.

use super::Cgroups;
use crate::error::{Context, Result};
use crate::spec::Device;
use crate::sys::{check, fs::write_file};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One allowed device; `None` matches every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub block: bool,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// 1 mknod, 2 read, 4 write.
    pub access: u32,
}

const fn rule(block: bool, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
    Rule { block, major, minor, access }
}

/// What every container may use: making nodes (using them is another matter), the standard
/// character devices, terminals. As runc's default rules.
const DEFAULT: [Rule; 11] = [
    rule(false, None, None, 1),
    rule(true, None, None, 1),
    rule(false, Some(1), Some(3), 7),
    rule(false, Some(1), Some(5), 7),
    rule(false, Some(1), Some(7), 7),
    rule(false, Some(1), Some(8), 7),
    rule(false, Some(1), Some(9), 7),
    rule(false, Some(5), Some(0), 7),
    rule(false, Some(5), Some(1), 7),
    rule(false, Some(5), Some(2), 7),
    rule(false, Some(136), None, 7),
];

/// The rules of a container.
pub fn rules(extra: &[Device]) -> Vec<Rule> {
    let bit = |access: &str, c, bit| if access.contains(c) { bit } else { 0 };
    let extra = extra.iter().map(|d| Rule {
        block: d.kind == 'b',
        major: Some(d.major),
        minor: Some(d.minor),
        access: bit(&d.access, 'm', 1) | bit(&d.access, 'r', 2) | bit(&d.access, 'w', 4),
    });
    DEFAULT.into_iter().chain(extra).collect()
}

/// Restricts `path` to `rules`.
pub fn restrict(cgroups: &Cgroups, path: &str, rules: &[Rule]) -> Result<()> {
    if let Some(dir) = cgroups.v1_dir("devices", path) {
        write_file(dir.join("devices.deny"), "a").setup("write devices.deny")?;
        for rule in rules {
            write_file(dir.join("devices.allow"), text(rule)).setup("write devices.allow")?;
        }
        return Ok(());
    }
    match cgroups.unified_dir(path) {
        Some(dir) if cgroups.is_v2() => {
            let dir =
                crate::sys::fs::open(&dir, libc::O_DIRECTORY | libc::O_RDONLY, 0).setup("open cgroup")?;
            attach(&dir, &program(rules)).setup("attach device filter")
        }
        _ => Ok(()),
    }
}

fn text(rule: &Rule) -> String {
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let access: String = [(2, 'r'), (4, 'w'), (1, 'm')]
        .iter()
        .filter(|(b, _)| rule.access & b != 0)
        .map(|(_, c)| *c)
        .collect();
    format!("{} {}:{} {access}", if rule.block { 'b' } else { 'c' }, number(rule.major), number(rule.minor))
}

/// One eBPF instruction in its wire form.
fn instruction(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> u64 {
    u64::from(code)
        | u64::from(dst | src << 4) << 8
        | u64::from(offset as u16) << 16
        | u64::from(immediate as u32) << 32
}

/// A BPF_PROG_TYPE_CGROUP_DEVICE program: 1 allows, 0 denies. The context is
/// `{ access_type: access << 16 | type, major, minor }`.
fn program(rules: &[Rule]) -> Vec<u64> {
    const LOAD: u8 = 0x61; // r = *(u32 *)(r1 + off)
    const MOV: u8 = 0xbf;
    const MOV_IMM: u8 = 0xb7;
    const AND: u8 = 0x57;
    const SHIFT: u8 = 0x77;
    const NOT_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let mut code = vec![
        instruction(LOAD, 2, 1, 0, 0),
        instruction(MOV, 3, 2, 0, 0),
        instruction(AND, 2, 0, 0, 0xffff), // type: 1 block, 2 character
        instruction(SHIFT, 3, 0, 0, 16),   // access asked for
        instruction(LOAD, 4, 1, 4, 0),
        instruction(LOAD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let mut tests = vec![(2u8, if rule.block { 1 } else { 2 })];
        // What is asked for beyond what the rule allows must be nothing.
        let masked = rule.access & 7 != 7;
        tests.extend(rule.major.map(|n| (4, n as i32)));
        tests.extend(rule.minor.map(|n| (5, n as i32)));
        let body = tests.len() + if masked { 3 } else { 0 } + 2;
        let mut left = body as i16;
        for (register, value) in tests {
            left -= 1;
            code.push(instruction(NOT_EQUAL, register, 0, left, value));
        }
        if masked {
            code.push(instruction(MOV, 6, 3, 0, 0));
            code.push(instruction(AND, 6, 0, 0, (!rule.access & 7) as i32));
            code.push(instruction(NOT_EQUAL, 6, 0, 2, 0));
        }
        code.push(instruction(MOV_IMM, 0, 0, 0, 1));
        code.push(instruction(EXIT, 0, 0, 0, 0));
    }
    code.push(instruction(MOV_IMM, 0, 0, 0, 0));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    code
}

/// Loads the program and attaches it; the cgroup keeps it alive.
fn attach(dir: &OwnedFd, program: &[u64]) -> io::Result<()> {
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        program: u64,
        license: u64,
        rest: [u64; 12],
    }
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    const PROG_LOAD: i32 = 5;
    const PROG_ATTACH: i32 = 8;
    const TYPE_CGROUP_DEVICE: u32 = 15;
    const ATTACH_CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        program: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        rest: [0; 12],
    };
    // SAFETY: the attributes, the program and the licence live across the calls and their sizes
    // are given; the program descriptor returned is ours.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_bpf, PROG_LOAD, &load, size_of::<Load>()))?;
        let fd = OwnedFd::from_raw_fd(fd as i32);
        let attach = Attach {
            target: dir.as_raw_fd() as u32,
            program: fd.as_raw_fd() as u32,
            kind: ATTACH_CGROUP_DEVICE,
            flags: ALLOW_MULTI,
        };
        check(libc::syscall(libc::SYS_bpf, PROG_ATTACH, &attach, size_of::<Attach>()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the instructions this module emits.
    fn allowed(program: &[u64], block: bool, major: u32, minor: u32, access: u32) -> bool {
        let context = [access << 16 | if block { 1 } else { 2 }, major, minor];
        let (mut r, mut at) = ([0u64; 10], 0usize);
        loop {
            let i = program[at];
            let (code, dst, src) = (i as u8, (i >> 8 & 15) as usize, (i >> 12 & 15) as usize);
            let (offset, immediate) = ((i >> 16) as u16, (i >> 32) as u32 as u64);
            at += 1;
            match code {
                0x61 => r[dst] = context[offset as usize / 4].into(),
                0xbf => r[dst] = r[src],
                0xb7 => r[dst] = immediate,
                0x57 => r[dst] &= immediate,
                0x77 => r[dst] >>= immediate,
                0x55 => at += if r[dst] != immediate { offset as usize } else { 0 },
                0x95 => return r[0] == 1,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_program_allows_what_the_rules_allow() {
        let extra = Device {
            path: "/dev/sda".into(),
            kind: 'b',
            major: 8,
            minor: 0,
            mode: 0o600,
            uid: 0,
            gid: 0,
            access: "r".into(),
        };
        let program = program(&rules(&[extra]));
        let table = [
            (false, 1, 3, 6, true),    // /dev/null read and write
            (false, 136, 77, 6, true), // any terminal
            (false, 10, 200, 1, true), // mknod of anything
            (false, 10, 200, 2, false),
            (false, 10, 200, 3, false),
            (true, 8, 0, 2, true),
            (true, 8, 0, 6, false),
            (true, 8, 1, 2, false),
            (true, 1, 3, 6, false),
        ];
        for (block, major, minor, access, expected) in table {
            let got = allowed(&program, block, major, minor, access);
            assert_eq!(got, expected, "{block} {major}:{minor} {access}");
        }
    }

    #[test]
    fn rules_read_as_the_kernel_wants_them() {
        assert_eq!(text(&rule(false, None, None, 1)), "c *:* m");
        assert_eq!(text(&rule(true, Some(8), Some(1), 7)), "b 8:1 rwm");
    }
}
