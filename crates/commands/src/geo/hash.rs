//! Hashes of places: the world is halved again and again, in longitude and latitude in turn, and each bit tells which
//! half. A hash of few steps is a cell; hashes of 26 steps are the scores of places.
//!
//! Bit 0 and every second bit are of the latitude, the others of the longitude, the first halving in the highest bits.
//! Latitudes end where a square map of the world (EPSG:3857) ends.

use super::sphere::Point;

/// Steps of the hash of a place: 52 bits, which a score holds exactly.
pub(super) const STEPS: u32 = 26;

/// An area between longitudes and latitudes, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Area {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

/// Everywhere that a place can be.
pub(super) const WORLD: Area =
    Area { west: -180.0, east: 180.0, south: -85.051_128_78, north: 85.051_128_78 };
/// What hashes as text, which others read too, are about.
const WHOLE_WORLD: Area = Area { south: -90.0, north: 90.0, ..WORLD };

impl Area {
    /// Whether a place lies within, or on the edge.
    pub(super) fn contains(&self, point: Point) -> bool {
        (self.west..=self.east).contains(&point.longitude)
            && (self.south..=self.north).contains(&point.latitude)
    }

    /// The numbers of the column and row, of `2^steps` each, that a place lies in. On the outer edge it is one too
    /// many, as in the peers.
    fn locate(&self, point: Point, steps: u32) -> (u32, u32) {
        let count = (1u64 << steps) as f64;
        let x = (point.longitude - self.west) / (self.east - self.west);
        let y = (point.latitude - self.south) / (self.north - self.south);
        ((x * count) as u32, (y * count) as u32)
    }
}

/// A cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    /// The cell that a place lies in.
    pub(super) fn of(point: Point, steps: u32) -> Cell {
        let (x, y) = WORLD.locate(point, steps);
        Cell { bits: interleave(x, y), steps }
    }

    /// The cell so many columns to the east and rows to the north, around the world if need be.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Cell {
        let (x, y) = split(self.bits);
        let mask = u32::MAX >> (32 - self.steps);
        let step = |n: u32, by: i32| if by == 0 { n } else { n.wrapping_add_signed(by) & mask };
        Cell { bits: interleave(step(x, east), step(y, north)), ..self }
    }

    /// What the cell covers.
    pub(super) fn area(self) -> Area {
        let (x, y) = split(self.bits);
        let count = (1u64 << self.steps) as f64;
        let (width, height) = (WORLD.east - WORLD.west, WORLD.north - WORLD.south);
        let at = |origin: f64, n: f64, size: f64| origin + n / count * size;
        Area {
            west: at(WORLD.west, x.into(), width),
            east: at(WORLD.west, f64::from(x) + 1.0, width),
            south: at(WORLD.south, y.into(), height),
            north: at(WORLD.south, f64::from(y) + 1.0, height),
        }
    }

    /// The scores of the places in the cell: from the first up to, and without, the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }
}

/// The score of a place.
pub(super) fn score(point: Point) -> f64 {
    Cell::of(point, STEPS).bits as f64
}

/// The place that a score stands for: the middle of its cell. Any score stands for one.
pub(super) fn place(score: f64) -> Point {
    let area = Cell { bits: bits(score), steps: STEPS }.area();
    Point {
        longitude: ((area.west + area.east) / 2.0).clamp(WORLD.west, WORLD.east),
        latitude: ((area.south + area.north) / 2.0).clamp(WORLD.south, WORLD.north),
    }
}

/// The text of a place's hash, eleven letters of five bits each. There are 52 bits, so the last letter says nothing.
pub(super) fn text(point: Point) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let (x, y) = WHOLE_WORLD.locate(point, STEPS);
    let bits = interleave(x, y);
    std::array::from_fn(|i| match (2 * STEPS).checked_sub(5 * (i as u32 + 1)) {
        Some(shift) => LETTERS[(bits >> shift) as usize % LETTERS.len()],
        None => LETTERS[0],
    })
}

/// A score as an unsigned integer, as the peers' processors convert what ZADD can have put in their way: negative
/// numbers are taken modulo 2^64, and what fits nowhere has the top bit alone, or no bit if it is too large.
fn bits(score: f64) -> u64 {
    const TOP: f64 = (1u64 << 63) as f64;
    let signed = |n: f64| if (-TOP..TOP).contains(&n) { n as i64 } else { i64::MIN };
    if score < TOP { signed(score).cast_unsigned() } else { signed(score - TOP).cast_unsigned() ^ 1 << 63 }
}

/// Puts the bits of `y` to the even places and those of `x` to the odd ones.
fn interleave(x: u32, y: u32) -> u64 {
    spread(y) | spread(x) << 1
}

/// Undoes [`interleave`].
fn split(bits: u64) -> (u32, u32) {
    (gather(bits >> 1), gather(bits))
}

/// The masks by which groups of bits move apart: halves of 16, 8, 4, 2 and 1 bits.
const GROUPS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

fn spread(n: u32) -> u64 {
    GROUPS.iter().fold(n.into(), |n: u64, (shift, mask)| (n | n << shift) & mask)
}

fn gather(bits: u64) -> u32 {
    let start = bits & GROUPS[4].1;
    let masks = [GROUPS[3].1, GROUPS[2].1, GROUPS[1].1, GROUPS[0].1, 0xffff_ffff];
    masks.iter().enumerate().fold(start, |n, (i, mask)| (n | n >> (1 << i)) & mask) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_interleaved_and_back(x: u32, y: u32) {
            let bits = interleave(x, y);
            prop_assert!((0..32).all(|i| bits >> (2 * i) & 1 == u64::from(y >> i & 1)));
            prop_assert!((0..32).all(|i| bits >> (2 * i + 1) & 1 == u64::from(x >> i & 1)));
            prop_assert_eq!(split(bits), (x, y));
        }

        #[test]
        fn places_lie_in_their_cells(
            longitude in -180f64..180.0, latitude in -85.0f64..85.0, steps in 1..=STEPS,
        ) {
            let point = Point { longitude, latitude };
            let cell = Cell::of(point, steps);
            prop_assert!(cell.area().contains(point));
            let (min, max) = cell.scores();
            prop_assert!((min..max).contains(&score(point)));
            let back = place(score(point));
            prop_assert!(point.distance(back) < 1.0);
            prop_assert_eq!(score(back), score(point));
        }

        #[test]
        fn neighbours_touch(longitude in -179f64..179.0, latitude in -80f64..80.0, steps in 4..=STEPS) {
            let cell = Cell::of(Point { longitude, latitude }, steps);
            prop_assert_eq!(cell.neighbour(1, 1).neighbour(-1, -1), cell);
            let (here, east, north) = (cell.area(), cell.neighbour(1, 0).area(), cell.neighbour(0, 1).area());
            prop_assert!(east.west == here.east || east.west == WORLD.west);
            prop_assert!(north.south == here.north || north.south == WORLD.south);
        }
    }

    #[test]
    fn odd_scores_are_places_too() {
        let corner = Cell::of(Point { longitude: 0.0, latitude: 0.0 }, 1).neighbour(1, 1);
        assert_eq!(corner.area().west, WORLD.west);
        for score in [f64::INFINITY, f64::NEG_INFINITY, -5.0, 1.5, 1e300, -1e300] {
            assert!(WORLD.contains(place(score)));
        }
        assert_eq!(
            (bits(f64::INFINITY), bits(f64::NEG_INFINITY), bits(-5.0)),
            (0, 1 << 63, 5u64.wrapping_neg())
        );
    }
}
