//! Reports as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    Report, Verdict,
    curve::CurvePoint,
    market::{MarketTable, market_table},
    plots::{self, PlotError, level_name},
    timeline::FaultSpan,
};
use crate::{cpu::cost_source, measure::Traffic, network::region_source, scenario::Scenario};

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:#1c1c1c;max-width:1000px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .4rem;border-bottom:1px solid #ddd}\
p{margin:.4rem 0;max-width:48rem}\
code,pre{font-family:ui-monospace,monospace;font-size:13px}pre{background:#f4f4f4;padding:.6rem;overflow-x:auto;white-space:pre-wrap}\
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.15rem .8rem .15rem 0;text-align:right;border-bottom:1px solid #eee}\
td:first-child,th:first-child,td.l,th.l{text-align:left}\
.v{display:inline-block;padding:.15rem .7rem;border-radius:.3rem;color:#fff;font-weight:600}\
.good{background:#00724f}.bad{background:#b3400a}.open{background:#6b6b6b}\
svg{max-width:100%;height:auto;display:block;margin:.4rem 0}";

/// Faults that are listed; the picture has them all.
const FAULTS_LISTED_MAX: usize = 60;

/// The report on a run of `scenario`, which the first of `commands` plays again. `points` are this run and others at
/// other loads, as the second command measures them.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn report_page(
    report: &Report,
    scenario: &Scenario,
    (command, measures): (&str, &str),
    points: &[CurvePoint],
) -> Result<String, PlotError> {
    let title = format!("{}, seed {}", report.scenario, report.seed);
    let body = html! {
        (head(&title, &scenario.purpose, &report.verdict, &report.detail))
        (reproduce(command, report))
        h2 { "Heights and faults" }
        p {
            "Each line is a validator."
            @if !report.timeline.faults.is_empty() {
                " Shaded is the time in which someone is faulty; below, who and when."
            }
        }
        (PreEscaped(plots::heights(&report.timeline, report.elapsed_ms)?))
        (faults(&report.timeline.faults))
        @if !report.figures.latencies.is_empty() {
            h2 { "Latency" }
            p { "A bundle's time starts when its user sends it, a block's when it is first shown to a validator." }
            @if report.figures.nodes.iter().any(|node| !node.region.is_empty()) {
                p { "Round trips between regions: " (region_source()) "." }
            }
            @if scenario.machine.costs {
                p { "Processor time: " (cost_source()) "." }
            }
            (PreEscaped(plots::latencies(&report.figures)?))
            (latencies(report))
        }
        @if !points.is_empty() {
            h2 { "Throughput and latency" }
            (curve(points)?)
            @if points.len() > 1 {
                p { "Measured by:" }
            } @else {
                p { "One load does not show where latency bends. This command measures the others, and puts the curve here:" }
            }
            pre { (measures) }
        }
        @if report.figures.heights.iter().any(|height| height.revealed_us > 0) {
            h2 { "What sealing costs" }
            p { "From the first validator's decision of a height to the first opening of it: shares travel, and are combined." }
            (PreEscaped(plots::opening(&report.figures)?))
            (overhead(report))
        }
        @if !report.figures.nodes.is_empty() {
            h2 { "Bytes of each validator" }
            (PreEscaped(plots::traffic(&report.figures)?))
            (traffic(report))
        }
        @if let Some(market) = &report.market {
            (market_section(&market_table(&[*market])))
        }
        h2 { "Counters" }
        (counters(&report.counters))
        h2 { "Scenario" }
        pre { (scenario.to_toml().unwrap_or_default()) }
    };
    Ok(page(&title, &body))
}

/// The report on many seeds of `scenario`.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn sweep_page(
    reports: &[Report],
    scenario: &Scenario,
    command: &str,
) -> Result<String, PlotError> {
    let name = reports.first().map_or("", |report| report.scenario.as_str());
    let title = format!("{name}, {} seeds", reports.len());
    let failure = reports.iter().find(|report| report.verdict != Verdict::Held);
    let verdict = failure.map_or(&Verdict::Held, |report| &report.verdict);
    let detail = failure
        .map_or_else(String::new, |report| format!("seed {}: {}", report.seed, report.detail));
    let markets: Vec<_> = reports.iter().filter_map(|report| report.market).collect();
    let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (counter, count) in reports.iter().flat_map(|report| &report.counters) {
        let sum = sums.entry(counter).or_default();
        *sum = sum.saturating_add(*count);
    }
    let body = html! {
        (head(&title, &scenario.purpose, verdict, &detail))
        pre { (command) }
        @if !markets.is_empty() {
            (market_section(&market_table(&markets)))
        }
        h2 { "Seeds" }
        table {
            tr { th { "seed" } th.l { "verdict" } th { "heights" } th { "virtual ms" } th.l { "trace" } }
            @for report in reports {
                tr {
                    td { (report.seed) }
                    td.l { (verdict_name(&report.verdict)) }
                    td { (report.heights) }
                    td { (report.elapsed_ms) }
                    td.l { code { (report.trace_hash.get(..18).unwrap_or_default()) } }
                }
            }
        }
        h2 { "Counters, all seeds together" }
        (counters(&sums))
        h2 { "Scenario" }
        pre { (scenario.to_toml().unwrap_or_default()) }
    };
    Ok(page(&title, &body))
}

/// The report on a throughput–latency curve.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn curve_page(
    points: &[CurvePoint],
    scenario: &Scenario,
    command: &str,
) -> Result<String, PlotError> {
    let title = "Throughput and latency";
    let body = html! {
        h1 { (title) }
        p { (scenario.purpose) }
        pre { (command) }
        (curve(points)?)
        h2 { "Scenario" }
        pre { (scenario.to_toml().unwrap_or_default()) }
    };
    Ok(page(title, &body))
}

/// Throughput against latency; a picture if there are two points or more.
fn curve(points: &[CurvePoint]) -> Result<Markup, PlotError> {
    Ok(html! {
        @if points.len() > 1 {
            p { "Each point is a run at one rate: solid is p50, dashed p99. Where a line turns up, the network is saturated: more load means longer waits and no more throughput." }
            (PreEscaped(plots::curve(points)?))
        }
        table {
            tr {
                th { "validators" } th { "offered/s" } th { "revealed/s" } th { "ordered p50 ms" }
                th { "revealed p50 ms" } th { "revealed p99 ms" } th { "heights" } th { "wall ms" } th.l { "verdict" }
            }
            @for point in points {
                tr {
                    td { (point.validators) } td { (point.offered_per_s) } td { (point.revealed_per_s) }
                    td { (ms(point.ordered_p50_us)) } td { (ms(point.p50_us)) } td { (ms(point.p99_us)) }
                    td { (point.heights) } td { (point.wall_ms) } td.l { (verdict_name(&point.verdict)) }
                }
            }
        }
        p { "Throughput and latency are in virtual time and follow from scenario and seed. Wall-clock times are of the machine that ran it." }
    })
}

fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · conclave-sim" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "every promise held",
        Verdict::Safety => "a promise was broken",
        Verdict::Liveness => "too late",
        Verdict::Stopped => "a validator stopped",
        Verdict::Nondeterminism => "two runs of one seed differ",
        Verdict::NotShown => "nothing was shown",
        Verdict::Unfinished => "unfinished",
    }
}

fn head(title: &str, purpose: &str, verdict: &Verdict, detail: &str) -> Markup {
    let class = match verdict {
        Verdict::Held => "v good",
        Verdict::NotShown | Verdict::Unfinished => "v open",
        Verdict::Safety | Verdict::Liveness | Verdict::Stopped | Verdict::Nondeterminism => "v bad",
    };
    html! {
        h1 { (title) }
        p { (purpose) }
        p { span class=(class) { (verdict_name(verdict)) } " exit code " (verdict.exit_code()) }
        @if !detail.is_empty() { pre { (detail) } }
    }
}

fn reproduce(command: &str, report: &Report) -> Markup {
    html! {
        p { "The same run again:" }
        pre { (command) }
        table {
            tr { td { "trace" } td.l { code { (report.trace_hash) } } }
            tr { td { "heights revealed by all" } td.l { (report.heights) } }
            tr { td { "virtual time" } td.l { (report.elapsed_ms) " ms" } }
        }
    }
}

fn faults(faults: &[FaultSpan]) -> Markup {
    html! {
        @if faults.is_empty() {
            p { "No validator is faulty in this run." }
        } @else {
            table {
                tr { th.l { "fault" } th { "from (ms)" } th { "until (ms)" } }
                @for fault in faults.iter().take(FAULTS_LISTED_MAX) {
                    tr {
                        td.l { (fault.label) }
                        td { (fault.from_ms) }
                        td { @match fault.until_ms { Some(until) => (until), None => "the end" } }
                    }
                }
            }
            @if faults.len() > FAULTS_LISTED_MAX {
                p { "and " (faults.len() - FAULTS_LISTED_MAX) " more" }
            }
        }
    }
}

/// Milliseconds with a decimal.
fn ms(us: u64) -> String {
    format!("{}.{}", us / 1_000, us % 1_000 / 100)
}

fn latencies(report: &Report) -> Markup {
    html! {
        table {
            tr {
                th.l { "level" } th.l { "region" } th { "samples" } th { "p50 ms" } th { "p90 ms" }
                th { "p99 ms" } th { "most ms" }
            }
            @for row in &report.figures.latencies {
                tr {
                    td.l { (level_name(row.level)) } td.l { (row.region) } td { (row.count) }
                    td { (ms(row.p50_us)) } td { (ms(row.p90_us)) } td { (ms(row.p99_us)) }
                    td { (ms(row.max_us)) }
                }
            }
        }
    }
}

fn overhead(report: &Report) -> Markup {
    let opened = report.figures.heights.iter().filter(|height| height.revealed_us > 0);
    let mut took: Vec<u64> =
        opened.map(|height| height.revealed_us.saturating_sub(height.decided_us)).collect();
    took.sort_unstable();
    let rank = |percent: usize| {
        let rank = took.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
        ms(took.get(rank).copied().unwrap_or(0))
    };
    html! {
        p { "Half of the " (took.len()) " heights opened within " (rank(50)) " ms of their decision, all but one in a hundred within " (rank(99)) " ms." }
    }
}

fn traffic(report: &Report) -> Markup {
    let nodes = &report.figures.nodes;
    let mut kinds: BTreeMap<&'static str, Traffic> = BTreeMap::new();
    for (kind, traffic) in nodes.iter().flat_map(|node| &node.sent) {
        let sum = kinds.entry(kind).or_default();
        sum.messages = sum.messages.saturating_add(traffic.messages);
        sum.bytes = sum.bytes.saturating_add(traffic.bytes);
    }
    let count = u64::try_from(nodes.len()).unwrap_or(u64::MAX);
    let each = |total: u64| total.checked_div(count).unwrap_or(0);
    html! {
        table {
            tr {
                th.l { "sent" } th { "messages" } th { "bytes" } th { "bytes per validator" }
                th { "bytes per message" }
            }
            @for (kind, Traffic { messages, bytes }) in &kinds {
                tr {
                    td.l { (kind) } td { (messages) } td { (bytes) } td { (each(*bytes)) }
                    td { (bytes.checked_div(*messages).unwrap_or(0)) }
                }
            }
        }
    }
}

fn market_section(table: &MarketTable) -> Markup {
    html! {
        h2 { "What a front-runner earns" }
        p { (table.caption) "." }
        table {
            tr { th.l { "" } @for column in table.columns { th { (column) } } }
            @for (name, figures) in &table.rows {
                tr { td.l { (name) } @for figure in figures { td { (figure) } } }
            }
        }
        p {
            "Sealed: the searcher's own bundles went through the run like everyone's, paid their fees, and landed \
             where the beacon put them. It sees who pays, the fee and the length of what others seal, and guesses \
             from what the same payer did before. Plaintext: a model, not a run. The same trades again, with a \
             proposer who reads each before it fixes the order and puts its own around those that are worth \
             it. Users lost: what they got less than with no searcher at all."
        }
    }
}

fn counters(counters: &BTreeMap<&'static str, u64>) -> Markup {
    html! {
        table {
            @for (name, count) in counters {
                tr { td { (name) } td { (count) } }
            }
        }
    }
}
