//! `sweep`: a matrix of measurements, each a `run` of its own, repeated and interleaved.
//!
//! [`scenario`] says which points there are, [`order`] when each is measured, [`server`] starts the broker that they
//! need, [`measure`] makes one measurement, [`search`] looks for the highest rate, [`store`] keeps the results.

pub mod measure;
pub mod options;
pub mod order;
pub mod scenario;
pub mod search;
pub mod server;
pub mod store;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::host::{self, Disk, Host};
use crate::observer::Interrupts;
use crate::run::RunError;
use measure::{Measurement, Outcome};
use options::SweepOptions;
use scenario::{Point, SHIPPED, Scenario};
use search::Search;
use server::{Launch, Server};
use store::Store;

/// Beyond warm-up and window: connecting, topics, draining.
const OVERHEAD_S: f64 = 1.5;
const RESTART_S: f64 = 1.5;
const SEARCH_RUNS: f64 = 7.0;

/// True if every point was measured.
pub fn sweep(options: &SweepOptions) -> Result<bool, RunError> {
    if options.list_scenarios {
        list();
        return Ok(true);
    }
    let sweep = Sweep::prepare(options).map_err(RunError::Options)?;
    let interrupts = Interrupts::catch()?;
    sweep.run(&interrupts)
}

fn list() {
    for (name, _) in SHIPPED {
        let description = Scenario::load(name).map(|s| s.description).unwrap_or_default();
        println!("{name:<18} {description}");
    }
}

struct Sweep<'a> {
    options: &'a SweepOptions,
    points: Vec<Point>,
    warmup: String,
    duration: String,
    repeats: u32,
    out: PathBuf,
}

/// A measurement that is still to be made.
type Due = (u32, usize);

/// The broker at work: started here, or given.
struct Broker {
    own: Option<(BTreeMap<String, String>, Server)>,
}

impl<'a> Sweep<'a> {
    fn prepare(options: &'a SweepOptions) -> Result<Self, String> {
        options.check()?;
        let mut scenario = match &options.scenario {
            Some(name) => Scenario::load(name)?,
            None => Scenario::default(),
        };
        scenario.override_lists(&options.lists()?)?;
        let points = scenario.points()?;
        if options.bootstrap_server.is_some()
            && let Some(point) = points.iter().find(|p| !p.server_settings().is_empty())
        {
            return Err(format!(
                "point {} needs a broker of its own settings: give --server-bin instead of --bootstrap-server",
                point.name()
            ));
        }
        let or = |given: &Option<String>, scenario: Option<String>, default: &str| {
            given.clone().or(scenario).unwrap_or_else(|| default.to_string())
        };
        let sweep = Self {
            warmup: or(&options.warmup, scenario.warmup, "2s"),
            duration: or(&options.duration, scenario.duration, "10s"),
            repeats: options.repeats.or(scenario.repeats).unwrap_or(3),
            out: std::path::absolute(options.out()).map_err(|e| format!("--out: {e}"))?,
            points,
            options,
        };
        sweep.check_points()?;
        Ok(sweep)
    }

    /// Every point as `run` will see it, before anything starts.
    fn check_points(&self) -> Result<(), String> {
        use clap::Parser;
        for point in &self.points {
            let mut line =
                vec!["thalweg-loadgen".to_string(), "run".into(), "--bootstrap-server".into(), "x:1".into()];
            line.extend(self.run_options(point));
            let parsed = crate::cli::Cli::try_parse_from(&line);
            let refused = |e: String| format!("point {}: {}", point.name(), e.trim().replace('\n', " "));
            let crate::cli::Command::Run(run) = parsed.map_err(|e| refused(e.to_string()))?.command else {
                continue;
            };
            run.traffic().map_err(refused)?;
        }
        Ok(())
    }

    fn run_options(&self, point: &Point) -> Vec<String> {
        let o = self.options;
        let mut out = point.run_options();
        for pair in &o.topic_config {
            out.extend(["--topic-config".into(), pair.clone()]);
        }
        out.extend(["--warmup".into(), self.warmup.clone(), "--duration".into(), self.duration.clone()]);
        if let Some(cpus) = &o.cpus {
            out.extend(["--cpus".into(), cpus.clone()]);
        }
        out
    }

    fn seconds_each(&self) -> f64 {
        let seconds = |text: &str| crate::units::duration(text).unwrap_or(Duration::ZERO).as_secs_f64();
        let one =
            seconds(&self.warmup) + seconds(&self.duration) + OVERHEAD_S + self.options.pause.as_secs_f64();
        if self.options.search_max { one * SEARCH_RUNS } else { one }
    }

    /// Estimated seconds of what is left.
    fn seconds_of(&self, due: &[Due]) -> f64 {
        let restarts = match self.options.server_bin {
            None => 0,
            Some(_) => {
                let settings: Vec<_> = due.iter().map(|d| self.points[d.1].server_settings()).collect();
                1 + settings.windows(2).filter(|w| w[0] != w[1]).count()
            }
        };
        due.len() as f64 * self.seconds_each() + restarts as f64 * RESTART_S
    }

    /// What a sweep's results have in common: with anything of it changed they could not be told apart.
    fn identity(&self) -> Value {
        let o = self.options;
        json!({
            "host": Host::read().name, "bootstrap_server": o.bootstrap_server,
            "server_build": o.server_bin.as_deref().map(host::build_of),
            "data": o.server_bin.as_ref().map(|_| self.data().display().to_string()),
            "warmup": self.warmup, "duration": self.duration, "label": self.label(), "cpus": o.cpus,
            "server_bin": o.server_bin.as_ref().map(|p| p.display().to_string()), "server_cpus": o.server_cpus,
            "server_set": o.server_set, "topic_config": o.topic_config,
            "server_config": o.server_config.as_ref().map(|p| p.display().to_string()),
            "search_max": o.search_max, "p99_max_us": o.p99_max.map(|d| d.as_micros() as u64),
        })
    }

    fn label(&self) -> String {
        let o = self.options;
        let program =
            o.server_bin.as_deref().and_then(Path::file_stem).map(|s| s.to_string_lossy().into_owned());
        let named = o.label.clone().or_else(|| program.map(|p| p.trim_end_matches("-server").to_string()));
        named.or_else(|| o.bootstrap_server.clone()).unwrap_or_default()
    }

    fn run(&self, interrupts: &Interrupts) -> Result<bool, RunError> {
        let all = order::order(&self.points, self.repeats);
        if self.options.plan_only {
            self.print_plan(&all, &all);
            return Ok(true);
        }
        let store = Store::open(&self.out, &self.points, &self.identity(), self.options.fresh)
            .map_err(RunError::Options)?;
        let due: Vec<Due> = all.iter().copied().filter(|d| !store.has(&self.points[d.1], d.0)).collect();
        self.print_plan(&all, &due);
        let mut bar = Bar::new(self.seconds_of(&due), due.len());
        let (mut failures, mut broker) = (Vec::new(), Broker { own: None });
        let mut interrupted = false;
        for (done, one) in due.iter().enumerate() {
            let point = &self.points[one.1];
            bar.begin(done, self.seconds_of(&due[done..]), &format!("{} (repeat {})", point.name(), one.0));
            match self.one(&store, &mut broker, *one, interrupts, &bar)? {
                None => {}
                Some(Outcome::Failed(why)) => {
                    bar.say(&format!("{}, repeat {}: {why}", point.name(), one.0));
                    failures.push(point.name());
                }
                Some(_) => {
                    interrupted = true;
                    break;
                }
            }
        }
        bar.finish();
        if let Some((_, server)) = broker.own.take() {
            server.stop().map_err(RunError::Options)?;
        }
        self.say_end(interrupted, &failures);
        Ok(!interrupted && failures.is_empty())
    }

    fn say_end(&self, interrupted: bool, failures: &[String]) {
        let out = self.out.display();
        if interrupted {
            println!("interrupted; the same command goes on where it stopped ({out})");
        } else if failures.is_empty() {
            println!("done: {out}; look at it with: thalweg-loadgen report {out} --out report.html");
        } else {
            println!(
                "{} measurements failed; the same command tries them again. Log: {out}/sweep.log",
                failures.len()
            );
        }
    }

    fn print_plan(&self, all: &[Due], due: &[Due]) {
        let size = format!("{} points x {} repeats", self.points.len(), self.repeats);
        println!(
            "{size}, {} warm-up and {} each: about {}",
            self.warmup,
            self.duration,
            minutes(self.seconds_of(all))
        );
        for point in &self.points {
            println!("  {} {}", point.id, point.name());
        }
        if due.len() < all.len() {
            println!(
                "{} of {} are there already, about {} to go",
                all.len() - due.len(),
                all.len(),
                minutes(self.seconds_of(due))
            );
        }
    }

    /// Measures one point once and keeps the result. `None` when all went well.
    fn one(
        &self,
        store: &Store,
        broker: &mut Broker,
        (repeat, index): Due,
        interrupts: &Interrupts,
        bar: &Bar,
    ) -> Result<Option<Outcome>, RunError> {
        let point = &self.points[index];
        if let Err(e) = self.prepare_broker(broker, point) {
            return Ok(Some(Outcome::Failed(e)));
        }
        if interrupts.wait(self.options.pause)? {
            return Ok(Some(Outcome::Interrupted));
        }
        let outcome = match self.options.search_max {
            false => self.run_once(broker, point, repeat, None, interrupts, bar)?,
            true => self.run_search(broker, point, repeat, interrupts, bar)?,
        };
        let Outcome::Measured(mut document) = outcome else { return Ok(Some(outcome)) };
        document["sweep"] = self.about(point, repeat, broker);
        store.put(point, repeat, &document).map_err(RunError::Options)?;
        Ok(None)
    }

    fn run_search(
        &self,
        broker: &Broker,
        point: &Point,
        repeat: u32,
        interrupts: &Interrupts,
        bar: &Bar,
    ) -> Result<Outcome, RunError> {
        let first = self.run_once(broker, point, repeat, None, interrupts, bar)?;
        let Outcome::Measured(unbounded) = first else { return Ok(first) };
        let p99 = self.options.p99_max.map(|d| d.as_micros() as f64);
        let mut search = Search::new(&unbounded["result"], p99);
        while let Some(rate) = search.next() {
            match self.run_once(broker, point, repeat, Some(rate), interrupts, bar)? {
                Outcome::Measured(document) => search.tell(rate, *document),
                other => return Ok(other),
            }
        }
        Ok(search.finish().map_or_else(Outcome::Failed, |best| Outcome::Measured(Box::new(best))))
    }

    fn run_once(
        &self,
        broker: &Broker,
        point: &Point,
        repeat: u32,
        rate: Option<f64>,
        interrupts: &Interrupts,
        bar: &Bar,
    ) -> Result<Outcome, RunError> {
        let (bootstrap, pid) = match &broker.own {
            Some((_, server)) => (server.bootstrap.clone(), Some(server.pid())),
            None => (self.options.bootstrap_server.clone().unwrap_or_default(), self.options.server_pid),
        };
        // A topic that an interrupted run may have left is not met again.
        let topic = format!("sweep-{}-{repeat}-{:x}", point.id, crate::clock::Clock::start().unix_us(0));
        let mut options = vec!["--bootstrap-server".to_string(), bootstrap, "--topic".into(), topic];
        options.extend(["--create-topics".into(), "--delete-topics".into(), "--label".into(), self.label()]);
        options.extend(self.run_options(point));
        if let Some(rate) = rate {
            options.extend(["--rate".into(), format!("{rate}/s")]);
        }
        options.extend(pid.into_iter().flat_map(|pid| ["--server-pid".to_string(), pid.to_string()]));
        let log = self.out.join("sweep.log");
        let one = Measurement { options, json: self.out.join("running.json"), log: &log };
        Ok(one.run(interrupts, || bar.tick())?)
    }

    fn prepare_broker(&self, broker: &mut Broker, point: &Point) -> Result<(), String> {
        let Some(program) = &self.options.server_bin else { return Ok(()) };
        let mut settings = self.options.fixed_settings()?;
        settings.extend(point.server_settings());
        if let Some((running, mut server)) = broker.own.take() {
            match server.is_running() {
                true if running == settings => {
                    broker.own = Some((running, server));
                    return Ok(());
                }
                true => server.stop()?,
                // The measurement that it died in has failed, and said so.
                false => drop(server),
            }
        }
        let server = Server::start(Launch {
            program: program.clone(),
            config: self.server_config()?,
            cpus: self.options.server_cpus()?,
            settings: settings.clone(),
            data: self.data(),
            log: self.out.join("server.log"),
        })?;
        broker.own = Some((settings, server));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.out.join("data"))
    }

    fn server_config(&self) -> Result<PathBuf, String> {
        if let Some(given) = &self.options.server_config {
            return Ok(given.clone());
        }
        let made = self.out.join("server.properties");
        std::fs::write(&made, "# Made for a sweep: every setting is on the command line.\nbroker.id=0\n")
            .map_err(|e| format!("{}: {e}", made.display()))?;
        Ok(made)
    }

    /// What a report says of the point beside its figures.
    fn about(&self, point: &Point, repeat: u32, broker: &Broker) -> Value {
        json!({
            "scenario": self.options.scenario, "point": point.id, "table": point.table, "varied": point.varied,
            "settings": point.settings, "repeat": repeat,
            "server": broker.own.as_ref().map(|(settings, server)| json!({
                "command": server.command, "settings": settings, "cpus": self.options.server_cpus,
                "version": host::version_of(&server.command[0]), "disk": Disk::of(&self.data()),
            })),
        })
    }
}

fn minutes(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Progress over the estimated time, with the current point; a line for each point where there is no terminal.
struct Bar {
    bar: Option<ProgressBar>,
    total_s: f64,
    total: usize,
    begun: Instant,
}

impl Bar {
    fn new(seconds: f64, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(seconds.ceil() as u64), ProgressDrawTarget::stderr());
            let template = "{bar:30} {percent:>3} %  {msg}";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
            bar
        });
        Self { bar, total_s: seconds, total, begun: Instant::now() }
    }

    fn begin(&mut self, done: usize, left_s: f64, what: &str) {
        let text = format!("{} of {}, about {} left: {what}", done + 1, self.total, minutes(left_s));
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position((self.total_s - left_s).max(0.0) as u64);
            }
            None => eprintln!("{:>5.0} s  {text}", self.begun.elapsed().as_secs_f64()),
        }
    }

    fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
