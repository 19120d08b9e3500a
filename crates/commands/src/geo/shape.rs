//! What a search looks in: a circle, a box or a polygon, and the cells that cover it.

use super::hash::{Area, Cell, STEPS};
use super::sphere::{Point, RADIUS, degrees, radians};

/// A shape; its centre is given separately. Lengths are in metres.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Everything up to a distance.
    Circle { radius: f64 },
    /// Everything up to half of these distances along latitude and longitude.
    Box { width: f64, height: f64 },
    /// What the edges between these corners, straight on a map, enclose.
    Polygon { corners: Vec<Point> },
}

impl Shape {
    /// Metres from the centre to a place, if the shape has it.
    pub(super) fn distance(&self, centre: Point, place: Point) -> Option<f64> {
        match self {
            Shape::Circle { radius } => Some(centre.distance(place)).filter(|distance| distance <= radius),
            Shape::Box { width, height } => {
                // Along the place's latitude: the box is wider on the map where the world is narrower.
                let beside = Point { latitude: place.latitude, ..centre };
                let within = place.distance_north(centre.latitude) <= height / 2.0
                    && place.distance(beside) <= width / 2.0;
                within.then(|| centre.distance(place))
            }
            Shape::Polygon { corners } => encloses(corners, place).then(|| centre.distance(place)),
        }
    }

    /// Cells that cover the shape, each once: the one of the centre and its neighbours, but for those where nothing
    /// can be. For circles and boxes they are those that the peers look at, in their order, since it is the order of
    /// unsorted replies.
    pub(super) fn cells(&self, centre: Point) -> impl Iterator<Item = Cell> + use<> {
        let bounds = self.bounds(centre);
        let centre = match self {
            Shape::Circle { .. } | Shape::Box { .. } => centre,
            // The middle of a polygon around a pole may be beyond what the cells cover.
            Shape::Polygon { .. } => Point { latitude: centre.latitude.clamp(-85.0, 85.0), ..centre },
        };
        let mut steps = steps_for(self.radius(centre), centre.latitude);
        let covers = |steps| Block::around(centre, steps).covers(&bounds);
        match self {
            // The estimate may be one too fine.
            Shape::Circle { .. } | Shape::Box { .. } => steps -= u32::from(steps > 1 && !covers(steps)),
            Shape::Polygon { .. } => {
                while steps > 1 && !covers(steps) {
                    steps -= 1;
                }
            }
        }
        Block::around(centre, steps).useful(bounds, steps)
    }

    /// Metres from the centre to what is farthest.
    fn radius(&self, centre: Point) -> f64 {
        match self {
            Shape::Circle { radius } => *radius,
            Shape::Box { width, height } => {
                let (x, y) = (width / 2.0, height / 2.0);
                (x * x + y * y).sqrt()
            }
            Shape::Polygon { corners } => {
                corners.iter().map(|corner| centre.distance(*corner)).fold(0.0, f64::max)
            }
        }
    }

    /// The longitudes and latitudes that the shape lies within.
    fn bounds(&self, centre: Point) -> Area {
        let (x, y) = match self {
            Shape::Circle { radius } => (*radius, *radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
            Shape::Polygon { corners } => return bounds_of(corners),
        };
        let Point { longitude, latitude } = centre;
        let north = degrees(y / RADIUS);
        // The shape is widest on the map where the world is narrowest: on the side of the nearer pole.
        let farthest = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(x / RADIUS / radians(farthest).cos());
        Area {
            west: longitude - east,
            east: longitude + east,
            south: latitude - north,
            north: latitude + north,
        }
    }
}

fn bounds_of(corners: &[Point]) -> Area {
    let empty =
        Area { west: f64::INFINITY, east: f64::NEG_INFINITY, south: f64::INFINITY, north: f64::NEG_INFINITY };
    corners.iter().fold(empty, |area, corner| Area {
        west: area.west.min(corner.longitude),
        east: area.east.max(corner.longitude),
        south: area.south.min(corner.latitude),
        north: area.north.max(corner.latitude),
    })
}

/// Whether a line from the place to the west crosses the edges an odd number of times.
fn encloses(corners: &[Point], place: Point) -> bool {
    let Some(mut from) = corners.last() else { return false };
    let mut inside = false;
    for to in corners {
        if (from.latitude > place.latitude) != (to.latitude > place.latitude) {
            let share = (place.latitude - to.latitude) / (from.latitude - to.latitude);
            inside ^= place.longitude < to.longitude + share * (from.longitude - to.longitude);
        }
        from = to;
    }
    inside
}

/// How fine cells may be so that nine of them cover a circle.
fn steps_for(radius: f64, latitude: f64) -> u32 {
    /// Half the circumference of the earth at the equator, in metres, on the map that the cells divide.
    const HALF_AROUND: f64 = 20_037_726.37;
    if radius == 0.0 {
        return STEPS;
    }
    let (mut steps, mut reach) = (1, radius);
    while reach < HALF_AROUND {
        reach *= 2.0;
        steps += 1;
    }
    // Towards the poles cells are narrower.
    let narrow = u32::from(latitude.abs() > 66.0) + u32::from(latitude.abs() > 80.0);
    (steps - narrow as i32 - 2).clamp(1, STEPS as i32) as u32
}

/// A cell and those around it.
struct Block(Cell);

impl Block {
    fn around(centre: Point, steps: u32) -> Block {
        Block(Cell::of(centre, steps))
    }

    fn covers(&self, bounds: &Area) -> bool {
        let beside = |east, north| self.0.neighbour(east, north).area();
        beside(0, 1).north >= bounds.north
            && beside(0, -1).south <= bounds.south
            && beside(1, 0).east >= bounds.east
            && beside(-1, 0).west <= bounds.west
    }

    /// The cells that may have something within the bounds. Where the world has few cells, neighbours may be the same.
    fn useful(self, bounds: Area, steps: u32) -> impl Iterator<Item = Cell> {
        const AROUND: [(i32, i32); 8] =
            [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let (centre, area) = (self.0, self.0.area());
        let is_useful = move |(east, north): &(i32, i32)| {
            let beyond = (*north < 0 && area.south < bounds.south)
                || (*north > 0 && area.north > bounds.north)
                || (*east < 0 && area.west < bounds.west)
                || (*east > 0 && area.east > bounds.east);
            steps < 2 || !beyond
        };
        let around =
            AROUND.into_iter().filter(is_useful).map(move |(east, north)| centre.neighbour(east, north));
        let mut last = None;
        std::iter::once(centre).chain(around.filter(move |cell| last.replace(*cell) != Some(*cell)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use proptest::prelude::*;

    fn places() -> impl Strategy<Value = Point> {
        (-180f64..180.0, -85f64..85.0).prop_map(|(longitude, latitude)| Point { longitude, latitude })
    }

    proptest! {
        /// Near the poles and across the date line the peers miss places; polygons are ours.
        #[test]
        fn cells_cover_what_the_shape_has(
            corners in prop::collection::vec(places(), 3..6),
            others in prop::collection::vec(places(), 50),
            radius in 1f64..100_000.0,
        ) {
            let centre = Point::middle(&corners);
            let polygon = Shape::Polygon { corners: corners.clone() };
            let cells: Vec<_> = polygon.cells(centre).map(Cell::scores).collect();
            let is_covered = |cells: &[(f64, f64)], place| {
                cells.iter().filter(|(min, max)| (*min..*max).contains(&hash::score(place))).count() == 1
            };
            for place in others.iter().filter(|place| polygon.distance(centre, **place).is_some()) {
                prop_assert!(is_covered(&cells, *place), "{place:?}");
            }
            let centre = Point { latitude: corners[0].latitude / 2.0, longitude: corners[0].longitude / 2.0 };
            let circle = Shape::Circle { radius };
            let cells: Vec<_> = circle.cells(centre).map(Cell::scores).collect();
            for (i, other) in others.iter().enumerate() {
                let near = Point {
                    longitude: centre.longitude + other.longitude / 180.0,
                    latitude: centre.latitude + other.latitude / 85.0 * (i as f64 / 50.0),
                };
                prop_assert!(circle.distance(centre, near).is_none() || is_covered(&cells, near), "{near:?}");
            }
        }
    }

    #[test]
    fn polygons_have_what_their_edges_enclose() {
        let at = |longitude, latitude| Point { longitude, latitude };
        let notched = [at(0.0, 0.0), at(4.0, 0.0), at(4.0, 4.0), at(2.0, 1.0), at(0.0, 4.0)];
        assert!(
            encloses(&notched, at(0.5, 2.0))
                && encloses(&notched, at(3.5, 2.0))
                && encloses(&notched, at(2.0, 0.5))
        );
        assert!(
            !encloses(&notched, at(2.0, 2.0))
                && !encloses(&notched, at(5.0, 1.0))
                && !encloses(&notched, at(2.0, -1.0))
        );
    }
}
