//! A profile to classic BPF: per architecture a binary search over ranges of call numbers that
//! share a verdict, then argument checks. Calls newer than our table fail with ENOSYS rather than
//! EPERM, so that C libraries fall back to older calls (as runc does).

use super::profile::{Action, Arg, Operator, Profile, SyscallRule};
use super::syscalls::{Arch, table};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// One instruction before it is encoded: (code, jt, jf, k).
type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = 0x20; // A = *(u32 *)(data + k)
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;
const X32_BIT: u32 = 0x4000_0000;
/// BPF_MAXINSNS.
const MAX_INSTRUCTIONS: usize = 4096;

fn verdict(action: Action) -> u32 {
    match action {
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => 0,
        Action::Trap => 0x0003_0000,
        Action::Errno(e) => 0x0005_0000 | u32::from(e),
        Action::Trace(e) => 0x7ff0_0000 | u32::from(e),
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

/// What to do with one call: conditional rules in order, then a verdict.
#[derive(Debug, Clone, PartialEq)]
struct Body<'a> {
    conditional: Vec<&'a SyscallRule>,
    otherwise: Action,
}

pub fn compile(profile: &Profile) -> Result<Vec<u8>> {
    let native = Arch::native();
    let mut code: Vec<Instruction> = vec![(LOAD, 0, 0, OFFSET_ARCH)];
    let mut archs = vec![native];
    if native == Arch::X86_64 && profile.i386 {
        archs.push(Arch::I386);
    }
    for arch in archs {
        let block = block(profile, arch);
        code.push((IF_EQUAL, 1, 0, arch.audit()));
        code.push((JUMP, 0, 0, block.len() as u32));
        code.extend(block);
    }
    code.push((RETURN, 0, 0, verdict(Action::KillProcess)));
    if code.len() > MAX_INSTRUCTIONS {
        return Err(Error::invalid("seccomp profile: too large for the kernel"));
    }
    Ok(code.into_iter().flat_map(encode).collect())
}

fn encode((code, jt, jf, k): Instruction) -> [u8; 8] {
    let (c, k) = (code.to_ne_bytes(), k.to_ne_bytes());
    [c[0], c[1], jt, jf, k[0], k[1], k[2], k[3]]
}

/// Everything for one architecture; always ends in a verdict.
fn block(profile: &Profile, arch: Arch) -> Vec<Instruction> {
    let mut code = vec![(LOAD, 0, 0, OFFSET_NUMBER)];
    if arch == Arch::X86_64 {
        // x32 calls carry a bit; -1 is a call skipped by a tracer and stays as it is.
        if profile.x32 {
            code.push((IF_AT_LEAST, 0, 2, X32_BIT));
            code.push((IF_EQUAL, 1, 0, u32::MAX));
            code.push((AND, 0, 0, !X32_BIT));
        } else {
            code.push((IF_AT_LEAST, 0, 2, X32_BIT));
            code.push((IF_EQUAL, 1, 0, u32::MAX));
            code.push((RETURN, 0, 0, verdict(Action::KillProcess)));
        }
    }
    code.extend(search(&segments(profile, arch)));
    code
}

/// Sorted (first number, body) with the last reaching to the end of the number space.
fn segments<'a>(profile: &'a Profile, arch: Arch) -> Vec<(u32, Body<'a>)> {
    let numbers: BTreeMap<&str, u32> = table(arch).collect();
    let highest = numbers.values().copied().max().unwrap_or(0);
    let plain = Body { conditional: Vec::new(), otherwise: profile.default };
    let mut bodies: BTreeMap<u32, Body> = BTreeMap::new();
    for rule in profile.rules.iter().filter(|r| r.action != profile.default) {
        for number in rule.names.iter().filter_map(|n| numbers.get(n.as_str())) {
            let body = bodies.entry(*number).or_insert_with(|| plain.clone());
            if !rule.args.is_empty() {
                body.conditional.push(rule);
            } else if body.otherwise == profile.default {
                body.otherwise = rule.action;
            }
        }
    }
    let beyond = match profile.default {
        Action::Errno(_) => Body { conditional: Vec::new(), otherwise: Action::Errno(libc::ENOSYS as u16) },
        _ => plain.clone(),
    };
    let mut segments: Vec<(u32, Body)> = Vec::new();
    let all = (0..=highest).map(|n| (n, bodies.remove(&n).unwrap_or_else(|| plain.clone())));
    for (number, body) in all.chain([(highest + 1, beyond), (u32::MAX, plain.clone())]) {
        if segments.last().is_none_or(|(_, last)| *last != body) {
            segments.push((number, body));
        }
    }
    segments
}

/// Binary search; the accumulator holds the call number.
fn search(segments: &[(u32, Body)]) -> Vec<Instruction> {
    if let [(_, body)] = segments {
        return emit(body);
    }
    let middle = segments.len() / 2;
    let left = search(&segments[..middle]);
    let right = search(&segments[middle..]);
    // Conditional jumps reach 255 instructions; an unconditional one reaches everything.
    let mut code = vec![(IF_AT_LEAST, 0, 1, segments[middle].0), (JUMP, 0, 0, left.len() as u32)];
    code.extend(left);
    code.extend(right);
    code
}

fn emit(body: &Body) -> Vec<Instruction> {
    let mut code = Vec::new();
    for rule in &body.conditional {
        for args in alternatives(&rule.args) {
            // Each check falls through when it holds and jumps over the rest when it does not.
            let checks: Vec<Vec<Check>> = args.iter().map(|a| check(a)).collect();
            let total: usize = checks.iter().map(Vec::len).sum::<usize>() + 1;
            let mut done = 0;
            for part in checks {
                let length = part.len();
                for (i, c) in part.into_iter().enumerate() {
                    // To the end of this check, and to the end of the rule, from the next one.
                    let holds = (length - i - 1) as u8;
                    let fails = (total - done - i - 1) as u8;
                    let to = |target| match target {
                        Target::Next => 0,
                        Target::Holds => holds,
                        Target::Fails => fails,
                    };
                    code.push((c.0, to(c.1), to(c.2), c.3));
                }
                done += length;
            }
            code.push((RETURN, 0, 0, verdict(rule.action)));
        }
    }
    code.push((RETURN, 0, 0, verdict(body.otherwise)));
    code
}

/// Conditions on the same argument are alternatives of each other; otherwise all must hold.
fn alternatives(args: &[Arg]) -> Vec<Vec<&Arg>> {
    let repeated = args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| b.index == a.index));
    if repeated { args.iter().map(|a| vec![a]).collect() } else { vec![args.iter().collect()] }
}

#[derive(Clone, Copy)]
enum Target {
    Next,
    Holds,
    Fails,
}

type Check = (u16, Target, Target, u32);

/// A 64-bit comparison in 32-bit steps: high word first.
fn check(arg: &Arg) -> Vec<Check> {
    use Target::*;
    let low = OFFSET_ARGS + arg.index * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let high = low ^ 4;
    let load = |offset| (LOAD, Next, Next, offset);
    let (value_high, value_low) = ((arg.value >> 32) as u32, arg.value as u32);
    match arg.op {
        Operator::Equal => vec![
            load(high),
            (IF_EQUAL, Next, Fails, value_high),
            load(low),
            (IF_EQUAL, Holds, Fails, value_low),
        ],
        Operator::NotEqual => vec![
            load(high),
            (IF_EQUAL, Next, Holds, value_high),
            load(low),
            (IF_EQUAL, Fails, Holds, value_low),
        ],
        Operator::MaskedEqual => vec![
            load(high),
            (AND, Next, Next, value_high),
            (IF_EQUAL, Next, Fails, (arg.value_two >> 32) as u32),
            load(low),
            (AND, Next, Next, value_low),
            (IF_EQUAL, Holds, Fails, arg.value_two as u32),
        ],
        Operator::Greater | Operator::GreaterOrEqual => {
            let last = if arg.op == Operator::Greater { IF_GREATER } else { IF_AT_LEAST };
            vec![
                load(high),
                (IF_GREATER, Holds, Next, value_high),
                (IF_EQUAL, Next, Fails, value_high),
                load(low),
                (last, Holds, Fails, value_low),
            ]
        }
        Operator::Less | Operator::LessOrEqual => {
            let last = if arg.op == Operator::Less { IF_AT_LEAST } else { IF_GREATER };
            vec![
                load(high),
                (IF_GREATER, Fails, Next, value_high),
                (IF_EQUAL, Next, Holds, value_high),
                load(low),
                (last, Fails, Holds, value_low),
            ]
        }
    }
}
