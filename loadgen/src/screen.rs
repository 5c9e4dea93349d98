//! `--live`: a screen of the running measurement. On the terminal's other screen, so that the summary stands alone after
//! it; `q` or Ctrl-C ends the run early.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table};

use crate::buckets::Counts;
use crate::cli::RunOptions;
use crate::over_time::Totals;
use crate::plan::Plan;
use crate::progress::phase;

/// Points of the sparklines; one for each quarter of a second.
const HISTORY: usize = 240;
const SHOWN: [(&str, f64); 6] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100.0)];

/// What is drawn, apart from the terminal it is drawn on.
#[derive(Debug, Default)]
struct Picture {
    title: String,
    phase: &'static str,
    /// Share of warm-up, window or drain that is over.
    done: f64,
    clock: String,
    last: Option<Totals>,
    /// Where the window began: the right column counts from there.
    window_base: Option<Totals>,
    recent: VecDeque<Totals>,
    rates: VecDeque<u64>,
    tails_us: VecDeque<u64>,
}

pub struct Screen {
    terminal: Option<ratatui::DefaultTerminal>,
    picture: Picture,
}

impl Screen {
    pub fn open(options: &RunOptions) -> io::Result<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("--live needs a terminal; without it a progress line is printed"));
        }
        let title = format!(
            "{}: {} producers, {} consumers, {} B records, {} B batches, rate {:?}",
            options.bootstrap_server,
            options.producers,
            options.consumers,
            options.record_size,
            options.batch_bytes,
            options.rate
        );
        let terminal = Some(ratatui::try_init()?);
        Ok(Self { terminal, picture: Picture { title, ..Picture::default() } })
    }

    pub fn begin(&mut self) {
        self.picture = Picture { title: std::mem::take(&mut self.picture.title), ..Picture::default() };
    }

    /// Waits up to `timeout` for a key; true if it was one that ends the run. Raw mode hands Ctrl-C over as a key.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if !event::poll(timeout)? {
            return Ok(false);
        }
        let Event::Key(key) = event::read()? else { return Ok(false) };
        let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        Ok(key.kind == KeyEventKind::Press && (key.code == KeyCode::Char('q') || control_c))
    }

    pub fn draw(&mut self, plan: &Plan) -> io::Result<()> {
        self.picture.take(plan, Totals::read(plan, None));
        let picture = &self.picture;
        match &mut self.terminal {
            Some(terminal) => terminal.draw(|frame| picture.draw(frame)).map(drop),
            None => Ok(()),
        }
    }

    pub fn close(&mut self) {
        if self.terminal.take().is_some() {
            ratatui::restore();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

impl Picture {
    fn take(&mut self, plan: &Plan, now: Totals) {
        let Some(window) = plan.window.get() else { return };
        self.phase = phase(plan, now.at_ns);
        let (from, to) = match now.at_ns {
            t if t < window.start_ns => (window.traffic_start_ns, window.start_ns),
            t if t < window.end_ns() => (window.start_ns, window.end_ns()),
            t => (window.end_ns(), (window.end_ns() + plan.traffic.drain.as_nanos() as u64).max(t)),
        };
        let (spent, whole) = (now.at_ns.saturating_sub(from) as f64, to.saturating_sub(from).max(1) as f64);
        self.done = (spent / whole).clamp(0.0, 1.0);
        self.clock = format!("{:.0} of {:.0} s", spent / 1e9, whole / 1e9);
        self.add(now, window.start_ns);
    }

    fn add(&mut self, now: Totals, window_start_ns: u64) {
        if now.at_ns >= window_start_ns && self.window_base.is_none() {
            self.window_base = Some(now.clone());
        }
        if let Some(last) = &self.last {
            let seconds = (now.at_ns.saturating_sub(last.at_ns) as f64 / 1e9).max(1e-9);
            let records = (now.acked_records + now.consumed_records)
                .saturating_sub(last.acked_records + last.consumed_records);
            push(&mut self.rates, (records as f64 / seconds) as u64, HISTORY);
            push(&mut self.tails_us, now.latency.since(&last.latency).percentile_us(99.0) as u64, HISTORY);
        }
        push(&mut self.recent, now.clone(), 5);
        self.last = Some(now);
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(4),
            Constraint::Length(4),
            Constraint::Min(4),
            Constraint::Min(4),
            Constraint::Length(1),
        ])
        .split(frame.area());
        let dim = Style::new().add_modifier(Modifier::DIM);
        frame.render_widget(
            Line::from(vec![Span::styled("thalweg-loadgen  ", Modifier::BOLD), Span::raw(&self.title)]),
            rows[0],
        );
        let label = format!("{} {}", self.phase.trim(), self.clock);
        let color = if self.phase == "measure" { Color::Green } else { Color::Yellow };
        frame.render_widget(Gauge::default().ratio(self.done).label(label).gauge_style(color), rows[1]);
        frame.render_widget(self.numbers(), rows[2]);
        frame.render_widget(self.percentiles(), rows[3]);
        let chart = |title: String, data: &VecDeque<u64>, color| {
            let width = usize::from(rows[4].width);
            let data: Vec<u64> = data.iter().copied().skip(data.len().saturating_sub(width)).collect();
            Sparkline::default()
                .block(Block::bordered().title(title))
                .data(data)
                .style(Style::new().fg(color))
        };
        let top = self.rates.iter().max().copied().unwrap_or(0);
        frame.render_widget(chart(format!("records/s, up to {top}"), &self.rates, Color::Cyan), rows[4]);
        let top = self.tails_us.iter().max().copied().unwrap_or(0);
        frame.render_widget(
            chart(format!("p99, up to {}", time(top as f64)), &self.tails_us, Color::Magenta),
            rows[5],
        );
        frame.render_widget(Line::styled("q ends the run and prints the summary", dim), rows[6]);
    }

    /// Rates over the last second or so.
    fn numbers(&self) -> Paragraph<'_> {
        let (Some(first), Some(last)) = (self.recent.front(), self.recent.back()) else {
            return Paragraph::new("waiting for the first answers");
        };
        let seconds = (last.at_ns.saturating_sub(first.at_ns) as f64 / 1e9).max(1e-9);
        let rate = |f: fn(&Totals) -> u64| f(last).saturating_sub(f(first)) as f64 / seconds;
        let errors = Style::new().fg(if last.errors > 0 { Color::Red } else { Color::Reset });
        Paragraph::new(vec![
            Line::raw(format!(
                "produced  {:>12.0} records/s  {:>9.1} MB/s",
                rate(|t| t.acked_records),
                rate(|t| t.acked_batch_bytes) / 1e6
            )),
            Line::raw(format!(
                "consumed  {:>12.0} records/s  {:>9.1} MB/s",
                rate(|t| t.consumed_records),
                rate(|t| t.consumed_bytes) / 1e6
            )),
            Line::raw(format!("in flight {:>12} requests", last.in_flight)),
            Line::styled(format!("errors    {:>12}", last.errors), errors),
        ])
    }

    fn percentiles(&self) -> Table<'_> {
        let empty = Counts::default();
        let since = |base: Option<&Totals>, f: fn(&Totals) -> &Counts| {
            let now = self.last.as_ref().map_or(&empty, f);
            base.map_or_else(|| now.clone(), |b| now.since(f(b)))
        };
        let row = |name: &'static str, counts: Counts| {
            let cells = SHOWN.iter().map(|(_, p)| Cell::from(time(counts.percentile_us(*p))));
            Row::new(std::iter::once(Cell::from(name)).chain(cells))
        };
        let window = self.window_base.as_ref();
        let rows = [
            row("latency, last second", since(self.recent.front(), |t| &t.latency)),
            row("latency, window", since(window, |t| &t.latency)),
            row("end to end, window", since(window, |t| &t.end_to_end)),
        ];
        let head = std::iter::once("").chain(SHOWN.iter().map(|(name, _)| *name));
        let widths =
            std::iter::once(Constraint::Length(22)).chain(SHOWN.iter().map(|_| Constraint::Length(9)));
        Table::new(rows, widths).header(Row::new(head).style(Modifier::BOLD))
    }
}

fn push<T>(into: &mut VecDeque<T>, value: T, max: usize) {
    into.push_back(value);
    while into.len() > max {
        into.pop_front();
    }
}

/// A duration for people.
pub fn time(us: f64) -> String {
    match us {
        u if u <= 0.0 => "-".to_string(),
        u if u < 1e3 => format!("{u:.0} us"),
        u if u < 1e6 => format!("{:.2} ms", u / 1e3),
        u => format!("{:.2} s", u / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::LiveHistogram;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    #[test]
    fn the_screen_shows_rates_percentiles_flight_and_errors() {
        let live = LiveHistogram::default();
        let mut picture = Picture { title: "host:9092".into(), phase: "measure", ..Picture::default() };
        for second in 0..4u64 {
            let totals = Totals {
                at_ns: second * 1_000_000_000,
                acked_records: second * 5000,
                acked_batch_bytes: second * 5_000_000,
                errors: second,
                in_flight: 7,
                latency: Counts::sum([&live].into_iter()),
                ..Totals::default()
            };
            picture.add(totals, 0);
            live.add(2_000_000, 1000);
        }
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| picture.draw(frame)).unwrap();
        let text = terminal.backend().to_string();
        for expected in [
            "5000 records/s",
            "5.0 MB/s",
            "7 requests",
            "errors               3",
            "p99.99",
            "2.02 ms",
            "q ends",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }
}
