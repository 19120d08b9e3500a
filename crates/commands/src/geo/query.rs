//! The arguments of searches. The six commands share most of them; [`Form`] says which are whose.

use carnelian_keyspace::SortedSetRef;
use carnelian_resp::Argv;

use super::shape::Shape;
use super::sphere::Point;
use super::{hash, metres, number, point};
use crate::args::{Rest, int, is};
use crate::error::Error;

/// Which command it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Of the GEORADIUS family: around a place or a member, which stands at fixed arguments with the radius.
    Radius {
        /// Whether it is a member.
        by_member: bool,
        /// Whether it cannot store.
        read_only: bool,
    },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

impl Form {
    /// The argument that is the key to search in.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    fn first_option(self) -> usize {
        match self {
            Form::Radius { by_member: false, .. } => 6,
            Form::Radius { by_member: true, .. } => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }

    fn is_search(self) -> bool {
        !matches!(self, Form::Radius { .. })
    }
}

/// The order of the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// As found.
    Any,
    /// The nearest first.
    Ascending,
    /// The farthest first.
    Descending,
}

/// Where the centre comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Place,
    Member,
    /// The middle of a polygon.
    Shape,
}

/// A shape with its unit.
struct Around {
    shape: Shape,
    /// Metres of the unit that distances are told in.
    unit: f64,
}

/// What is asked for.
pub(super) struct Query {
    /// The middle of the shape. Without a source there may be none, and none is needed.
    pub(super) centre: Point,
    pub(super) shape: Shape,
    /// Metres of the unit that distances are told in.
    pub(super) unit: f64,
    pub(super) order: Order,
    /// Most results.
    pub(super) count: Option<usize>,
    /// Whether any `count` results will do, and not only the nearest.
    pub(super) any: bool,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_place: bool,
    /// The argument with the key to store in, and whether scores are to be distances.
    pub(super) store: Option<(usize, bool)>,
}

impl Query {
    /// Reads the arguments; `set` is the source if it exists.
    pub(super) fn parse(argv: Argv<'_>, form: Form, set: Option<SortedSetRef<'_>>) -> Result<Query, Error> {
        let mut parser = Parser {
            form,
            set,
            rest: Rest::new(argv, form.first_option()),
            origin: None,
            centre: Point { longitude: 0.0, latitude: 0.0 },
            around: None,
            order: Order::Any,
            count: None,
            any: false,
            with: [false; 3],
            store: (form == Form::SearchStore).then_some((1, false)),
        };
        if let Form::Radius { by_member, .. } = form {
            parser.fixed(argv, by_member)?;
        }
        while let Some(word) = parser.rest.next() {
            if !(parser.output_option(word)? || form.is_search() && parser.shape_option(word)?) {
                return Err(Error::Syntax);
            }
        }
        parser.finish(argv.arg(0))
    }

    /// Whether results come with more than the member.
    pub(super) fn is_detailed(&self) -> bool {
        self.with_distance || self.with_hash || self.with_place
    }
}

struct Parser<'a> {
    form: Form,
    set: Option<SortedSetRef<'a>>,
    rest: Rest<'a>,
    origin: Option<Origin>,
    centre: Point,
    around: Option<Around>,
    order: Order,
    count: Option<usize>,
    any: bool,
    /// Distance, hash, place.
    with: [bool; 3],
    store: Option<(usize, bool)>,
}

impl<'a> Parser<'a> {
    /// The fixed arguments of the GEORADIUS family. Without a source a member cannot be found, and the radius is not
    /// looked at.
    fn fixed(&mut self, argv: Argv<'a>, by_member: bool) -> Result<(), Error> {
        if by_member {
            let Some(set) = self.set else { return Ok(()) };
            self.centre = member(set, argv.arg(2))?;
        } else {
            self.centre = point(argv.arg(2), argv.arg(3))?;
        }
        let first = self.form.first_option();
        self.around = Some(circle(argv.arg(first - 2), argv.arg(first - 1))?);
        Ok(())
    }

    /// An option about the reply, which all commands have. Returns whether `word` is one.
    fn output_option(&mut self, word: &[u8]) -> Result<bool, Error> {
        let stores = matches!(self.form, Form::Radius { read_only: false, .. });
        match () {
            () if is(word, "WITHDIST") => self.with[0] = true,
            () if is(word, "WITHHASH") => self.with[1] = true,
            () if is(word, "WITHCOORD") => self.with[2] = true,
            () if is(word, "ANY") => self.any = true,
            () if is(word, "ASC") => self.order = Order::Ascending,
            () if is(word, "DESC") => self.order = Order::Descending,
            () if is(word, "COUNT") => {
                let count = self.rest.int()?;
                if count <= 0 {
                    return Err(Error::Text("ERR COUNT must be > 0"));
                }
                self.count = Some(count as usize);
            }
            () if stores && (is(word, "STORE") || is(word, "STOREDIST")) => {
                self.store = Some((self.rest.position(), is(word, "STOREDIST")));
                self.rest.value()?;
            }
            () if self.form == Form::SearchStore && is(word, "STOREDIST") => self.store = Some((1, true)),
            () => return Ok(false),
        }
        Ok(true)
    }

    /// An option of GEOSEARCH about where to look. Returns whether `word` is one. Those that exclude each other, and
    /// those that lack arguments, are a syntax error.
    fn shape_option(&mut self, word: &[u8]) -> Result<bool, Error> {
        let left = self.rest.len();
        match () {
            () if is(word, "FROMMEMBER") && left >= 1 && self.may_start_at(Origin::Member) => {
                let name = self.rest.value()?;
                if let Some(set) = self.set {
                    self.centre = member(set, name)?;
                }
                self.origin = Some(Origin::Member);
            }
            () if is(word, "FROMLONLAT") && left >= 2 && self.may_start_at(Origin::Place) => {
                self.centre = point(self.rest.value()?, self.rest.value()?)?;
                self.origin = Some(Origin::Place);
            }
            () if is(word, "BYRADIUS") && left >= 2 && self.may_be(|s| matches!(s, Shape::Circle { .. })) => {
                self.around = Some(circle(self.rest.value()?, self.rest.value()?)?);
            }
            () if is(word, "BYBOX") && left >= 3 && self.may_be(|s| matches!(s, Shape::Box { .. })) => {
                let (width, height) = (self.rest.value()?, self.rest.value()?);
                self.around = Some(rectangle(width, height, self.rest.value()?)?);
            }
            () if is(word, "BYPOLYGON")
                && left >= 1
                && self.may_start_at(Origin::Shape)
                && self.may_be(|s| matches!(s, Shape::Polygon { .. })) =>
            {
                let corners = self.corners()?;
                self.centre = Point::middle(&corners);
                self.origin = Some(Origin::Shape);
                self.around = Some(Around { shape: Shape::Polygon { corners }, unit: 1.0 });
            }
            () => return Ok(false),
        }
        Ok(true)
    }

    /// Whether nothing else has been said about the centre.
    fn may_start_at(&self, origin: Origin) -> bool {
        self.origin.is_none_or(|known| known == origin)
    }

    /// Whether no other kind of shape has been named.
    fn may_be(&self, same: impl Fn(&Shape) -> bool) -> bool {
        self.around.as_ref().is_none_or(|around| same(&around.shape))
    }

    fn corners(&mut self) -> Result<Vec<Point>, Error> {
        const FEWEST: i64 = 3;
        let invalid = Error::Text("ERR invalid number of vertices");
        let count = int(self.rest.value()?).ok().filter(|n| i32::try_from(*n).is_ok()).ok_or(invalid)?;
        if count < FEWEST || self.rest.len() as i64 / 2 < count {
            return Err(Error::Text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"));
        }
        (0..count).map(|_| point(self.rest.value()?, self.rest.value()?)).collect()
    }

    /// Checks what can only be checked at the end. Errors name the command as it was sent.
    fn finish(self, name: &[u8]) -> Result<Query, Error> {
        let [with_distance, with_hash, with_place] = self.with;
        if self.store.is_some() && (with_distance || with_hash || with_place) {
            return Err(Error::Text(if self.form.is_search() {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        if self.form.is_search() && self.origin.is_none() {
            let head = b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(Error::quoting(head, name, b""));
        }
        if self.form.is_search() && self.around.is_none() {
            let head = b"ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(Error::quoting(head, name, b""));
        }
        if self.any && self.count.is_none() {
            return Err(Error::Text("ERR the ANY argument requires COUNT argument"));
        }
        let order = match self.order {
            Order::Any if self.count.is_some() && !self.any => Order::Ascending,
            order => order,
        };
        // Only GEORADIUSBYMEMBER without a source has none, and finds nothing in any.
        let Around { shape, unit } =
            self.around.unwrap_or(Around { shape: Shape::Circle { radius: 0.0 }, unit: 1.0 });
        Ok(Query {
            centre: self.centre,
            shape,
            unit,
            order,
            count: self.count,
            any: self.any,
            with_distance,
            with_hash,
            with_place,
            store: self.store,
        })
    }
}

/// Where a member of the source is.
fn member(set: SortedSetRef<'_>, name: &[u8]) -> Result<Point, Error> {
    let missing = Error::Text("ERR could not decode requested zset member");
    set.score(name).map(hash::place).ok_or(missing)
}

fn circle(radius: &[u8], unit: &[u8]) -> Result<Around, Error> {
    let radius = number(radius).map_err(|_| Error::Text("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(Error::Text("ERR radius cannot be negative"));
    }
    let unit = metres(unit)?;
    Ok(Around { shape: Shape::Circle { radius: radius * unit }, unit })
}

fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<Around, Error> {
    let width = number(width).map_err(|_| Error::Text("ERR need numeric width"))?;
    let height = number(height).map_err(|_| Error::Text("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::Text("ERR height or width cannot be negative"));
    }
    let unit = metres(unit)?;
    Ok(Around { shape: Shape::Box { width: width * unit, height: height * unit }, unit })
}
