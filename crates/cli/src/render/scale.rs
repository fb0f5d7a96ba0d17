//! Axes: round bounds, and ticks where a reader expects them.

/// The bounds of an axis; `low < high`, both finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Scale {
    /// Round bounds around `values`, with a span of at least `least_span`; `None` without a finite value.
    /// Starts at 0 when `from_zero` and nothing lies below.
    pub(crate) fn around(values: impl Iterator<Item = f64>, least_span: f64, from_zero: bool) -> Option<Self> {
        let (low, high) = extremes(values)?;
        let low = if from_zero { low.min(0.0) } else { low };
        let missing = (least_span - (high - low)).max(0.0);
        let (low, high) = if from_zero { (low, high + missing) } else { (low - missing / 2.0, high + missing / 2.0) };
        let step = step(high - low, 4);
        let scale = Self { low: (low / step).floor() * step, high: (high / step).ceil() * step };
        // A value so large that a step vanishes beside it is no measurement.
        (scale.high > scale.low).then_some(scale)
    }

    /// Exactly `low..high`; `None` unless both are finite and in order.
    pub(crate) fn exact(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && high > low).then_some(Self { low, high })
    }

    /// Where a value lies, 0 at the lower end and 1 at the upper one; values outside are moved to the ends.
    pub(crate) fn part(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round values on the axis, about `count` of them.
    pub(crate) fn ticks(self, count: u32) -> Vec<f64> {
        let step = step(self.high - self.low, count);
        let first = (self.low / step).ceil();
        let last = (self.high / step).floor();
        // A step is chosen by `count`, so that there are never many.
        (0..=(last - first).clamp(0.0, 100.0) as u32).map(|tick| (first + f64::from(tick)) * step).collect()
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |known, value| match known {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// The round step (1, 2 or 5 times a power of ten) that cuts `span` into about `count` parts.
pub(crate) fn step(span: f64, count: u32) -> f64 {
    let raw = (span / f64::from(count.max(1))).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    let factor = raw / power;
    power
        * match factor {
            f if f <= 1.0 => 1.0,
            f if f <= 2.0 => 2.0,
            f if f <= 5.0 => 5.0,
            _ => 10.0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_hold_every_value() {
        let scale = Scale::around([103.0, 391.0, f64::NAN].into_iter(), 20.0, false).expect("a scale");
        assert_eq!(scale, Scale { low: 100.0, high: 400.0 });
        assert_eq!(Scale::around([7.0, 33.0].into_iter(), 5.0, true), Some(Scale { low: 0.0, high: 40.0 }));
        assert_eq!(Scale::around(std::iter::empty(), 1.0, false), None);
    }

    #[test]
    fn a_constant_has_an_axis_all_the_same() {
        let scale = Scale::around([100.0; 3].into_iter(), 20.0, false).expect("a scale");
        assert!(scale.low < 100.0 && scale.high > 100.0, "{scale:?}");
        assert_eq!(Scale::around([0.0].into_iter(), 10.0, true).map(|scale| scale.low), Some(0.0));
        // Absurd values never make an endless or empty axis.
        for absurd in [f64::MAX, f64::MIN_POSITIVE, 1e300, -1e18] {
            if let Some(scale) = Scale::around([absurd].into_iter(), 1.0, false) {
                assert!(scale.ticks(4).len() <= 101, "{absurd}");
            }
        }
    }

    #[test]
    fn ticks_lie_on_round_values() {
        let scale = Scale { low: 0.0, high: 43.0 };
        assert_eq!(scale.ticks(4), [0.0, 20.0, 40.0]);
        assert_eq!(scale.ticks(5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(scale.part(-5.0), 0.0);
        assert_eq!(scale.part(21.5), 0.5);
        assert_eq!(scale.part(99.0), 1.0);
    }
}
