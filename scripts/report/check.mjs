// Opens a report in headless Chromium and holds what is drawn against the JSON that the report was made from.
//
//   node check.mjs REPORT.html PLAYWRIGHT_MODULES SCREENSHOT_DIR RESULT.json...
//
// RESULT.json are results of `run --json` (those of a sweep: DIR/results/*.json). Fails on any console message of the
// browser, any request to anywhere, a chart that is missing or empty, and any value that is not the JSON's. Leaves
// light.png, dark.png and print.pdf in SCREENSHOT_DIR, and with SVG=1 each chart as a file of its own.
import { createRequire } from "node:module";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page_file, modules, shots, ...results] = process.argv.slice(2);
const { chromium } = createRequire(join(resolve(modules), "x.js"))("playwright-core");
const problems = [];
const check = (ok, text) => { if (!ok) problems.push(text); };
const near = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));
mkdirSync(shots, { recursive: true });

const profile = mkdtempSync(join(tmpdir(), "report-check-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags, viewport: { width: 1360, height: 900 }, colorScheme: "light", offline: true,
});
try {
  const page = browser.pages()[0] ?? await browser.newPage();
  // A busy machine is slow, and no fault of the page's.
  page.setDefaultTimeout(150000);
  page.on("console", (m) => problems.push(`console ${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => problems.push(`page error: ${e.message}`));
  page.on("request", (r) => { if (!/^(file|data):/.test(r.url())) problems.push(`request to ${r.url()}`); });
  await page.goto(pathToFileURL(resolve(page_file)).href);
  await page.waitForFunction(() => window.thalweg?.ready);

  // What the charts really hold, asked from the charts.
  const drawn = await page.evaluate(() => Object.fromEntries(Object.entries(window.thalweg.charts).map(([id, chart]) => {
    const option = chart.getOption();
    const paths = chart.getDom().querySelectorAll("svg path").length;
    return [id, { paths, x: option.xAxis?.[0]?.data, series: option.series.map((s) => ({ id: s.id, name: s.name, type: s.type, data: s.data })) }];
  })));
  const data = await page.evaluate(() => window.thalweg.data);
  for (const [id, chart] of Object.entries(drawn)) check(chart.paths > 10, `chart ${id} is empty (${chart.paths} paths)`);

  const documents = results.map((f) => JSON.parse(readFileSync(f, "utf8")));
  // Repeats of a sweep's point are files of their own.
  const points = new Map();
  for (const d of documents) {
    const varied = d.sweep?.varied ?? {};
    const key = JSON.stringify([d.config.label ?? "", d.sweep?.table ?? "", Object.entries(varied).sort()]);
    const there = points.get(key) ?? { label: d.config.label, table: d.sweep?.table ?? "", varied, repeats: [] };
    there.repeats.push(...d.repeats);
    points.set(key, there);
  }
  check(points.size === data.points.length, `${data.points.length} points on the page, ${points.size} in the results`);

  let compared = 0;
  const same = (a, b, what) => { compared += 1; check(near(a, b), `${what}: ${a} drawn, ${b} in the JSON`); };
  const median = (v) => { const s = [...v].sort((a, b) => a - b), n = s.length; return n % 2 ? s[(n - 1) / 2] : (s[n / 2 - 1] + s[n / 2]) / 2; };
  for (const p of points.values()) {
    const varied = JSON.stringify(Object.entries(p.varied).sort());
    const on_page = data.points.find((q) => (p.label === undefined || q.broker === p.label) && q.table === p.table && JSON.stringify(Object.entries(q.varied).sort()) === varied);
    if (!on_page) { problems.push(`no point ${p.table} ${varied} on the page`); continue; }
    for (const kind of ["latency", "service", "end_to_end"]) {
      const series = drawn.percentiles.series.find((s) => s.id === `${on_page.broker}/${on_page.name}/${kind}`);
      const samples = p.repeats.reduce((sum, r) => sum + r.latencies[kind].count, 0);
      check(samples === 0 ? !series : series, `${on_page.name}: ${kind} has ${samples} samples and ${series ? "a" : "no"} curve`);
      if (!samples || !series) continue;
      // The end of the curve is the largest of all; with a single repeat every percentile is the JSON's own.
      same(series.data.at(-1)[1], Math.max(1, ...p.repeats.map((r) => r.latencies[kind].max)), `${on_page.name} ${kind} max`);
      same(series.data.at(-1)[0], samples, `${on_page.name} ${kind} count`);
      if (p.repeats.length === 1) for (const q of ["p50", "p90", "p99", "p99_9", "p99_99", "max"]) {
        same(on_page.latencies[kind].percentiles[q], p.repeats[0].latencies[kind][q], `${on_page.name} ${kind} ${q}`);
      }
      if (p.repeats.length === 1) {
        const at = series.data.find(([x]) => near(x, 10));
        if (at) same(at[1], Math.max(1, p.repeats[0].latencies[kind].p90), `${on_page.name} ${kind} p90 on the curve`);
      }
    }
    for (const parameter of Object.keys(p.varied)) {
      const chart = drawn[`by-${parameter}-bytes_per_second`];
      const values = p.repeats.map((r) => r.bytes_per_second / 1e6);
      if (!chart || !values.some((v) => v > 0)) continue;
      const x = chart.x.indexOf(p.varied[parameter]);
      const lines = chart.series.filter((s) => s.type === "line").map((s) => s.data[x]).filter((v) => v != null);
      compared += 1;
      check(lines.some((v) => near(v, median(values))), `${on_page.name}: MB/s ${median(values)} is not drawn by ${parameter}, only ${lines}`);
    }
    const index = [...new Set(data.points.map((q) => q.name))].indexOf(on_page.name);
    const course = drawn[`time-${index}`]?.series.find((s) => s.id === `${on_page.broker}/${on_page.name}/records_per_second`);
    const intervals = p.repeats.flatMap((r) => r.over_time ?? []);
    if (course && intervals.length) {
      same(course.data.length, intervals.length, `${on_page.name} intervals`);
      intervals.forEach((i, n) => same(course.data[n][1], i.acked_records / i.seconds, `${on_page.name} records/s of interval ${n}`));
      const heat = drawn[`heat-${index}-${data.brokers.indexOf(on_page.broker)}`];
      const all = intervals.flatMap((i) => (i.latency.length ? i.latency : i.end_to_end)).reduce((sum, [, n]) => sum + n, 0);
      same(heat.series[0].data.reduce((sum, [, , log]) => sum + Math.round(10 ** log - 1), 0), all, `${on_page.name} records in the heat map`);
    }
  }

  // A legend and a broker's box both switch series off.
  if (data.brokers.length > 1) {
    const count = () => page.evaluate(() => window.thalweg.charts.percentiles.getOption().series.length);
    const all = await count();
    await page.locator("#brokers input").first().uncheck();
    check(await count() < all, "switching a broker off leaves its curves");
    await page.locator("#brokers input").first().check();
    check(await count() === all, "switching a broker on again does not bring its curves back");
  }
  await page.screenshot({ path: join(shots, "light.png"), fullPage: true });
  if (process.env.SVG) {
    const svgs = await page.evaluate(() => Object.entries(window.thalweg.charts).map(([id, c]) => [id, c.renderToSVGString()]));
    for (const [id, svg] of svgs) writeFileSync(join(shots, `${id}.svg`), svg);
  }
  const rows = await page.locator("#table tr").count();
  check(rows === data.points.length + 1, `${rows} rows in the table for ${data.points.length} points`);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction(() => document.documentElement.classList.contains("dark"));
  await page.screenshot({ path: join(shots, "dark.png"), fullPage: true });
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check(dark === "rgb(20, 23, 26)", `the dark page is ${dark}`);
  await page.pdf({ path: join(shots, "print.pdf"), preferCSSPageSize: true, printBackground: true });
  console.log(`${Object.keys(drawn).length} charts of ${data.points.length} points, ${compared} values equal to the JSON's`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
for (const p of problems.slice(0, 20)) console.error(p);
if (problems.length) { console.error(`${problems.length} problems`); process.exit(1); }
