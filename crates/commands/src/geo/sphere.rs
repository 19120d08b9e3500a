//! Distances on a sphere.

/// Metres from the centre of the earth: the radius that the peers use.
pub(super) const RADIUS: f64 = 6_372_797.560_856;

/// A place, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// Degrees as radians. A multiplication by the quotient, as in the peers: `to_radians` may round otherwise.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

/// Radians as degrees.
pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

impl Point {
    /// Metres to another place, by the haversine formula.
    pub(super) fn distance(self, other: Point) -> f64 {
        let (a, b) = (radians(self.longitude), radians(other.longitude));
        let v = ((b - a) / 2.0).sin();
        if v == 0.0 {
            return self.distance_north(other.latitude);
        }
        let (a, b) = (radians(self.latitude), radians(other.latitude));
        let u = ((b - a) / 2.0).sin();
        2.0 * RADIUS * (u * u + a.cos() * b.cos() * v * v).sqrt().asin()
    }

    /// Metres to another latitude.
    pub(super) fn distance_north(self, latitude: f64) -> f64 {
        RADIUS * (radians(latitude) - radians(self.latitude)).abs()
    }

    /// The place in the middle of several: the direction of the sum of their directions from the earth's centre.
    pub(super) fn middle(points: &[Point]) -> Point {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for point in points {
            let (longitude, latitude) = (radians(point.longitude), radians(point.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2(x.hypot(y))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_lies_in_between() {
        let at = |longitude, latitude| Point { longitude, latitude };
        let middle = Point::middle(&[at(170.0, 10.0), at(-170.0, 10.0)]);
        assert!((middle.longitude.abs() - 180.0).abs() < 1e-9 && middle.latitude > 10.0);
        assert!(Point::middle(&[at(5.0, 5.0)]).distance(at(5.0, 5.0)) < 1e-6);
    }
}
