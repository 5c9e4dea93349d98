//! `report`: one HTML file that needs nothing else, and the same summary on the terminal.
//!
//! The charts are drawn by Apache ECharts, which is part of the program and of every page; the page's own script
//! (`assets/report.js`) only says what goes where.

pub mod data;
pub mod terminal;

use std::path::PathBuf;

use clap::Args;

use crate::run::RunError;
use crate::stored;
use data::Page;

const TEMPLATE: &str = include_str!("../../assets/report.html");
const STYLE: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const ECHARTS: &str = include_str!("../../assets/echarts/echarts.min.js");

#[derive(Debug, Args)]
pub struct ReportOptions {
    /// Results of `run --json`, and directories of sweeps
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page to write; without it only the terminal's summary
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[arg(long, default_value = "Thalweg load generator report")]
    pub title: String,
}

pub fn report(options: &ReportOptions) -> Result<bool, RunError> {
    let mut points = Vec::new();
    for run in &options.runs {
        points.extend(stored::load(run).map_err(RunError::Options)?);
    }
    let page = Page::of(&options.title, &points).map_err(RunError::Options)?;
    print!("{}", terminal::summary(&page));
    if let Some(path) = &options.out {
        let text = html(&page).map_err(RunError::Options)?;
        std::fs::write(path, text).map_err(|e| RunError::Options(format!("{}: {e}", path.display())))?;
        println!("report: {}", std::path::absolute(path)?.display());
    }
    Ok(true)
}

/// The whole page.
pub fn html(page: &Page) -> Result<String, String> {
    // In a script element only `</` could end it early; JSON has the same text for it.
    let json = serde_json::to_string(page).map_err(|e| e.to_string())?.replace('<', "\\u003c");
    let parts = [("/*STYLE*/", STYLE), ("/*ECHARTS*/", ECHARTS), ("/*SCRIPT*/", SCRIPT), ("/*DATA*/", &json)];
    let mut out = String::with_capacity(ECHARTS.len() + json.len() + 100_000);
    let mut rest = TEMPLATE;
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).ok_or_else(|| format!("the template lacks {mark}"))?;
        out.push_str(before);
        out.push_str(text);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_everything_and_asks_the_network_for_nothing() {
        let page = Page { title: "</script><b>".into(), brokers: vec![], hosts: vec![], points: vec![] };
        let html = html(&page).unwrap();
        assert!(html.contains("\\u003c/script>\\u003cb>"));
        assert_eq!(html.matches("</script>").count(), 3);
        let own = html.replace(ECHARTS, "");
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!own.contains(outside), "the page refers to {outside}");
        }
    }
}
