//! Ranges of a sorted set: by score and by member.

use std::cmp::Ordering;

/// What lies between two bounds. Along the order of a sorted set, elements are first below the lower bound, then
/// within, then above the upper one.
pub trait Bounds {
    /// Whether an element is not below the lower bound.
    fn reaches_min(&self, member: &[u8], score: f64) -> bool;
    /// Whether an element is not above the upper bound.
    fn reaches_max(&self, member: &[u8], score: f64) -> bool;
    /// The lower and the upper bound as places between elements.
    fn edges(&self) -> (Edge<'_>, Edge<'_>);
    /// Whether nothing can lie between the bounds.
    fn is_void(&self) -> bool;
}

/// A place between elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edge<'a> {
    /// Before the first element.
    Start,
    /// Behind the last one.
    End,
    /// Before all elements of this score, or behind them if `behind`.
    Score {
        /// The score.
        score: f64,
        /// On which side of it.
        behind: bool,
    },
    /// The same for a member, among elements of one score.
    Member {
        /// The member.
        member: &'a [u8],
        /// On which side of it.
        behind: bool,
    },
}

/// Scores from `min` to `max`, which are part of the range unless they are exclusive. Neither is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lowest score.
    pub min: f64,
    /// Whether it is left out.
    pub min_exclusive: bool,
    /// The highest score.
    pub max: f64,
    /// Whether it is left out.
    pub max_exclusive: bool,
}

impl Bounds for ScoreRange {
    #[inline]
    fn reaches_min(&self, _member: &[u8], score: f64) -> bool {
        if self.min_exclusive { score > self.min } else { score >= self.min }
    }

    #[inline]
    fn reaches_max(&self, _member: &[u8], score: f64) -> bool {
        if self.max_exclusive { score < self.max } else { score <= self.max }
    }

    fn edges(&self) -> (Edge<'_>, Edge<'_>) {
        (
            Edge::Score { score: self.min, behind: self.min_exclusive },
            Edge::Score { score: self.max, behind: !self.max_exclusive },
        )
    }

    fn is_void(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_exclusive || self.max_exclusive))
    }
}

/// A bound of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Below every member: `-`.
    Lowest,
    /// Above every member: `+`.
    Highest,
    /// This member, which is part of the range: `[member`.
    Inclusive(&'a [u8]),
    /// This member, which is left out: `(member`.
    Exclusive(&'a [u8]),
}

impl LexBound<'_> {
    fn cmp(&self, other: &LexBound<'_>) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> (u8, &[u8]) {
        match self {
            LexBound::Lowest => (0, b""),
            LexBound::Inclusive(m) | LexBound::Exclusive(m) => (1, m),
            LexBound::Highest => (2, b""),
        }
    }
}

/// Members from `min` to `max`, in the order of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower bound.
    pub min: LexBound<'a>,
    /// The upper bound.
    pub max: LexBound<'a>,
}

impl Bounds for LexRange<'_> {
    #[inline]
    fn reaches_min(&self, member: &[u8], _score: f64) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(min) => member >= min,
            LexBound::Exclusive(min) => member > min,
        }
    }

    #[inline]
    fn reaches_max(&self, member: &[u8], _score: f64) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(max) => member <= max,
            LexBound::Exclusive(max) => member < max,
        }
    }

    fn edges(&self) -> (Edge<'_>, Edge<'_>) {
        let min = match self.min {
            LexBound::Lowest => Edge::Start,
            LexBound::Highest => Edge::End,
            LexBound::Inclusive(member) => Edge::Member { member, behind: false },
            LexBound::Exclusive(member) => Edge::Member { member, behind: true },
        };
        let max = match self.max {
            LexBound::Lowest => Edge::Start,
            LexBound::Highest => Edge::End,
            LexBound::Inclusive(member) => Edge::Member { member, behind: true },
            LexBound::Exclusive(member) => Edge::Member { member, behind: false },
        };
        (min, max)
    }

    fn is_void(&self) -> bool {
        let exclusive = |bound| matches!(bound, LexBound::Exclusive(_));
        match self.min.cmp(&self.max) {
            Ordering::Less => false,
            Ordering::Equal => exclusive(self.min) || exclusive(self.max),
            Ordering::Greater => true,
        }
    }
}
