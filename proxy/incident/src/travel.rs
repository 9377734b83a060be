//! Impossible travel: whether one subject can have been at two places in the time between. By speed, with the
//! uncertainty of both places taken off the distance; a country alone says nothing, and a place that is not known
//! matches nothing.

use std::time::Duration;

use portcullis_config::Timestamp;

/// The mean radius of the Earth.
const EARTH_KM: f64 = 6371.0;

/// A place, as a geographic database gives it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The radius, in kilometres, in which it may really be.
    pub accuracy_km: f64,
}

/// What is taken for impossible.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TravelRule {
    /// Shorter ways are never remarkable.
    pub distance_min_km: f64,
    /// Faster is impossible.
    pub speed_max_km_per_hour: f64,
}

impl Default for TravelRule {
    /// 300 km and 950 km/h: an airliner, gate to gate, is slower.
    fn default() -> Self {
        Self { distance_min_km: 300.0, speed_max_km_per_hour: 950.0 }
    }
}

impl TravelRule {
    /// Says whether two places are far enough apart to be told apart.
    #[must_use]
    pub fn is_far(&self, from: &Place, to: &Place) -> bool {
        let distance = from.distance_km(to) - from.accuracy_km - to.accuracy_km;
        distance.is_finite() && distance >= self.distance_min_km
    }

    /// Says whether nobody can have gone from one place at one time to the other at the other. The order of the two
    /// does not matter; two moments that are the same allow no way at all.
    #[must_use]
    pub fn is_impossible(&self, from: (Place, Timestamp), to: (Place, Timestamp)) -> bool {
        if !self.is_far(&from.0, &to.0) {
            return false;
        }
        let distance = from.0.distance_km(&to.0) - from.0.accuracy_km - to.0.accuracy_km;
        let time: Duration = to.1.since(from.1).max(from.1.since(to.1));
        distance > self.speed_max_km_per_hour * (time.as_secs_f64() / 3600.0)
    }
}

impl Place {
    /// Returns the great-circle distance.
    #[must_use]
    pub fn distance_km(&self, other: &Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = (other.longitude - self.longitude).to_radians();
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let chord = half(b - a) + a.cos() * b.cos() * half(across);
        2.0 * EARTH_KM * chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: (f64, f64) = (48.86, 2.35);
    const BRUSSELS: (f64, f64) = (50.85, 4.35);
    const TOKYO: (f64, f64) = (35.68, 139.69);
    const LONDON: (f64, f64) = (51.51, -0.13);
    const NEW_YORK: (f64, f64) = (40.71, -74.01);
    const SUVA: (f64, f64) = (-18.14, 178.44);
    const APIA: (f64, f64) = (-13.83, -171.76);

    fn place((latitude, longitude): (f64, f64), accuracy_km: f64) -> Place {
        Place { latitude, longitude, accuracy_km }
    }

    #[test]
    fn journeys_that_people_make_are_possible_and_others_are_not() {
        let hour = 3600;
        let cases = [
            ("Paris to Brussels by train", PARIS, BRUSSELS, 10.0, hour * 3 / 2, false),
            ("Paris to Brussels at once", PARIS, BRUSSELS, 10.0, 0, false),
            ("the same place at once", TOKYO, TOKYO, 1.0, 0, false),
            ("London to New York in two hours", LONDON, NEW_YORK, 20.0, 2 * hour, true),
            ("London to New York by air", LONDON, NEW_YORK, 20.0, 8 * hour, false),
            ("London to Tokyo at once", LONDON, TOKYO, 20.0, 0, true),
            ("London to Tokyo in a day", LONDON, TOKYO, 20.0, 24 * hour, false),
            (
                "Suva to Apia over the date line in an hour and a half",
                SUVA,
                APIA,
                10.0,
                5400,
                false,
            ),
            ("Suva to Apia in a minute", SUVA, APIA, 10.0, 60, true),
            ("over the pole, which is one place", (90.0, 0.0), (90.0, 180.0), 0.0, 0, false),
            ("pole to pole in ten hours", (90.0, 0.0), (-90.0, 0.0), 0.0, 10 * hour, true),
            ("a country for a place", LONDON, NEW_YORK, 3000.0, hour, false),
        ];
        let rule = TravelRule::default();
        let start = Timestamp::from_secs(1_800_000_000);
        for (name, from, to, accuracy, secs, expected) in cases {
            let from = (place(from, accuracy), start);
            let to = (place(to, accuracy), start.plus(Duration::from_secs(secs)));
            assert_eq!(rule.is_impossible(from, to), expected, "{name}");
            assert_eq!(rule.is_impossible(to, from), expected, "{name}, clocks in disorder");
        }
    }

    #[test]
    fn distances_are_those_of_the_map() {
        let distance = |a, b| place(a, 0.0).distance_km(&place(b, 0.0));
        for (a, b, expected) in
            [(PARIS, BRUSSELS, 264.0), (LONDON, NEW_YORK, 5570.0), (SUVA, APIA, 1145.0)]
        {
            assert!((distance(a, b) - expected).abs() < 15.0, "{} {expected}", distance(a, b));
        }
        let nowhere = place((f64::NAN, 0.0), 0.0);
        let now = Timestamp::from_secs(0);
        assert!(!TravelRule::default().is_impossible((nowhere, now), (place(PARIS, 0.0), now)));
    }
}
