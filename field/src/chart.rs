//! Line charts of one or more panels that share their axes, as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};

/// Where values lie, and which of them are named.
pub struct Axis {
    name: String,
    log: bool,
    ticks: Vec<(f64, String)>,
}

/// A line.
pub struct Series {
    /// As the legend has it.
    pub name: String,
    /// Red, green, blue.
    pub colour: (u8, u8, u8),
    /// Ascending in x. Without any, the legend leaves it out.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one another.
pub struct Panel {
    /// Above it.
    pub title: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// The whole picture.
pub struct Chart {
    /// In large letters.
    pub title: String,
    /// Below, in small ones.
    pub subtitle: String,
    /// Of all panels.
    pub x: Axis,
    /// Of all panels.
    pub y: Axis,
    /// From left to right.
    pub panels: Vec<Panel>,
}

const SIZE: (u32, u32) = (1000, 460);
const INK: RGBColor = RGBColor(31, 41, 55);
const PALE: RGBColor = RGBColor(229, 231, 235);
const FONT: &str = "sans-serif";

impl Axis {
    /// A logarithmic one, from the first named value to the last.
    pub fn log(name: &str, ticks: &[(f64, &str)]) -> Axis {
        Axis { log: true, ..Axis::ticks(name, ticks) }
    }

    /// A logarithmic one, from 1 to `most` or what is above it.
    pub fn decades(name: &str, most: f64) -> Axis {
        let values = (0..9).map(|exponent| 10f64.powi(exponent));
        let ticks = values.filter(|value| value / 10.0 < most);
        let ticks = ticks.map(|value| (value, value.to_string())).collect();
        Axis { name: name.to_owned(), log: true, ticks }
    }

    /// A linear one, from the first named value to the last.
    pub fn ticks(name: &str, ticks: &[(f64, &str)]) -> Axis {
        let ticks = ticks.iter().map(|&(value, text)| (value, text.to_owned())).collect();
        Axis { name: name.to_owned(), log: false, ticks }
    }

    /// A linear one, from 0 to `most` or a little more, with three to six named values, which are round.
    pub fn up_to(name: &str, most: f64) -> Axis {
        let decade = 10f64.powf((most.max(1.0) / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
        let step = steps.into_iter().find(|step| step * 5.0 >= most).unwrap_or(most);
        let values = (0..=(most / step).ceil() as u32).map(|n| f64::from(n) * step);
        let ticks = values.map(|value| (value, value.to_string())).collect();
        Axis { name: name.to_owned(), log: false, ticks }
    }

    /// From 0 to 1 between the first named value and the last; not beyond.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let ends = [self.ticks.first(), self.ticks.last()];
        let [low, high] = ends.map(|tick| tick.map_or(0.0, |(value, _)| scale(*value)));
        ((scale(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Chart {
    /// Draws it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn draw(&self, path: &Path) -> Result<()> {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        self.fill(&root).map_err(|error| Error::new(format!("{}: {error}", path.display())))
    }

    fn fill<'a>(
        &self,
        root: &Area<'a>,
    ) -> std::result::Result<(), Box<dyn std::error::Error + 'a>> {
        root.fill(&WHITE)?;
        root.draw(&Text::new(
            self.title.as_str(),
            (20, 16),
            (FONT, 22).into_font().style(FontStyle::Bold).color(&INK),
        ))?;
        root.draw(&Text::new(
            self.subtitle.as_str(),
            (20, 44),
            (FONT, 14).into_font().color(&INK),
        ))?;
        let (_, below) = root.split_vertically(66);
        let (panels, legend) = below.split_vertically(SIZE.1 as i32 - 66 - 40);
        for (panel, area) in
            self.panels.iter().zip(panels.split_evenly((1, self.panels.len().max(1))))
        {
            self.panel(panel, &area)?;
        }
        self.legend(&legend)?;
        root.present()?;
        Ok(())
    }

    fn panel<'a>(
        &self,
        panel: &Panel,
        area: &Area<'a>,
    ) -> std::result::Result<(), Box<dyn std::error::Error + 'a>> {
        let text = |size: i32, h, v| (FONT, size).into_font().color(&INK).pos(Pos::new(h, v));
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (width as i32, height as i32);
        let (left, right, top, bottom) = (66, width - 30, 26, height - 50);
        let title = match self.y.name.as_str() {
            "" => panel.title.clone(),
            name => format!("{name}, {}", panel.title),
        };
        area.draw(&Text::new(title, (left, 4), text(15, HPos::Left, VPos::Top)))?;
        for (value, name) in &self.y.ticks {
            let y = bottom - (self.y.place(*value) * f64::from(bottom - top)) as i32;
            area.draw(&PathElement::new([(left, y), (right, y)], PALE))?;
            area.draw(&Text::new(
                name.as_str(),
                (left - 8, y),
                text(13, HPos::Right, VPos::Center),
            ))?;
        }
        for (value, name) in &self.x.ticks {
            let x = left + (self.x.place(*value) * f64::from(right - left)) as i32;
            area.draw(&PathElement::new([(x, bottom), (x, bottom + 5)], INK))?;
            area.draw(&Text::new(
                name.as_str(),
                (x, bottom + 9),
                text(13, HPos::Center, VPos::Top),
            ))?;
        }
        let middle = (left + right) / 2;
        area.draw(&Text::new(
            self.x.name.as_str(),
            (middle, height - 20),
            text(13, HPos::Center, VPos::Top),
        ))?;
        area.draw(&PathElement::new([(left, bottom), (right, bottom)], INK))?;
        for series in &panel.series {
            let (r, g, b) = series.colour;
            let colour = RGBColor(r, g, b);
            let pixel = |&(x, y): &(f64, f64)| {
                let x = left + (self.x.place(x) * f64::from(right - left)) as i32;
                (x, bottom - (self.y.place(y) * f64::from(bottom - top)) as i32)
            };
            let points: Vec<(i32, i32)> = series.points.iter().map(pixel).collect();
            area.draw(&PathElement::new(points.clone(), colour.stroke_width(3)))?;
            for point in points {
                area.draw(&Circle::new(point, 4, colour.filled()))?;
            }
        }
        Ok(())
    }

    /// Each name once, as far as anything was drawn.
    fn legend<'a>(
        &self,
        area: &Area<'a>,
    ) -> std::result::Result<(), Box<dyn std::error::Error + 'a>> {
        let mut named: Vec<(&str, (u8, u8, u8))> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !series.points.is_empty() && !named.iter().any(|(name, _)| *name == series.name) {
                named.push((&series.name, series.colour));
            }
        }
        let mut x = 66;
        for (name, (r, g, b)) in named {
            let colour = RGBColor(r, g, b);
            area.draw(&PathElement::new([(x, 14), (x + 26, 14)], colour.stroke_width(3)))?;
            area.draw(&Circle::new((x + 13, 14), 4, colour.filled()))?;
            let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(name, (x + 34, 14), style))?;
            // About what the letters take.
            x += 34 + name.len() as i32 * 7 + 26;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_between_the_ends() {
        let axis = Axis::log("", &[(1.0, "1"), (100.0, "100")]);
        assert_eq!(
            [0.1, 1.0, 10.0, 100.0, 1e9].map(|value| axis.place(value)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
        assert_eq!(Axis::decades("", 3136.0).ticks.len(), 5);
        assert_eq!(Axis::decades("", 1000.0).ticks.len(), 4);
        let axis = Axis::up_to("", 500.0);
        assert_eq!((axis.ticks.len(), axis.place(250.0)), (6, 0.5));
        for (most, last) in [(1000.0, "1000"), (622.0, "800"), (10_000.0, "10000"), (3.0, "3")] {
            let axis = Axis::up_to("", most);
            assert!((3..=6).contains(&axis.ticks.len()), "{most}: {}", axis.ticks.len());
            assert_eq!(axis.ticks.last().map(|(_, name)| name.as_str()), Some(last));
        }
    }
}
