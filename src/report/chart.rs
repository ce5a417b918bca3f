//! Bars over time as SVG that takes its colours from the page. Nothing in it comes from the log but
//! figures and times.

use std::fmt::Write as _;
use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::series::{Calendar, Interval, Unit};
use super::words;

/// Width of the picture for wide and for narrow pages, in pixels.
const WIDTHS: [u32; 2] = [920, 340];
/// Marks on the axis of time, at most, in each.
const TICKS_MAX: [usize; 2] = [11, 4];
const HEIGHT: u32 = 190;
/// Height of the text, in pixels of the picture.
const TEXT: u32 = 13;

/// Colours that stand for classes of the style sheet.
const BAR: RGBColor = RGBColor(1, 1, 1);
const INK: RGBColor = RGBColor(2, 2, 2);
const GRID: RGBColor = RGBColor(3, 3, 3);
const NAMES: [(&str, &str); 3] = [("#010101", "bar"), ("#020202", "ink"), ("#030303", "grid")];

/// What is drawn.
pub(super) struct Bars<'a> {
    /// For `id` attributes.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// The same in a sentence, with the figures that matter.
    pub description: &'a str,
    /// Which colour.
    pub class: &'a str,
    /// Whether figures are bytes.
    pub bytes: bool,
    /// How long the intervals are.
    pub unit: Unit,
    /// When each interval begins, and its figure.
    pub figures: &'a [(i64, u64)],
    /// Clocks and days.
    pub calendar: &'a Calendar,
}

/// The intervals' starts with one figure of each.
pub(super) fn bars<const N: usize>(intervals: &[Interval<N>], figure: impl Fn(&[u64; N]) -> u64) -> Vec<(i64, u64)> {
    intervals.iter().map(|interval| (interval.start, figure(&interval.figures))).collect()
}

impl Bars<'_> {
    /// The pictures for wide and for narrow pages, as elements `svg`. None where drawing fails, which
    /// leaves the table.
    pub(super) fn draw(&self) -> Option<[String; 2]> {
        let [wide, narrow] = [0, 1].map(|index| {
            let (width, ticks) = (WIDTHS.get(index)?, TICKS_MAX.get(index)?);
            let drawn = self.plot(*width, *ticks).ok()?;
            Some(self.dress(&drawn, *width, ["wide", "narrow"].get(index)?))
        });
        Some([wide?, narrow?])
    }

    fn shown(&self, figure: u64) -> String {
        if self.bytes { words::bytes(figure) } else { words::count(figure) }
    }

    fn plot(&self, width: u32, ticks_max: usize) -> Result<String, Box<dyn std::error::Error>> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, HEIGHT)).into_drawing_area();
            let highest = self.figures.iter().map(|(_, figure)| *figure).max().unwrap_or(0);
            let step = if self.bytes { step_of_bytes(highest) } else { step_of_counts(highest) };
            let steps: Vec<f64> =
                (0..=highest.div_ceil(step).max(1)).map(|n| words::float(n.saturating_mul(step))).collect();
            let top = steps.last().copied().unwrap_or(1.0);
            // An hour begins at its mark; a day is marked in its middle.
            let middle = if self.unit == Unit::Hour { 0.0 } else { 0.5 };
            let ticks: Vec<f64> = self.ticks(ticks_max).into_iter().map(|at| index(at) + middle).collect();
            let count = index(self.figures.len().max(1));
            let text = |anchor| TextStyle::from(("sans-serif", TEXT).into_font()).color(&INK).pos(anchor);
            let below = Pos::new(HPos::Center, VPos::Top);
            let beside = Pos::new(HPos::Right, VPos::Center);
            let mut chart = ChartBuilder::on(&area)
                .margin_top(12)
                .margin_right(34)
                .x_label_area_size(28)
                .y_label_area_size(68)
                .build_cartesian_2d(Axis { end: count, marks: ticks }, Axis { end: top, marks: steps })?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .y_max_light_lines(0)
                .bold_line_style(GRID)
                .axis_style(GRID)
                .x_label_style(text(below))
                .y_label_style(text(beside))
                .x_label_formatter(&|at| self.tick(*at))
                .y_label_formatter(&|figure| self.shown(whole(*figure)))
                .draw()?;
            let gap = if self.figures.len() > 120 { 0.0 } else { 0.12 };
            chart.draw_series(self.figures.iter().enumerate().filter(|(_, (_, figure))| *figure > 0).map(
                |(at, (_, figure))| {
                    let corners = [(index(at) + gap, 0.0), (index(at) + 1.0 - gap, words::float(*figure))];
                    Rectangle::new(corners, BAR.filled())
                },
            ))?;
            area.present()?;
        }
        Ok(svg)
    }

    /// What stands at a mark of the axis of time.
    fn tick(&self, at: f64) -> String {
        let Some((start, _)) = usize::try_from(whole(at.floor())).ok().and_then(|at| self.figures.get(at)) else {
            return String::new();
        };
        let clock = self.calendar.clock(*start);
        let format = match self.unit {
            Unit::Hour if clock.hour() == 0 => "%-d %b",
            Unit::Hour => "%H:%M",
            Unit::Day => "%-d %b",
            Unit::Month => "%b %Y",
            Unit::Year => "%Y",
        };
        clock.strftime(format).to_string()
    }

    /// At which bars the marks of the axis of time stand: as few as fit, at round times.
    fn ticks(&self, most: usize) -> Vec<usize> {
        let steps: &[i64] = match self.unit {
            Unit::Hour => &[1, 2, 3, 6, 12, 24, 48, 96],
            Unit::Day => &[1, 2, 7, 14, 28, 56, 112],
            Unit::Month => &[1, 3, 6, 12, 24, 60, 120],
            Unit::Year => &[1, 2, 5, 10, 20, 50, 100],
        };
        let number = |start: i64| {
            let clock = self.calendar.clock(start);
            // Days since a Monday.
            let day =
                clock.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |day| day.timestamp().as_second().div_euclid(86_400));
            let day = day.saturating_add(3);
            match self.unit {
                Unit::Hour => day.saturating_mul(24).saturating_add(i64::from(clock.hour())),
                Unit::Day => day,
                Unit::Month => i64::from(clock.year())
                    .saturating_mul(12)
                    .saturating_add(i64::from(clock.month()).saturating_sub(1)),
                Unit::Year => i64::from(clock.year()),
            }
        };
        let numbers: Vec<i64> = self.figures.iter().map(|(start, _)| number(*start)).collect();
        let at = |step: i64| -> Vec<usize> {
            let marked = numbers.iter().enumerate().filter(|(_, number)| number.rem_euclid(step) == 0);
            marked.map(|(at, _)| at).collect()
        };
        steps.iter().map(|step| at(*step)).find(|ticks| ticks.len() <= most).unwrap_or_default()
    }

    /// Gives the picture its names, the colours of the page, and each bar its exact figure.
    fn dress(&self, svg: &str, width: u32, form: &str) -> String {
        let mut text = String::with_capacity(svg.len().saturating_mul(2));
        let mut figures = self.figures.iter().filter(|(_, figure)| *figure > 0);
        for line in svg.lines() {
            if line.starts_with("<svg") {
                let (id, class, title) = (self.id, self.class, escaped(self.title));
                let description = escaped(self.description);
                // Writing into a `String` cannot fail.
                let _ = writeln!(
                    text,
                    "<svg class=\"chart {form} {class}\" viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" \
                     aria-labelledby=\"{id}-{form}-title {id}-{form}-desc\">\
                     <title id=\"{id}-{form}-title\">{title}</title><desc id=\"{id}-{form}-desc\">{description}</desc>"
                );
                continue;
            }
            let mut line = line.to_owned();
            let is_bar = line.starts_with("<rect") && line.contains("#010101");
            for (colour, class) in NAMES {
                for attribute in ["fill", "stroke"] {
                    line = line.replace(&format!("{attribute}=\"{colour}\""), &format!("class=\"{class}\""));
                }
            }
            if is_bar && let Some((start, figure)) = figures.next() {
                let when = words::interval(self.calendar, self.unit, *start);
                let exact = if self.bytes {
                    format!("{when}: {} ({} bytes)", words::bytes(*figure), words::count(*figure))
                } else {
                    format!("{when}: {}", words::count(*figure))
                };
                line = line.replace("/>", &format!("><title>{}</title></rect>", escaped(&exact)));
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// An axis from zero that is marked where we say.
struct Axis {
    end: f64,
    marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels of a picture")]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let length = f64::from(to.saturating_sub(from));
        from.saturating_add((length * value / self.end).round() as i32)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        0.0..self.end
    }
}

/// A text within an element.
fn escaped(text: &str) -> String {
    maud::html! { (text) }.into_string()
}

fn index(at: usize) -> f64 {
    words::float(u64::try_from(at).unwrap_or(u64::MAX))
}

/// The whole number of a mark.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "marks are whole, and saturate")]
fn whole(mark: f64) -> u64 {
    mark.round() as u64
}

/// The distance of the marks for counts up to this: 1, 2 or 5 with zeros, so that there are 2 to 5.
fn step_of_counts(highest: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if highest.div_ceil(step) <= 4 || step == u64::MAX {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// The same for bytes: powers of two.
fn step_of_bytes(highest: u64) -> u64 {
    let mut step: u64 = 1;
    while highest.div_ceil(step) > 4 && step < 1 << 62 {
        step = step.saturating_mul(2);
    }
    step
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn drawn(unit: Unit, figures: &[u64]) -> String {
        let calendar = Calendar::of(TimeZone::UTC);
        let mut start = 0;
        let bars: Vec<(i64, u64)> = figures
            .iter()
            .map(|figure| {
                let bar = (start, *figure);
                start = calendar.next(unit, start);
                bar
            })
            .collect();
        let (title, description) = ("Failed logins", "<none>");
        let chart =
            Bars { id: "x", title, description, class: "bad", bytes: false, unit, figures: &bars, calendar: &calendar };
        chart.draw().unwrap().concat()
    }

    #[test]
    fn a_bar_bears_its_exact_figure_and_the_picture_its_names() {
        let svg = drawn(Unit::Day, &[0, 1234, 5]);
        assert_eq!(svg.matches("role=\"img\"").count(), 2);
        assert_eq!(svg.matches("<title>1970-01-02: 1,234</title>").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"bar\"").count(), 4);
        assert!(svg.contains("&lt;none&gt;") && !svg.contains("<none>"));
        assert!(!svg.contains('#') && !svg.contains("style="), "{svg}");
    }

    #[test]
    fn marks_are_few_and_at_round_figures() {
        for highest in [0, 1, 3, 4, 5, 9, 17, 999, 1_000_000, u64::MAX] {
            for step in [step_of_counts(highest), step_of_bytes(highest)] {
                assert!(highest.div_ceil(step) <= 5, "{highest}: {step}");
            }
        }
        assert_eq!((step_of_counts(17), step_of_counts(4000), step_of_bytes(3 << 30)), (5, 1000, 1 << 30));
    }

    #[test]
    fn any_number_of_intervals_can_be_drawn() {
        for unit in [Unit::Hour, Unit::Day, Unit::Month, Unit::Year] {
            for count in [0, 1, 2, 30, 193, 400] {
                let svg = drawn(unit, &vec![u64::MAX; count]);
                assert!(svg.contains("</svg>"));
            }
        }
    }
}
