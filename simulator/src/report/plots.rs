//! The pictures of a report. Axes are whole numbers of what was measured; labels turn them into units.

use std::{collections::BTreeMap, io, ops::Range};

use plotters::{coord::Shift, drawing::DrawingAreaErrorKind, prelude::*, style::RGBColor};

use super::{
    curve::CurvePoint,
    timeline::{FaultKind, Timeline},
};
use crate::measure::{Figures, LatencyFigures, Level, NodeFigures, Traffic};

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot cannot be drawn")]
pub struct PlotError(#[from] DrawingAreaErrorKind<io::Error>);

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// Okabe and Ito's colours, which people with any colour vision can tell apart.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(148, 132, 0),
];
const GREY: RGBColor = RGBColor(150, 150, 150);
const WIDTH: u32 = 960;
/// Points of a line; more cannot be told apart.
const POINTS_MAX: usize = 400;
/// Validators that get a line in a legend.
const NAMED_MAX: usize = 8;
const LEGEND_WIDTH: i32 = 170;
const FONT: (&str, u32) = ("sans-serif", 14);
const SMALL: (&str, u32) = ("sans-serif", 12);

fn svg(height: u32, draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> Result<String, PlotError> {
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        canvas.fill(&WHITE)?;
        draw(&canvas)?;
        canvas.present()?;
    }
    Ok(text)
}

fn color(index: usize) -> RGBColor {
    PALETTE.get(index % PALETTE.len()).copied().unwrap_or(GREY)
}

/// A thousandth of something, with a decimal if it has one.
fn thousandth(value: u64) -> String {
    match value % 1_000 {
        0 => (value / 1_000).to_string(),
        rest => format!("{}.{}", value / 1_000, rest / 100),
    }
}

/// What a thousand or a million bytes is called, whichever suits `most`.
const fn unit_of_bytes(most: u64) -> (&'static str, u64) {
    if most < 5_000_000 { ("kB", 1) } else { ("MB", 1_000) }
}

/// A range that holds `most`, with room above it.
fn up_to(most: u64) -> Range<u64> {
    0..most.saturating_add(most / 20).saturating_add(1)
}

/// Kinds of faults, the one that hides none of the others first.
const FAULT_KINDS: [FaultKind; 6] = [
    FaultKind::FeeSpike,
    FaultKind::L1Outage,
    FaultKind::Crash,
    FaultKind::FullDisk,
    FaultKind::Partition,
    FaultKind::Byzantine,
];

const fn fault_color(kind: FaultKind) -> RGBColor {
    match kind {
        FaultKind::Crash => RGBColor(213, 94, 0),
        FaultKind::Partition => RGBColor(230, 159, 0),
        FaultKind::FullDisk => RGBColor(86, 180, 233),
        FaultKind::L1Outage => RGBColor(148, 132, 0),
        FaultKind::FeeSpike => RGBColor(0, 114, 178),
        FaultKind::Byzantine => RGBColor(204, 121, 167),
    }
}

const fn fault_name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Crash => "down",
        FaultKind::Partition => "cut off",
        FaultKind::FullDisk => "disk full",
        FaultKind::L1Outage => "no L1",
        FaultKind::FeeSpike => "dear L1",
        FaultKind::Byzantine => "misbehaves",
    }
}

/// Heights of every validator over time, above who was faulty when.
pub(super) fn heights(timeline: &Timeline, elapsed_ms: u64) -> Result<String, PlotError> {
    if timeline.faults.is_empty() {
        return svg(380, |canvas| heights_above(canvas, timeline, elapsed_ms));
    }
    let lanes = u32::try_from(timeline.decided.len()).unwrap_or(u32::MAX);
    let lane = if lanes > 32 { 5 } else { 16 };
    let faults = lanes.saturating_mul(lane).saturating_add(70).clamp(140, 700);
    svg(faults.saturating_add(380), |canvas| {
        let (above, below) = canvas.split_vertically(380);
        heights_above(&above, timeline, elapsed_ms)?;
        faults_below(&below, timeline, elapsed_ms)
    })
}

fn heights_above(canvas: &Canvas<'_>, timeline: &Timeline, elapsed_ms: u64) -> Drawn {
    let last = |points: &Vec<(u64, u64)>| points.last().map_or(0, |(_, height)| *height);
    let most = timeline.decided.iter().map(last).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(canvas)
        .margin(12)
        .margin_right(LEGEND_WIDTH + 12)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(up_to(elapsed_ms), up_to(most))?;
    chart
        .configure_mesh()
        .x_desc("virtual time (s)")
        .y_desc("decided height")
        .x_label_formatter(&|ms| thousandth(*ms))
        .label_style(FONT)
        .light_line_style(WHITE)
        .draw()?;
    for fault in &timeline.faults {
        if fault.kind == FaultKind::Byzantine {
            continue;
        }
        let until = fault.until_ms.unwrap_or(elapsed_ms).min(elapsed_ms);
        let from = fault.from_ms.min(elapsed_ms);
        let shade = fault_color(fault.kind).mix(0.10).filled();
        chart.draw_series([Rectangle::new([(from, 0), (until, up_to(most).end)], shade)])?;
    }
    let named = timeline.decided.len() <= NAMED_MAX;
    for (index, points) in timeline.decided.iter().enumerate() {
        let every = points.len().div_ceil(POINTS_MAX).max(1);
        let line = color(index).stroke_width(if named { 2 } else { 1 });
        let line = LineSeries::new(points.iter().step_by(every).copied(), line);
        chart.draw_series(line)?;
    }
    let names =
        (0..timeline.decided.len()).map(|index| (format!("validator {index}"), color(index)));
    let many = vec![("one line per validator".to_owned(), GREY)];
    legend(canvas, &if named { names.collect() } else { many })
}

fn faults_below(canvas: &Canvas<'_>, timeline: &Timeline, elapsed_ms: u64) -> Drawn {
    let lanes = u32::try_from(timeline.decided.len()).unwrap_or(u32::MAX);
    let labels = usize::try_from(lanes).unwrap_or(0).min(17);
    let mut chart = ChartBuilder::on(canvas)
        .margin(12)
        .margin_right(LEGEND_WIDTH + 12)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(up_to(elapsed_ms), (0..lanes.saturating_sub(1)).into_segmented())?;
    chart
        .configure_mesh()
        .x_desc("virtual time (s)")
        .y_desc("validator")
        .x_label_formatter(&|ms| thousandth(*ms))
        .y_label_formatter(&segment_name)
        .y_labels(labels.max(2))
        .label_style(FONT)
        .light_line_style(WHITE)
        .draw()?;
    for kind in FAULT_KINDS.into_iter().rev() {
        let spans = timeline.faults.iter().filter(|fault| fault.kind == kind);
        let bars = spans.flat_map(|fault| {
            let until = fault.until_ms.unwrap_or(elapsed_ms).min(elapsed_ms);
            let from = fault.from_ms.min(elapsed_ms);
            fault.validators.iter().map(move |validator| {
                let lane = u32::from(*validator);
                let corners = [
                    (from, SegmentValue::Exact(lane)),
                    (until, SegmentValue::Exact(lane.saturating_add(1))),
                ];
                let mut bar = Rectangle::new(corners, fault_color(kind).filled());
                bar.set_margin(2, 2, 0, 0);
                bar
            })
        });
        chart.draw_series(bars)?;
    }
    legend(canvas, &FAULT_KINDS.map(|kind| (fault_name(kind).to_owned(), fault_color(kind))))
}

fn segment_name(value: &SegmentValue<u32>) -> String {
    match value {
        SegmentValue::Exact(index) | SegmentValue::CenterOf(index) => index.to_string(),
        SegmentValue::Last => String::new(),
    }
}

/// What the colours mean, beside the picture, where it covers nothing.
fn legend(canvas: &Canvas<'_>, entries: &[(String, RGBColor)]) -> Drawn {
    let left = i32::try_from(WIDTH).unwrap_or(0).saturating_sub(LEGEND_WIDTH);
    for (row, (name, fill)) in (0_i32..).zip(entries) {
        let y = row.saturating_mul(20).saturating_add(20);
        canvas.draw(&Rectangle::new([(left, y), (left + 14, y + 12)], fill.filled()))?;
        canvas.draw(&Text::new(name.as_str(), (left + 20, y), SMALL))?;
    }
    Ok(())
}

/// What a level is called.
pub(super) const fn level_name(level: Level) -> &'static str {
    match level {
        Level::BundleReceived => "bundle received",
        Level::BundleOrdered => "bundle ordered",
        Level::BundleRevealed => "bundle revealed",
        Level::BlockDecided => "block decided",
        Level::BlockRevealed => "block revealed",
    }
}

type Percentile = fn(&LatencyFigures) -> u64;

/// Percentiles of each level in each region, in milliseconds.
pub(super) fn latencies(figures: &Figures) -> Result<String, PlotError> {
    // The first row is the lowest one.
    let rows: Vec<&LatencyFigures> = figures.latencies.iter().rev().collect();
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let most = rows.iter().map(|row| row.p99_us).max().unwrap_or(0);
    let name = |value: &SegmentValue<u32>| match value {
        SegmentValue::CenterOf(index) | SegmentValue::Exact(index) => {
            let row = usize::try_from(*index).ok().and_then(|index| rows.get(index));
            row.map_or_else(String::new, |row| format!("{}, {}", level_name(row.level), row.region))
        }
        SegmentValue::Last => String::new(),
    };
    svg(count.saturating_mul(24).saturating_add(90), |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(12)
            .margin_right(LEGEND_WIDTH + 12)
            .margin_right(LEGEND_WIDTH + 12)
            .set_label_area_size(LabelAreaPosition::Left, 220)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(up_to(most), (0..count.saturating_sub(1)).into_segmented())?;
        chart
            .configure_mesh()
            .x_desc("milliseconds")
            .x_label_formatter(&|us| thousandth(*us))
            .y_label_formatter(&name)
            .y_labels(rows.len().saturating_add(1))
            .label_style(FONT)
            .light_line_style(WHITE)
            .draw()?;
        let lane = |index: usize| SegmentValue::CenterOf(u32::try_from(index).unwrap_or(0));
        chart.draw_series(rows.iter().enumerate().map(|(index, row)| {
            let ends = [(row.p50_us, lane(index)), (row.p99_us, lane(index))];
            PathElement::new(ends, GREY.stroke_width(3))
        }))?;
        let marks: [(&str, Percentile); 3] =
            [("p50", |row| row.p50_us), ("p90", |row| row.p90_us), ("p99", |row| row.p99_us)];
        for (mark, (_, at)) in marks.into_iter().enumerate() {
            let dots = rows
                .iter()
                .enumerate()
                .map(|(index, row)| Circle::new((at(row), lane(index)), 5, color(mark).filled()));
            chart.draw_series(dots)?;
        }
        let names = marks.into_iter().enumerate();
        let names: Vec<_> = names.map(|(mark, (name, _))| (name.to_owned(), color(mark))).collect();
        legend(canvas, &names)
    })
}

/// Bytes of each validator, by kind of message: what it sent, above what it received.
pub(super) fn traffic(figures: &Figures) -> Result<String, PlotError> {
    let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (kind, traffic) in figures.nodes.iter().flat_map(|node| &node.sent) {
        let total = totals.entry(*kind).or_default();
        *total = total.saturating_add(traffic.bytes);
    }
    let mut kinds: Vec<_> = totals.into_iter().map(|(kind, bytes)| (bytes, kind)).collect();
    kinds.sort_unstable_by(|a, b| b.cmp(a));
    let kinds: Vec<_> = kinds.iter().take(PALETTE.len()).map(|(_, kind)| *kind).collect();
    svg(640, |canvas| {
        let (above, below) = canvas.split_vertically(320);
        bars(&above, &figures.nodes, &kinds, "sent", |node| &node.sent)?;
        bars(&below, &figures.nodes, &kinds, "received", |node| &node.received)
    })
}

type ByKind = BTreeMap<&'static str, Traffic>;

fn bars(
    canvas: &Canvas<'_>,
    nodes: &[NodeFigures],
    kinds: &[&'static str],
    what: &str,
    of: fn(&NodeFigures) -> &ByKind,
) -> Drawn {
    let total = |node: &NodeFigures| of(node).values().map(|traffic| traffic.bytes).sum::<u64>();
    let most = nodes.iter().map(total).max().unwrap_or(0);
    let (unit, scale) = unit_of_bytes(most);
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let mut chart = ChartBuilder::on(canvas)
        .margin(12)
        .margin_right(LEGEND_WIDTH + 12)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d((0..count.saturating_sub(1)).into_segmented(), up_to(most))?;
    chart
        .configure_mesh()
        .x_desc("validator")
        .y_desc(format!("{unit} {what}"))
        .x_label_formatter(&segment_name)
        .x_labels(nodes.len().clamp(2, 25))
        .y_label_formatter(&|bytes| thousandth(*bytes / scale))
        .label_style(FONT)
        .disable_x_mesh()
        .light_line_style(WHITE)
        .draw()?;
    let mut below: Vec<u64> = vec![0; nodes.len()];
    let last = kinds.len();
    for (kind, name) in kinds.iter().copied().chain(["other"]).enumerate() {
        let fill = if kind == last { GREY } else { color(kind) };
        let mut stacked = Vec::new();
        for ((index, node), base) in (0_u32..).zip(nodes).zip(&mut below) {
            let bytes = if kind == last {
                total(node).saturating_sub(*base)
            } else {
                of(node).get(name).map_or(0, |traffic| traffic.bytes)
            };
            let top = base.saturating_add(bytes);
            let next = SegmentValue::Exact(index.saturating_add(1));
            let corners = [(SegmentValue::Exact(index), *base), (next, top)];
            let mut bar = Rectangle::new(corners, fill.filled());
            let gap = if nodes.len() > 40 { 0 } else { 3 };
            bar.set_margin(0, 0, gap, gap);
            stacked.push(bar);
            *base = top;
        }
        chart.draw_series(stacked)?;
    }
    let names = kinds.iter().copied().chain(["other"]).enumerate();
    let names =
        names.map(|(kind, name)| (name.to_owned(), if kind == last { GREY } else { color(kind) }));
    legend(canvas, &names.collect::<Vec<_>>())
}

/// From a height's decision to its opening, in milliseconds.
pub(super) fn opening(figures: &Figures) -> Result<String, PlotError> {
    let opened = figures.heights.iter().filter(|height| height.revealed_us > 0);
    let took: Vec<(u64, u64)> = opened
        .map(|height| (height.height, height.revealed_us.saturating_sub(height.decided_us)))
        .collect();
    let last = took.iter().map(|(height, _)| *height).max().unwrap_or(0);
    let most = took.iter().map(|(_, took)| *took).max().unwrap_or(0);
    svg(300, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(12)
            .margin_right(LEGEND_WIDTH + 12)
            .margin_right(LEGEND_WIDTH + 12)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(up_to(last), up_to(most))?;
        chart
            .configure_mesh()
            .x_desc("height")
            .y_desc("decided to revealed (ms)")
            .y_label_formatter(&|us| thousandth(*us))
            .label_style(FONT)
            .light_line_style(WHITE)
            .draw()?;
        let dots = took.iter().map(|point| Circle::new(*point, 2, color(0).filled()));
        chart.draw_series(dots)?;
        Ok(())
    })
}

/// Latency against throughput, a line for each committee.
pub(super) fn curve(points: &[CurvePoint]) -> Result<String, PlotError> {
    let widest = points.iter().map(|point| point.revealed_per_s).max().unwrap_or(0);
    let most = points.iter().map(|point| point.p99_us).max().unwrap_or(0);
    let mut committees: BTreeMap<u16, Vec<&CurvePoint>> = BTreeMap::new();
    for point in points {
        committees.entry(point.validators).or_default().push(point);
    }
    svg(460, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(12)
            .margin_right(LEGEND_WIDTH + 12)
            .margin_right(LEGEND_WIDTH + 12)
            .set_label_area_size(LabelAreaPosition::Left, 72)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(up_to(widest), up_to(most))?;
        chart
            .configure_mesh()
            .x_desc("bundles revealed per second of virtual time")
            .y_desc("from submission to reveal (ms)")
            .y_label_formatter(&|us| thousandth(*us))
            .label_style(FONT)
            .light_line_style(WHITE)
            .draw()?;
        for (index, points) in committees.values().enumerate() {
            let halves = points.iter().map(|point| (point.revealed_per_s, point.p50_us));
            let tails = points.iter().map(|point| (point.revealed_per_s, point.p99_us));
            let line = LineSeries::new(halves, color(index).stroke_width(2)).point_size(4);
            chart.draw_series(line)?;
            let dashes = DashedLineSeries::new(tails, 6, 4, color(index).stroke_width(1));
            chart.draw_series(dashes)?;
        }
        let names = committees.keys().enumerate();
        let names = names.map(|(index, count)| (format!("{count} validators"), color(index)));
        legend(canvas, &names.collect::<Vec<_>>())
    })
}
