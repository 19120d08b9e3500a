//! A small sorted set: a listpack of members and scores, in order.
//!
//! A score that is a whole number of up to 2^62 is an integer element, any other one its shortest decimal text;
//! `-0` becomes 0, as in Redis.

use super::range::Bounds;
use crate::encoding::listpack::{Element, Listpack, ListpackRef, Pos};
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// Whole numbers beyond this are stored as text.
const WHOLE: f64 = (1u64 << 62) as f64;

/// The score that an element is.
#[inline]
fn score_in(element: Element<'_>) -> f64 {
    match element {
        Element::Int(v) => v as f64,
        Element::Bytes(text) => parse(text),
    }
}

/// The score at a place.
#[inline]
pub(super) fn score_at(pack: ListpackRef<'_>, pos: Pos) -> f64 {
    score_in(pack.get(pos))
}

/// The score that a text spells. Texts come from [`with_element`] or have been checked when they were read.
fn parse(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// Calls `f` with the element that a score becomes.
#[inline]
fn with_element<R>(score: f64, f: impl FnOnce(Element<'_>) -> R) -> R {
    let whole = score as i64;
    if whole as f64 == score && score.abs() <= WHOLE {
        return f(Element::Int(whole));
    }
    if score.is_infinite() {
        return f(Element::Bytes(if score > 0.0 { b"inf" } else { b"-inf" }));
    }
    f(Element::Bytes(zmij::Buffer::new().format_finite(score).as_bytes()))
}

/// The place of a member.
#[inline]
pub(super) fn find(pack: ListpackRef<'_>, member: &[u8]) -> Option<Pos> {
    pack.find(pack.first()?, member, 1)
}

/// The place of the score of the member at `pos`.
#[inline]
fn score_pos(pack: ListpackRef<'_>, pos: Pos) -> Pos {
    pack.next(pos).expect("a score follows every member")
}

/// The score of the member at `pos`.
#[inline]
pub(super) fn score_of(pack: ListpackRef<'_>, pos: Pos) -> f64 {
    score_at(pack, score_pos(pack, pos))
}

/// How many members stand before the one at `pos`.
pub(super) fn rank_of(pack: ListpackRef<'_>, pos: Pos) -> usize {
    let (mut at, mut rank) = (pack.first(), 0);
    while let Some(member) = at
        && member < pos
    {
        at = pack.next(score_pos(pack, member));
        rank += 1;
    }
    rank
}

/// Where a member belongs that is not in there: before the one at this place, or at the end.
fn place(pack: ListpackRef<'_>, member: &[u8], score: f64) -> Pos {
    let mut elements = pack.iter();
    loop {
        let pos = elements.pos();
        let (Some(other), Some(other_score)) = (elements.next(), elements.next()) else { return pos };
        let before = match score_in(other_score).partial_cmp(&score) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => other.with_bytes(|other| other < member),
            _ => false,
        };
        if !before {
            return pos;
        }
    }
}

/// Adds a member that is not in there.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let pos = place(pack.view(), member, score);
    with_element(score, |score| pack.insert_pair_before(pos, [Element::new(member), score]));
}

/// Adds a member that comes after all others.
pub(super) fn push(pack: &mut Listpack, member: &[u8], score: f64) {
    pack.push_back(member);
    with_element(score, |element| pack.push_element_back(element));
}

/// Removes the member at `pos`.
pub(super) fn remove(pack: &mut Listpack, pos: Pos) {
    pack.remove_many(pos, 2);
}

/// Visits members from the one at `from` on.
#[inline]
pub(super) fn walk<'a>(
    pack: ListpackRef<'a>,
    from: Option<Pos>,
    back: bool,
    mut visit: impl FnMut(Element<'a>, f64) -> ControlFlow<()>,
) {
    let Some(from) = from else { return };
    if !back {
        let mut elements = pack.iter_from(from);
        while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
            if visit(member, score_in(score)).is_break() {
                return;
            }
        }
        return;
    }
    let mut at = Some(from);
    while let Some(pos) = at {
        if visit(pack.get(pos), score_of(pack, pos)).is_break() {
            return;
        }
        at = before(pack, pos);
    }
}

/// The member before the one at `pos`.
#[inline]
fn before(pack: ListpackRef<'_>, pos: Pos) -> Option<Pos> {
    pack.prev(pos).and_then(|score| pack.prev(score))
}

/// The last member.
pub(super) fn last(pack: ListpackRef<'_>) -> Option<Pos> {
    pack.last().and_then(|score| pack.prev(score))
}

/// The first member of a range, or the last one.
#[inline]
pub(super) fn first_of(pack: ListpackRef<'_>, bounds: &impl Bounds, back: bool) -> Option<Pos> {
    let mut at = if back { last(pack) } else { pack.first() };
    while let Some(pos) = at {
        let behind = score_pos(pack, pos);
        let score = score_at(pack, behind);
        let found = pack.get(pos).with_bytes(|member| {
            if back { bounds.reaches_max(member, score) } else { bounds.reaches_min(member, score) }
        });
        if found {
            return at;
        }
        at = if back { before(pack, pos) } else { pack.next(behind) };
    }
    None
}
