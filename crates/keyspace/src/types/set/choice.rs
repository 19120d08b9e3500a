//! Members chosen at random: to look at, or to take out of the set. Every member, or every combination of so many
//! members, has the same chance.

use super::{Form, FormRef, Set, SetRef};
use crate::encoding::intset::Intset;
use crate::encoding::listpack::{Element, Listpack};
use crate::random::Random;
use crate::slab::Bin;
use crate::types::Space;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;
use std::ops::ControlFlow;

/// Up to this part of a large set is drawn member by member; more is chosen while all are visited.
const DRAWN_PART: usize = 3;
/// Taking so many times as many members as stay, the ones that stay are moved to a new set instead.
const MOVED_TIMES: usize = 5;

/// Chooses `wanted` of `total` things as they come by.
struct Selection {
    wanted: u64,
    total: u64,
}

impl Selection {
    fn new(wanted: usize, total: usize) -> Self {
        Selection { wanted: wanted as u64, total: total as u64 }
    }

    /// Whether the next thing is chosen.
    fn takes(&mut self, random: &mut Random) -> bool {
        if self.wanted == 0 {
            return false;
        }
        let chosen = random.below(self.total) < self.wanted;
        self.total -= 1;
        self.wanted -= u64::from(chosen);
        chosen
    }
}

impl<'a> SetRef<'a> {
    /// A member; `None` if there is none.
    pub fn random(&self, random: &mut Random) -> Option<Element<'a>> {
        if self.is_empty() {
            return None;
        }
        match self.0 {
            FormRef::Ints(set) => Some(Element::Int(set.get(random.below(set.len() as u64) as usize))),
            FormRef::Pack(pack) => {
                let index = random.below(pack.len() as u64) as i64;
                Some(pack.get(pack.at(index).expect("the index is below the length")))
            }
            FormRef::Large(members) => members.sample(&mut || random.next()).map(Element::Bytes),
        }
    }

    /// Visits `count` members, each of them any, so that some may come several times.
    pub fn random_with_repeats(&self, count: u64, random: &mut Random, mut visit: impl FnMut(Element<'a>)) {
        let FormRef::Pack(pack) = self.0 else {
            return (0..count).filter_map(|_| self.random(random)).for_each(visit);
        };
        // Walking to an index takes as long as decoding half of all, so all are decoded once.
        let elements: Vec<_> = pack.iter().collect();
        (0..count).for_each(|_| visit(elements[random.below(elements.len() as u64) as usize]));
    }

    /// Visits `count` different members; all, if there are fewer.
    pub fn random_distinct(&self, count: usize, random: &mut Random, mut visit: impl FnMut(Element<'a>)) {
        let len = self.len();
        if count >= len {
            return self.for_each(visit);
        }
        if let FormRef::Large(members) = self.0
            && count <= len / DRAWN_PART
        {
            let mut drawn: HashSet<*const u8, BuildHasherDefault<DefaultHasher>> = HashSet::default();
            while drawn.len() < count
                && let Some(member) = members.sample(&mut || random.next())
            {
                if drawn.insert(member.as_ptr()) {
                    visit(Element::Bytes(member));
                }
            }
            return;
        }
        let mut selection = Selection::new(count, len);
        let _ = self.try_for_each(|element| {
            if selection.takes(random) {
                visit(element);
            }
            if selection.wanted > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}

impl Set {
    /// Takes out a member and shows it to `visit`.
    pub fn pop(&mut self, space: &mut Space<'_>, visit: &mut dyn FnMut(Element<'_>)) {
        match &mut self.0 {
            Form::Large(members) => {
                let random = &mut *space.random;
                members.pop(space.slab, &mut || random.next(), &mut |bytes| visit(Element::Bytes(bytes)));
            }
            Form::Ints(set) => {
                let index = space.random.below(set.len() as u64) as usize;
                visit(Element::Int(set.view().get(index)));
                set.remove_at(index);
            }
            Form::Pack(pack) => {
                let index = space.random.below(pack.len() as u64) as i64;
                let pos = pack.view().at(index).expect("the index is below the length");
                visit(pack.view().get(pos));
                pack.remove(pos);
            }
        }
    }

    /// Takes out `count` members, fewer than there are, and shows each to `visit`.
    pub fn pop_many(&mut self, space: &mut Space<'_>, count: usize, visit: &mut dyn FnMut(Element<'_>)) {
        let stay = self.view().len() - count;
        if let Form::Pack(pack) = &self.0 {
            self.0 = Form::Pack(split(pack, stay, space.random, visit));
        } else if count >= stay * MOVED_TIMES && !self.is_watched() {
            self.pop_most(space, stay, visit);
        } else {
            (0..count).for_each(|_| self.pop(space, visit));
        }
    }

    /// Takes out all but `stay` members, which move to a new set; that begins small and grows by the usual rules.
    fn pop_most(&mut self, space: &mut Space<'_>, stay: usize, visit: &mut dyn FnMut(Element<'_>)) {
        let mut kept = match &self.0 {
            Form::Ints(_) => Set(Form::Ints(Intset::new())),
            _ => Set(Form::Pack(Listpack::new())),
        };
        let mut moved = Vec::new();
        for _ in 0..stay {
            self.pop(space, &mut |element| {
                moved.clear();
                element.with_bytes(|bytes| moved.extend_from_slice(bytes));
            });
            kept.add(space, &moved);
        }
        self.view().for_each(visit);
        std::mem::replace(self, kept).0.free(&mut Bin::Now(space.slab));
    }
}

/// A listpack of `stay` elements of another one, in their order; the others are shown to `visit`.
fn split(pack: &Listpack, stay: usize, random: &mut Random, visit: &mut dyn FnMut(Element<'_>)) -> Listpack {
    let mut kept = Listpack::with_capacity(pack.size());
    let mut selection = Selection::new(stay, pack.len());
    for element in pack.view() {
        if selection.takes(random) {
            kept.push_element_back(element);
        } else {
            visit(element);
        }
    }
    kept
}
