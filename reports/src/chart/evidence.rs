//! The plots of a claim's card: a line for each figure that the card quotes, with its interval, on
//! a logarithmic axis.
//!
//! A card is narrow on every page, so there is no wide drawing.

use super::axis::Axis;
use super::frame::{Row, Value, draw};
use super::theme::{Ink, apply, ink_of};
use super::{ChartError, Size, compact};
use crate::findings::claims::{Measure, Quote};
use crate::model::{Run, Unit};
use crate::words::units;

/// The end of the axis is at least this many times its beginning: values closer to each other would
/// look far apart.
const LEAST_SPAN: f64 = 3.0;

/// Draws `quotes`, neighbours with the same unit in one plot. A single figure that is no ratio has
/// no plot, since there is nothing to compare it with.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(run: &Run, quotes: &[Quote]) -> Result<Vec<String>, ChartError> {
    let mut plots = Vec::new();
    for quotes in quotes.chunk_by(|one, other| one.measure == other.measure) {
        let measure = quotes[0].measure;
        let positive = quotes
            .iter()
            .filter(|quote| quote.estimate.extent().start > 0.0);
        let positive: Vec<&Quote> = positive.collect();
        if positive.len() > usize::from(measure != Measure::Ratio) {
            plots.push(plot(run, measure, &positive)?);
        }
    }
    Ok(plots)
}

fn plot(run: &Run, measure: Measure, quotes: &[&Quote]) -> Result<String, ChartError> {
    let mut rows = Vec::new();
    let mut marks = Vec::new();
    let mut metric = "";
    for quote in quotes {
        if quote.metric != metric {
            metric = &quote.metric;
            rows.push(Row::Heading(metric.to_owned()));
            marks.push(None);
        }
        rows.push(Row::Target {
            label: quote.target.clone(),
            value: Value::Figure(measure.value(quote.estimate.value)),
        });
        marks.push(Some(quote));
    }
    let tick = |value: &f64| measure.tick(*value);
    let drawing = draw(Size::Narrow, &rows, axis(measure, quotes), &tick, |frame| {
        for (row, quote) in marks.iter().enumerate() {
            let Some(quote) = quote else { continue };
            let extent = quote.estimate.extent();
            if measure == Measure::Ratio {
                frame.mark(row, 1.0)?;
            }
            frame.bar(row, extent.clone(), ink(run, quote))?;
            frame.interval(row, extent, Some(quote.estimate.value))?;
        }
        Ok(())
    })?;
    let description: Vec<&str> = quotes.iter().map(|quote| quote.text.as_str()).collect();
    let drawing = compact::compact(&drawing);
    Ok(apply(&drawing, "card", &description.join("; ")))
}

fn axis(measure: Measure, quotes: &[&Quote]) -> Axis {
    let one = (measure == Measure::Ratio).then_some(1.0);
    let extents = quotes.iter().map(|quote| quote.estimate.extent());
    let low = extents.clone().map(|extent| extent.start).chain(one);
    let high = extents.map(|extent| extent.end).chain(one);
    let (low, high) = (low.fold(f64::INFINITY, f64::min), high.fold(0.0, f64::max));
    let room = (LEAST_SPAN * low / high).sqrt().max(1.0);
    let unit = match measure {
        Measure::In(unit) => unit,
        Measure::Ratio => Unit::Count,
    };
    Axis::logarithmic(unit, low / room, high * room, Size::Narrow.ticks())
}

fn ink(run: &Run, quote: &Quote) -> Ink {
    let mut targets = run.targets.iter();
    let target = targets.find(|target| target.name == quote.target);
    target.map_or(Ink::Plain, |target| ink_of(run, target))
}

impl Measure {
    fn value(self, value: f64) -> String {
        match self {
            Self::In(unit) => units::value(unit, value),
            Self::Ratio => units::ratio(value),
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Self::In(unit) => units::tick(unit, value),
            Self::Ratio => format!("{}×", units::tick(Unit::Count, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::summary::Summary;
    use crate::findings::claims;
    use crate::fixture;
    use crate::statistics::Estimate;
    use crate::words::{Language, Words};

    fn plots(run: &Run, number: usize) -> Vec<String> {
        let cards = claims::cards(&Summary::of(run), &Words::of(Language::English));
        render(run, &cards[number - 1].figures).unwrap()
    }

    #[test]
    fn what_has_nothing_beside_it_is_drawn_only_if_it_is_a_ratio() {
        let run = fixture::run();
        assert!(plots(&run, 1).is_empty(), "one machine");
        assert_eq!(plots(&run, 2).len(), 1, "several containers");
        let ratios = plots(&run, 6);
        assert_eq!(ratios.len(), 1, "a machine's disk beside the container's");
        assert!(ratios[0].contains("1×"));
    }

    #[test]
    fn what_cannot_be_on_a_logarithmic_axis_is_left_out() {
        let quote = |value| Quote {
            text: format!("{value} bytes"),
            metric: String::new(),
            target: "process".into(),
            measure: Measure::In(Unit::Bytes),
            estimate: Estimate {
                value,
                interval: None,
            },
        };
        let run = fixture::run();
        let drawn = render(&run, &[quote(0.0), quote(5.0), quote(5.0)]).unwrap();
        assert_eq!(drawn[0].matches("bytes").count(), 2);
        assert!(render(&run, &[quote(0.0), quote(-1.0)]).unwrap().is_empty());
    }
}
