//! What differs between two objects, as a unified diff of their indented JSON: the end of the message
//! that refuses a change of a Pod's spec.

use serde_json::Value;
use std::fmt::Write;

const CONTEXT: usize = 3;
/// Beyond this many pairs of lines the middle is shown as replaced as a whole.
const MAX_PAIRS: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// How the spec of a Pod changed.
pub(super) fn specs(old: &Value, new: &Value) -> String {
    of("PodSpec", old, new)
}

/// How an object of a core definition changed, its fields in the order in which the API prints them (sorted
/// if there is no such definition).
pub(in crate::kinds) fn of(definition: &str, old: &Value, new: &Value) -> String {
    let print = |spec: &Value| {
        let definition = schema::table().definition(&format!("io.k8s.api.core.v1.{definition}"));
        let plain = || spec.to_string().into_bytes();
        let json = definition.map_or_else(plain, |definition| schema::encode(definition, spec));
        String::from_utf8_lossy(&schema::indent(&json)).into_owned()
    };
    unified(&print(old), &print(new))
}

fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&a, &b);
    let changed: Vec<usize> = (0..edits.len()).filter(|at| edits[*at] != Edit::Keep).collect();
    let mut out = String::new();
    let mut next = 0;
    while let Some(first) = changed.get(next) {
        let mut last = *first;
        while let Some(at) = changed.get(next).filter(|at| **at <= last + 2 * CONTEXT) {
            last = *at;
            next += 1;
        }
        hunk(&a, &b, &edits, first.saturating_sub(CONTEXT), (last + CONTEXT + 1).min(edits.len()), &mut out);
    }
    out
}

fn hunk(a: &[&str], b: &[&str], edits: &[Edit], from: usize, to: usize, out: &mut String) {
    let count = |edits: &[Edit], not: Edit| edits.iter().filter(|edit| **edit != not).count();
    let (mut at_a, mut at_b) = (count(&edits[..from], Edit::Add), count(&edits[..from], Edit::Remove));
    let (len_a, len_b) = (count(&edits[from..to], Edit::Add), count(&edits[from..to], Edit::Remove));
    let range = |start: usize, length: usize| match length {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{length}", start + 1),
    };
    let _infallible = writeln!(out, "@@ -{} +{} @@", range(at_a, len_a), range(at_b, len_b));
    for edit in &edits[from..to] {
        let (mark, line) = match edit {
            Edit::Keep => (' ', a[at_a]),
            Edit::Remove => ('-', a[at_a]),
            Edit::Add => ('+', b[at_b]),
        };
        let _infallible = writeln!(out, "{mark}{line}");
        at_a += usize::from(*edit != Edit::Add);
        at_b += usize::from(*edit != Edit::Remove);
    }
}

/// The shortest way from one list of lines to the other, removals first.
fn edits(a: &[&str], b: &[&str]) -> Vec<Edit> {
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[start..], &b[start..]);
    let end = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&rest_a[..rest_a.len() - end], &rest_b[..rest_b.len() - end]);
    let mut all = vec![Edit::Keep; start];
    if a.len() * b.len() > MAX_PAIRS {
        all.extend(a.iter().map(|_| Edit::Remove).chain(b.iter().map(|_| Edit::Add)));
    } else {
        middle(a, b, &mut all);
    }
    all.extend(vec![Edit::Keep; end]);
    all
}

fn middle(a: &[&str], b: &[&str], out: &mut Vec<Edit>) {
    // The longest common rest from every pair of positions on.
    let width = b.len() + 1;
    let mut longest = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let edit = if i < a.len() && j < b.len() && a[i] == b[j] {
            Edit::Keep
        } else if j == b.len() || i < a.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            Edit::Remove
        } else {
            Edit::Add
        };
        i += usize::from(edit != Edit::Add);
        j += usize::from(edit != Edit::Remove);
        out.push(edit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_stands_in_its_context() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh";
        let new = "a\nb\nc\nd\nX\nf\ng\nh";
        assert_eq!(unified(old, new), "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+X\n f\n g\n h\n");
        assert_eq!(unified(old, old), "");
        assert_eq!(unified("a", "a\nb"), "@@ -1 +1,2 @@\n a\n+b\n");
    }
}
