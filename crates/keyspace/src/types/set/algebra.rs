//! Intersection, union and difference of sets in whatever form, without building a set of the keyspace.

use super::{FormRef, Set, SetRef};
use crate::encoding::listpack::Element;
use crate::hash::Hasher;
use crate::types::Space;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher as StdHasher};
use std::ops::ControlFlow;

/// A member of any set, equal to those of other sets with the same text.
struct Member<'a> {
    hash: u64,
    element: Element<'a>,
}

impl<'a> Member<'a> {
    /// The hash is keyed, so that clients cannot choose members that collide.
    fn new(hasher: Hasher, element: Element<'a>) -> Self {
        Member { hash: element.with_bytes(|bytes| hasher.hash(bytes)), element }
    }
}

impl PartialEq for Member<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.element, other.element) {
            (Element::Int(a), Element::Int(b)) => a == b,
            (Element::Bytes(a), Element::Bytes(b)) => a == b,
            (Element::Int(_), Element::Bytes(text)) => self.element.equals(text),
            (Element::Bytes(text), Element::Int(_)) => other.element.equals(text),
        }
    }
}

impl Eq for Member<'_> {}

impl Hash for Member<'_> {
    fn hash<H: StdHasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Hands on what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl StdHasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("members write one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Members of several sets.
type Seen<'a> = HashSet<Member<'a>, BuildHasherDefault<Hashed>>;

impl<'a> SetRef<'a> {
    /// Visits the members that all of at least one sets have, in the order of the smallest set, until `visit` breaks
    /// off. Reorders the sets. O(size of the smallest * number of sets) while none is a long listpack.
    pub fn intersection(sets: &mut [SetRef<'a>], mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>) {
        sets.sort_by_key(|set| set.len());
        let Some((smallest, others)) = sets.split_first() else { return };
        let _ = smallest.try_for_each(|element| {
            if others.iter().all(|set| set.is(smallest) || set.contains_element(element)) {
                return visit(element);
            }
            ControlFlow::Continue(())
        });
    }

    /// Visits every member of any of the sets once: ascending, if all are intsets. O(sum of the sizes).
    pub fn union(sets: &[SetRef<'a>], space: &Space<'_>, mut visit: impl FnMut(Element<'a>)) {
        if sets.iter().all(|set| matches!(set.0, FormRef::Ints(_))) {
            let mut values = Vec::with_capacity(sets.iter().map(SetRef::len).sum());
            sets.iter().for_each(|set| set.for_each(|element| values.extend(element.as_int())));
            values.sort_unstable();
            values.dedup();
            return values.into_iter().for_each(|v| visit(Element::Int(v)));
        }
        let mut sets = sets.to_vec();
        sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
        match &sets[..] {
            [only] => only.for_each(visit),
            [large, small] => {
                large.for_each(&mut visit);
                if !small.is(large) {
                    small.for_each(|element| {
                        if !large.contains_element(element) {
                            visit(element);
                        }
                    });
                }
            }
            sets => {
                let mut seen = Seen::default();
                for set in sets {
                    set.for_each(|element| {
                        if seen.insert(Member::new(space.hasher, element)) {
                            visit(element);
                        }
                    });
                }
            }
        }
    }

    /// Visits the members of `first` that none of the others have, in the order of `first`. The lesser of
    /// O(size of `first` * number of sets) and O(sum of the sizes). Reorders the others.
    pub fn difference(
        first: SetRef<'a>,
        others: &mut [SetRef<'a>],
        space: &Space<'_>,
        visit: impl FnMut(Element<'a>),
    ) {
        SetRef::visit_difference(first, others, space.hasher, visit);
    }

    fn visit_difference(
        first: SetRef<'a>,
        others: &mut [SetRef<'a>],
        hasher: Hasher,
        mut visit: impl FnMut(Element<'a>),
    ) {
        if others.iter().any(|set| set.is(&first)) {
            return;
        }
        if looks_up(&first, others) {
            // The largest is the most likely to have a member.
            others.sort_by_key(|set| std::cmp::Reverse(set.len()));
            return first.for_each(|element| {
                if !others.iter().any(|set| set.contains_element(element)) {
                    visit(element);
                }
            });
        }
        let mut left = Seen::default();
        first.for_each(|element| _ = left.insert(Member::new(hasher, element)));
        for set in others {
            set.for_each(|element| _ = left.remove(&Member::new(hasher, element)));
            if left.is_empty() {
                return;
            }
        }
        first.for_each(|element| {
            if left.contains(&Member::new(hasher, element)) {
                visit(element);
            }
        });
    }
}

impl Set {
    /// The intersection of at least one sets, for a key. Reorders the sets.
    pub fn from_intersection(sets: &mut [SetRef<'_>], space: &mut Space<'_>) -> Set {
        let smallest = sets.iter().min_by_key(|set| set.len());
        let mut result = match smallest {
            Some(SetRef(FormRef::Ints(_))) => Set::of_ints(),
            _ => Set::of_strings(),
        };
        SetRef::intersection(sets, |element| {
            result.add_element(space, element);
            ControlFlow::Continue(())
        });
        result.narrow(space);
        result
    }

    /// The union of sets, in their order, for a key.
    pub fn from_union(sets: &[SetRef<'_>], space: &mut Space<'_>) -> Set {
        let mut result = Set::of_ints();
        for set in sets {
            set.for_each(|element| _ = result.add_element(space, element));
        }
        result
    }

    /// What is in `first` and in none of the others, for a key. If it is cheaper to remove the others' members, the
    /// result has a form that holds all of `first`, as in Redis.
    pub fn from_difference<'a>(first: SetRef<'a>, others: &mut [SetRef<'a>], space: &mut Space<'_>) -> Set {
        let mut result = Set::of_ints();
        if looks_up(&first, others) {
            let hasher = space.hasher;
            SetRef::visit_difference(first, others, hasher, |element| _ = result.add_element(space, element));
            return result;
        }
        first.for_each(|element| _ = result.add_element(space, element));
        for set in others {
            set.for_each(|element| element.with_bytes(|bytes| _ = result.remove(space, bytes)));
            if result.view().is_empty() {
                break;
            }
        }
        result
    }
}

/// Whether a difference is found by looking the members of `first` up in the others, which has the better constant,
/// rather than by removing the others' members from it.
fn looks_up(first: &SetRef<'_>, others: &[SetRef<'_>]) -> bool {
    let all = first.len() + others.iter().map(SetRef::len).sum::<usize>();
    others.iter().any(|set| set.is(first)) || first.len() * (others.len() + 1) / 2 <= all
}
