//! The unified diff that a refused update carries: the old and the new value as lines, with three lines of context.
//!
//! The lines are matched by Ratcliff and Obershelp's method: the longest common run first, then what is left and right
//! of it. That is what Python's and Go's difflib do, and kubectl's users see its result.

use std::collections::HashMap;
use std::fmt::Write;

const CONTEXT: usize = 3;
/// With at least this many lines, those that are repeated more often than in one of a hundred match nothing by
/// themselves.
const POPULAR_FROM: usize = 200;
/// Beyond this many lines only the common beginning and end are matched: matching runs costs more than a line each.
const LINES_MAX: usize = 20_000;

/// What differs, in hunks; empty if nothing does.
pub fn unified(before: &str, after: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&a, &b);
    let mut out = String::new();
    for hunk in hunks(&edits) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let _ = writeln!(out, "@@ -{} +{} @@", range(first.old.0, last.old.1), range(first.new.0, last.new.1));
        for edit in &hunk {
            let (old, new) = (a.get(edit.old.0..edit.old.1), b.get(edit.new.0..edit.new.1));
            if edit.equal {
                for line in old.into_iter().flatten() {
                    let _ = writeln!(out, " {line}");
                }
                continue;
            }
            for line in old.into_iter().flatten() {
                let _ = writeln!(out, "-{line}");
            }
            for line in new.into_iter().flatten() {
                let _ = writeln!(out, "+{line}");
            }
        }
    }
    out
}

/// `start,length` of lines counted from one; the length is left out where it is one.
fn range(from: usize, to: usize) -> String {
    match to - from {
        1 => (from + 1).to_string(),
        0 => format!("{from},0"),
        length => format!("{},{length}", from + 1),
    }
}

/// Lines `old.0..old.1` become `new.0..new.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    equal: bool,
    old: (usize, usize),
    new: (usize, usize),
}

/// Changes that are close share a hunk; each hunk has its context.
fn hunks(edits: &[Edit]) -> Vec<Vec<Edit>> {
    let mut hunks = Vec::new();
    let mut hunk: Vec<Edit> = Vec::new();
    for (i, edit) in edits.iter().enumerate() {
        let mut edit = *edit;
        let length = edit.old.1 - edit.old.0;
        if edit.equal {
            if i == 0 {
                let skipped = length.saturating_sub(CONTEXT);
                edit.old.0 += skipped;
                edit.new.0 += skipped;
            } else if length > 2 * CONTEXT || i + 1 == edits.len() {
                let kept = length.min(CONTEXT);
                let tail = Edit { old: (edit.old.0, edit.old.0 + kept), new: (edit.new.0, edit.new.0 + kept), ..edit };
                hunk.push(tail);
                hunks.push(std::mem::take(&mut hunk));
                edit.old.0 = edit.old.1 - kept;
                edit.new.0 = edit.new.1 - kept;
            }
        }
        hunk.push(edit);
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|edit| !edit.equal));
    hunks
}

/// The whole of both sides, as runs that are equal and runs that are not, in turn.
fn edits(a: &[&str], b: &[&str]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (at_a, at_b, length) in matches(a, b) {
        if at_a > i || at_b > j {
            edits.push(Edit { equal: false, old: (i, at_a), new: (j, at_b) });
        }
        (i, j) = (at_a + length, at_b + length);
        if length > 0 {
            edits.push(Edit { equal: true, old: (at_a, i), new: (at_b, j) });
        }
    }
    edits
}

/// Common runs `(start in a, start in b, length)`, in order and merged where they touch, with an empty one at the end.
fn matches(a: &[&str], b: &[&str]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    if a.len().max(b.len()) > LINES_MAX {
        let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let rest = a.len().min(b.len()) - prefix;
        let suffix = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
        found.push((0, 0, prefix));
        found.push((a.len() - suffix, b.len() - suffix, suffix));
    } else {
        let places = places(b);
        let mut ranges = vec![(0, a.len(), 0, b.len())];
        while let Some((a_from, a_to, b_from, b_to)) = ranges.pop() {
            let (i, j, length) = longest(a, b, &places, (a_from, a_to), (b_from, b_to));
            if length > 0 {
                found.push((i, j, length));
                if a_from < i && b_from < j {
                    ranges.push((a_from, i, b_from, j));
                }
                if i + length < a_to && j + length < b_to {
                    ranges.push((i + length, a_to, j + length, b_to));
                }
            }
        }
        found.sort_unstable();
    }
    let mut merged: Vec<(usize, usize, usize)> = Vec::new();
    for (i, j, length) in found.into_iter().filter(|run| run.2 > 0) {
        match merged.last_mut() {
            Some(last) if last.0 + last.2 == i && last.1 + last.2 == j => last.2 += length,
            _ => merged.push((i, j, length)),
        }
    }
    merged.push((a.len(), b.len(), 0));
    merged
}

/// Where each line of `b` is, without the popular ones.
fn places<'a>(b: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (j, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(j);
    }
    if b.len() >= POPULAR_FROM {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

/// The longest common run within the ranges, the first of several.
fn longest(
    a: &[&str],
    b: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    (a_from, a_to): (usize, usize),
    (b_from, b_to): (usize, usize),
) -> (usize, usize, usize) {
    let mut best = (a_from, b_from, 0);
    // Lengths of the common runs that end at the line before, by their end in `b`.
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for (i, line) in a.iter().enumerate().take(a_to).skip(a_from) {
        let mut now: HashMap<usize, usize> = HashMap::new();
        for &j in places.get(line).into_iter().flatten() {
            if j < b_from {
                continue;
            }
            if j >= b_to {
                break;
            }
            let length = j.checked_sub(1).and_then(|before| ending.get(&before)).copied().unwrap_or(0) + 1;
            now.insert(j, length);
            if length > best.2 {
                best = (i + 1 - length, j + 1 - length, length);
            }
        }
        ending = now;
    }
    // Popular lines extend a run, though they begin none.
    while best.0 > a_from && best.1 > b_from && a[best.0 - 1] == b[best.1 - 1] {
        best = (best.0 - 1, best.1 - 1, best.2 + 1);
    }
    while best.0 + best.2 < a_to && best.1 + best.2 < b_to && a[best.0 + best.2] == b[best.1 + best.2] {
        best.2 += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_has_three_lines_of_context() {
        let before: String = (1..=9).map(|i| format!("{i}\n")).collect();
        let after = before.replace('5', "five");
        assert_eq!(unified(&before, &after), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
        assert_eq!(unified(&before, &before), "");
    }

    #[test]
    fn distant_changes_are_hunks_of_their_own() {
        let before: String = (1..=20).map(|i| format!("{i}\n")).collect();
        let after = before.replacen("2\n", "", 1).replace("19\n", "19\nnew\n");
        assert_eq!(
            unified(&before, &after),
            "@@ -1,5 +1,4 @@\n 1\n-2\n 3\n 4\n 5\n@@ -17,4 +16,5 @@\n 17\n 18\n 19\n+new\n 20\n"
        );
    }

    #[test]
    fn one_side_may_be_empty() {
        assert_eq!(unified("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn very_long_sides_are_matched_at_both_ends() {
        let before: String = (0..LINES_MAX + 5).map(|i| format!("{}\n", i % 7)).collect();
        let after = before.replacen("6\n0\n", "6\nx\n0\n", 1);
        assert_eq!(unified(&before, &after), "@@ -5,6 +5,7 @@\n 4\n 5\n 6\n+x\n 0\n 1\n 2\n");
    }
}
