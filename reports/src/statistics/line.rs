//! A straight line through points: what each further instance adds, and what there is without any.

/// A straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// How much the line rises for each further instance.
    pub slope: f64,
    /// The value of the line at zero instances.
    pub intercept: f64,
}

impl Line {
    /// The line of least squares through `points`; nothing unless two points stand at different
    /// places.
    ///
    /// Least squares gives most weight to the points that are furthest apart, here those with the
    /// most instances. So what the kernel rounds or charges in advance for a few instances hardly
    /// turns the line.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (across, up) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - across).powi(2)).sum();
        let together: f64 = points.iter().map(|(x, y)| (x - across) * (y - up)).sum();
        let slope = together / spread;
        (spread > 0.0 && slope.is_finite()).then_some(Self {
            slope,
            intercept: up - slope * across,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_few_points_have_no_line() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(Line::through(&[(1.0, f64::NAN), (2.0, 3.0)]), None);
    }

    #[test]
    fn what_is_off_the_line_on_both_sides_does_not_turn_it() {
        let points = [(1.0, 12.0), (2.0, 13.0), (3.0, 17.0), (4.0, 18.0)];
        let line = Line::through(&points).unwrap();
        assert!((line.slope - 2.2).abs() < 1e-9, "{line:?}");
        assert!((line.intercept - 9.5).abs() < 1e-9, "{line:?}");
    }

    proptest! {
        #[test]
        fn points_on_a_line_give_it_back(slope in -1e6..1e6_f64, intercept in -1e6..1e6_f64) {
            let points = [1.0, 2.0, 4.0, 8.0].map(|x| (x, intercept + slope * x));
            let line = Line::through(&points).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-6 * slope.abs().max(1.0));
            prop_assert!((line.intercept - intercept).abs() < 1e-5 * intercept.abs().max(slope.abs()).max(1.0));
        }
    }
}
