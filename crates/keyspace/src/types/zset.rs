//! A sorted set: members, each with a score, in the order of score and then of the members' bytes.
//!
//! A small one is packed ([`packed`]), a large one a table and a tree ([`large`]). It becomes large when it has
//! more members, or a longer one, than the limits say; it never becomes packed again.

mod large;
mod packed;
mod range;

use super::{Collection, Limits, Packing, Space};
use crate::encoding::listpack::{Element, Listpack, ListpackRef};
use crate::slab::Bin;
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::snapshot::watch::TableWatch;
use crate::value::{Encoding, Kind};
use large::{Found, Large};
pub use range::{Bounds, LexBound, LexRange, ScoreRange};
use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

/// A sorted set.
#[derive(Debug)]
pub struct SortedSet(Form);

#[derive(Debug)]
enum Form {
    Packed(Listpack),
    Large(Large),
}

/// A sorted set by reference.
#[derive(Clone, Copy, Debug)]
pub struct SortedSetRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Packed(ListpackRef<'a>),
    Large(&'a Large),
}

/// What [`SortedSet::update`] is to do.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScoreUpdate {
    /// Only adds members, never changes a score.
    pub only_new: bool,
    /// Only changes scores, never adds a member.
    pub only_existing: bool,
    /// Changes a score only to a higher one.
    pub only_higher: bool,
    /// Changes a score only to a lower one.
    pub only_lower: bool,
    /// Adds to the score; a new member starts at 0.
    pub increment: bool,
}

/// What [`SortedSet::update`] has done, with the score that was to be stored.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ScoreOutcome {
    /// The member is new.
    Added(f64),
    /// Its score is another one.
    Changed(f64),
    /// Its score is what it was, and stays: a zero keeps its sign, where the one here may have the other (-0 + 0 is 0).
    Same(f64),
    /// The conditions did not hold: nothing was done.
    Refused,
    /// The sum of the old score and the increment is not a number: nothing was done.
    NotANumber,
}

impl ScoreUpdate {
    /// The score that a member gets that has this one.
    #[inline]
    fn next(&self, old: f64, score: f64) -> Result<f64, ScoreOutcome> {
        if self.only_new {
            return Err(ScoreOutcome::Refused);
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Err(ScoreOutcome::NotANumber);
        }
        if (self.only_lower && new >= old) || (self.only_higher && new <= old) {
            return Err(ScoreOutcome::Refused);
        }
        if new == old { Err(ScoreOutcome::Same(new)) } else { Ok(new) }
    }
}

/// Whether a packed set of `len` members, the longest of `longest` bytes, stays packed.
fn fits(limits: &Limits, len: usize, longest: usize) -> bool {
    len <= limits.zset_max_listpack_entries && longest <= limits.zset_max_listpack_value
}

impl SortedSet {
    /// Compares elements as a sorted set orders them. Scores are not NaN.
    pub fn compare(a: (&[u8], f64), b: (&[u8], f64)) -> Ordering {
        a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(b.0))
    }

    /// From elements in any order, with no member twice. They are left in the order of the set.
    pub fn build<M: AsRef<[u8]>>(elements: &mut [(M, f64)], space: &mut Space<'_>) -> SortedSet {
        elements.sort_unstable_by(|a, b| SortedSet::compare((a.0.as_ref(), a.1), (b.0.as_ref(), b.1)));
        let longest = elements.iter().map(|(member, _)| member.as_ref().len()).max().unwrap_or(0);
        if fits(space.limits, elements.len(), longest) {
            let mut pack = Listpack::new();
            elements.iter().for_each(|(member, score)| packed::push(&mut pack, member.as_ref(), *score));
            return SortedSet(Form::Packed(pack));
        }
        let mut large = Large::new(space.hasher);
        elements.iter().for_each(|(member, score)| large.push(space.slab, member.as_ref(), *score));
        SortedSet(Form::Large(large))
    }

    /// From the bytes of a listpack that is one of a sorted set, in order. It becomes large if there are more members than
    /// the limit says.
    pub fn load(bytes: Vec<u8>, space: &mut Space<'_>) -> SortedSet {
        let mut set = SortedSet(Form::Packed(Listpack::from_bytes(bytes)));
        set.prepare(set.len(), space);
        set
    }

    /// The same by reference.
    #[inline]
    pub fn view(&self) -> SortedSetRef<'_> {
        SortedSetRef(match &self.0 {
            Form::Packed(pack) => View::Packed(pack.view()),
            Form::Large(large) => View::Large(large),
        })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the set large if one of `len` members would be.
    pub fn prepare(&mut self, len: usize, space: &mut Space<'_>) {
        if !fits(space.limits, len, 0) {
            self.enlarge(space);
        }
    }

    fn enlarge(&mut self, space: &mut Space<'_>) {
        let Form::Packed(pack) = &self.0 else { return };
        let mut large = Large::new(space.hasher);
        packed::walk(pack.view(), pack.view().first(), false, |member, score| {
            member.with_bytes(|member| large.push(space.slab, member, score));
            ControlFlow::Continue(())
        });
        self.0 = Form::Large(large);
    }

    /// Adds a member, changes its score, or adds to it. `score` is not NaN.
    pub fn update(
        &mut self,
        member: &[u8],
        score: f64,
        how: ScoreUpdate,
        space: &mut Space<'_>,
    ) -> ScoreOutcome {
        match &mut self.0 {
            Form::Packed(pack) => {
                if let Some(pos) = packed::find(pack.view(), member) {
                    return match how.next(packed::score_of(pack.view(), pos), score) {
                        Ok(new) => {
                            packed::remove(pack, pos);
                            packed::insert(pack, member, new);
                            ScoreOutcome::Changed(new)
                        }
                        Err(outcome) => outcome,
                    };
                }
                if how.only_existing {
                    return ScoreOutcome::Refused;
                }
                if fits(space.limits, pack.len() / 2 + 1, member.len()) {
                    packed::insert(pack, member, score);
                } else {
                    self.enlarge(space);
                    return self.update(member, score, how, space);
                }
            }
            Form::Large(large) => {
                let (hash, found) = large.find(member);
                if let Some(found) = found {
                    return match how.next(found.score(), score) {
                        Ok(new) => {
                            large.set_score(found, new);
                            ScoreOutcome::Changed(new)
                        }
                        Err(outcome) => outcome,
                    };
                }
                if how.only_existing {
                    return ScoreOutcome::Refused;
                }
                large.insert(space.slab, hash, member, score);
            }
        }
        ScoreOutcome::Added(score)
    }

    /// Removes a member; returns whether it was there.
    pub fn remove(&mut self, member: &[u8], space: &mut Space<'_>) -> bool {
        match &mut self.0 {
            Form::Packed(pack) => match packed::find(pack.view(), member) {
                Some(pos) => packed::remove(pack, pos),
                None => return false,
            },
            Form::Large(large) => {
                let (_, found): (_, Option<Found>) = large.find(member);
                match found {
                    Some(found) => large.remove(space.slab, found),
                    None => return false,
                }
            }
        }
        true
    }

    /// Removes the elements of a range of ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, space: &mut Space<'_>) {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.is_empty() {
            return;
        }
        match &mut self.0 {
            Form::Packed(pack) => pack.remove_range(2 * ranks.start as i64, 2 * ranks.len()),
            Form::Large(large) => large.remove_ranks(space.slab, ranks),
        }
    }
}

impl<'a> SortedSetRef<'a> {
    pub(crate) fn from_packed(_packing: Packing, bytes: &'a [u8]) -> Self {
        SortedSetRef(View::Packed(ListpackRef::new(bytes)))
    }

    /// The bytes of the listpack, while it is packed.
    pub fn packed(&self) -> Option<&'a [u8]> {
        match self.0 {
            View::Packed(pack) => Some(pack.bytes()),
            View::Large(_) => None,
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            View::Packed(pack) => pack.len() / 2,
            View::Large(large) => large.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0 {
            View::Packed(pack) => packed::find(pack, member).map(|pos| packed::score_of(pack, pos)),
            View::Large(large) => large.score(member),
        }
    }

    /// How many elements come before a member, and its score.
    #[inline]
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.0 {
            View::Packed(pack) => packed::find(pack, member)
                .map(|pos| (packed::rank_of(pack, pos), packed::score_of(pack, pos))),
            View::Large(large) => large.rank(member),
        }
    }

    /// The element at a rank.
    pub fn at(&self, rank: usize) -> Option<(Element<'a>, f64)> {
        match self.0 {
            View::Packed(pack) => {
                let pos = pack.at(2 * rank as i64)?;
                Some((pack.get(pos), packed::score_of(pack, pos)))
            }
            View::Large(large) => large.at(rank).map(|(member, score)| (Element::Bytes(member), score)),
        }
    }

    /// Visits the elements of a range of ranks, in order or (`back`) from the last to the first, until `visit`
    /// breaks. Members of a packed set that are integers come as such.
    #[inline]
    pub fn visit(
        &self,
        ranks: Range<usize>,
        back: bool,
        mut visit: impl FnMut(Element<'a>, f64) -> ControlFlow<()>,
    ) {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.is_empty() {
            return;
        }
        match self.0 {
            View::Packed(pack) => {
                let from = if back { ranks.end - 1 } else { ranks.start };
                let mut left = ranks.len();
                packed::walk(pack, pack.at(2 * from as i64), back, |member, score| {
                    visit(member, score)?;
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            }
            View::Large(large) => {
                large.visit(ranks, back, &mut |member, score| visit(Element::Bytes(member), score));
            }
        }
    }

    /// Visits all elements in order.
    pub fn for_each(&self, mut visit: impl FnMut(Element<'a>, f64)) {
        self.visit(0..self.len(), false, |member, score| {
            visit(member, score);
            ControlFlow::Continue(())
        });
    }

    /// Visits the elements between two bounds, in order or (`back`) from the last to the first, but for the first
    /// `skip` of them, until `visit` breaks. O(log n) to begin with, whatever `skip` is, if the set is large.
    #[inline]
    pub fn visit_range(
        &self,
        bounds: &impl Bounds,
        back: bool,
        skip: usize,
        mut visit: impl FnMut(Element<'a>, f64) -> ControlFlow<()>,
    ) {
        if bounds.is_void() {
            return;
        }
        let within = |member: &[u8], score| {
            if back { bounds.reaches_min(member, score) } else { bounds.reaches_max(member, score) }
        };
        match self.0 {
            View::Packed(pack) => {
                let mut skip = skip;
                packed::walk(pack, packed::first_of(pack, bounds, back), back, |member, score| {
                    if !member.with_bytes(|member| within(member, score)) {
                        return ControlFlow::Break(());
                    }
                    if skip > 0 {
                        skip -= 1;
                        return ControlFlow::Continue(());
                    }
                    visit(member, score)
                });
            }
            View::Large(large) => {
                let (min, max) = bounds.edges();
                let ranks = if back {
                    0..large.rank_of(max).saturating_sub(skip)
                } else {
                    large.rank_of(min).saturating_add(skip)..large.len()
                };
                large.visit(ranks, back, &mut |member, score| {
                    if within(member, score) {
                        visit(Element::Bytes(member), score)
                    } else {
                        ControlFlow::Break(())
                    }
                });
            }
        }
    }

    /// The ranks of the elements between two bounds. O(log n) if the set is large.
    pub fn ranks(&self, bounds: &impl Bounds) -> Range<usize> {
        if bounds.is_void() {
            return 0..0;
        }
        match self.0 {
            View::Packed(pack) => {
                let Some(first) = packed::first_of(pack, bounds, false) else { return 0..0 };
                let start = packed::rank_of(pack, first);
                let mut end = start;
                packed::walk(pack, Some(first), false, |member, score| {
                    if !member.with_bytes(|member| bounds.reaches_max(member, score)) {
                        return ControlFlow::Break(());
                    }
                    end += 1;
                    ControlFlow::Continue(())
                });
                start..end
            }
            View::Large(large) => {
                let (min, max) = bounds.edges();
                let start = large.rank_of(min);
                start..large.rank_of(max).max(start)
            }
        }
    }

    /// One step of a scan: visits some elements, and returns the cursor of the next step, 0 at the end. Every
    /// member that is there from the first step to the last is visited. A packed set is visited as a whole.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Element<'a>, f64)) -> u64 {
        match self.0 {
            View::Packed(_) => {
                self.for_each(visit);
                0
            }
            View::Large(large) => {
                large.scan(cursor, &mut |member, score| visit(Element::Bytes(member), score))
            }
        }
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        match self.0 {
            View::Packed(_) => Encoding::Listpack,
            View::Large(_) => Encoding::Skiplist,
        }
    }

    /// Of a table: how many of its buckets hold how many members, from none on.
    pub fn bucket_loads(&self) -> Option<Vec<usize>> {
        match self.0 {
            View::Packed(_) => None,
            View::Large(large) => Some(large.bucket_loads()),
        }
    }

    /// Bytes taken beside the entry, estimated from `samples` members where it is large; 0: all.
    pub fn memory(&self, samples: usize) -> usize {
        match self.0 {
            View::Packed(pack) => pack.bytes().len(),
            View::Large(large) => large.memory(samples),
        }
    }
}

impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;

    fn empty(_space: &Space<'_>) -> Self {
        SortedSet(Form::Packed(Listpack::new()))
    }

    fn from_packed(_packing: Packing, bytes: Vec<u8>) -> Self {
        SortedSet(Form::Packed(Listpack::from_bytes(bytes)))
    }

    fn packed(&self) -> Option<(Packing, &[u8])> {
        match &self.0 {
            Form::Packed(pack) => Some((Packing::SortedSet, pack.view().bytes())),
            Form::Large(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.0 {
            Form::Packed(pack) => Some(pack.into_bytes()),
            Form::Large(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        SortedSet::is_empty(self)
    }

    fn pieces(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Large(large) => large.len(),
        }
    }

    fn free(self, bin: &mut Bin<'_>) {
        if let Form::Large(large) = self.0 {
            large.free(bin);
        }
    }

    fn duplicate(&self, space: &mut Space<'_>) -> Self {
        SortedSet(match &self.0 {
            Form::Packed(pack) => Form::Packed(pack.clone()),
            Form::Large(large) => Form::Large(large.duplicate(space.slab, space.hasher)),
        })
    }
}

impl Openable for SortedSet {
    fn open(&mut self, _large: usize) {
        if let Form::Large(large) = &mut self.0 {
            large.watch().begin(TableWatch::default());
        }
    }

    fn close(&mut self) {
        if let Form::Large(large) = &mut self.0 {
            large.watch().end();
        }
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Form::Large(large) = &mut self.0 else { return true };
        let is_done = large.walk();
        large.watch().drain(part, is_done);
        is_done
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Form::Large(large) = &mut self.0 {
            large.watch().drain(part, true);
        }
    }
}

#[cfg(test)]
mod tests;
