"use strict";
// Draws what the JSON in the page holds. Every chart is kept in `charts`, by the id of its element.
document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = {}, hidden = new Set();
  window.thalweg = { data, charts };
  const $ = (id) => document.getElementById(id);
  const make = (parent, tag, text, className) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    parent.appendChild(e);
    return e;
  };
  const several = data.brokers.length > 1;
  const color = (p) => {
    const same = data.points.filter((q) => q.broker === p.broker);
    return colors[(several ? data.brokers.indexOf(p.broker) : same.indexOf(p)) % colors.length];
  };
  const legendName = (p) => (several ? (p.name === "run" ? p.broker : `${p.broker} · ${p.name}`) : p.name === "run" ? p.broker : p.name);
  const median = (v) => {
    const s = [...v].sort((a, b) => a - b), n = s.length;
    return n === 0 ? null : n % 2 ? s[(n - 1) / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
  };
  const time = (us) => us == null ? "-" : us < 1000 ? `${+us.toPrecision(3)} µs` : us < 1e6 ? `${+(us / 1e3).toPrecision(3)} ms` : `${+(us / 1e6).toPrecision(3)} s`;
  const count = (n) => n == null ? "-" : n >= 1e9 ? `${+(n / 1e9).toPrecision(3)}G` : n >= 1e6 ? `${+(n / 1e6).toPrecision(3)}M` : n >= 1e4 ? `${+(n / 1e3).toPrecision(3)}k` : `${+n.toPrecision(4)}`;

  // ---- look ----
  const isDark = () => document.documentElement.classList.contains("dark");
  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
  const dim = () => getComputedStyle(document.documentElement).getPropertyValue("--dim").trim();
  const line = () => getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
  const axis = (extra) => ({
    nameLocation: "middle", nameGap: 30, nameTextStyle: { color: dim() }, axisLabel: { color: dim(), hideOverlap: true },
    axisLine: { lineStyle: { color: line() } }, splitLine: { lineStyle: { color: line(), opacity: 0.5 } }, ...extra,
  });
  const base = (title, names) => ({
    animation: false, backgroundColor: "transparent", textStyle: { color: ink(), fontFamily: "system-ui, sans-serif" }, aria: { enabled: true },
    title: { text: title, left: 8, top: 4, textStyle: { fontSize: 13, color: ink() } },
    legend: { type: "scroll", icon: "roundRect", itemHeight: 8, itemWidth: 16, top: 26, left: 8, right: 8, data: names, textStyle: { color: ink() }, pageTextStyle: { color: dim() }, pageIconColor: dim() },
    grid: { left: 62, right: 22, top: names.length ? 62 : 40, bottom: 48 },
    tooltip: { trigger: "item", confine: true, backgroundColor: isDark() ? "#2a2f36" : "#ffffff", textStyle: { color: ink() } },
  });
  // Options are functions, so that another theme or another choice of brokers draws anew.
  const builders = [];
  const add = (parent, id, className, build) => {
    const element = make(parent, "div", undefined, className);
    element.id = id;
    builders.push({ id, element, build });
  };
  const shown = (p) => !hidden.has(p.broker);
  const draw = (b) => {
    const chart = charts[b.id] || (charts[b.id] = echarts.init(b.element, null, { renderer: "svg" }));
    chart.setOption(b.build(), { notMerge: true });
  };
  const drawAll = () => builders.forEach(draw);

  // ---- throughput and CPU against each parameter ----
  const parameters = [...new Set(data.points.flatMap((p) => Object.keys(p.varied)))]
    .filter((k) => new Set(data.points.map((p) => p.varied[k])).size > 1);
  const size = (v) => {
    const m = /^([\d.]+)\s*([a-zA-Z]*)(\/s)?$/.exec(v);
    if (!m) return NaN;
    const unit = { "": 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, kib: 1024, mib: 1048576, gib: 1073741824, ms: 1e-3, s: 1, us: 1e-6 };
    return m[1] * (unit[m[2].toLowerCase()] ?? NaN);
  };
  const ordered = (values) => [...new Set(values)].sort((a, b) => size(a) - size(b) || String(a).localeCompare(b));
  // A metric is drawn against a parameter in one series for each combination of everything else. What advances together
  // with the parameter is shown beside its value instead of splitting the series.
  const byParameter = (parameter, metric) => {
    const groups = new Map();
    for (const p of data.points.filter((p) => parameter in p.varied && p.metrics[metric] && shown(p))) {
      const peers = data.points.filter((q) => q.table === p.table && q.broker === p.broker && parameter in q.varied);
      const tied = (k) => peers.filter((q) => q.varied[parameter] === p.varied[parameter]).every((q) => q.varied[k] === p.varied[k]);
      const rest = Object.entries(p.varied).filter(([k]) => k !== parameter && !tied(k)).map(([k, v]) => `${k}=${v}`);
      const key = [several ? p.broker : "", p.table, ...rest].filter(Boolean).join(" · ") || p.broker;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(p);
    }
    return groups;
  };
  const metrics = [
    ["bytes_per_second", "Throughput, MB/s", 1e-6], ["records_per_second", "Throughput, records/s", 1],
    ["consumed_bytes_per_second", "Consumed, MB/s", 1e-6], ["p99_us", "p99", 1], ["server_cpu_seconds_per_gb", "Server CPU, s/GB", 1],
    ["server_resident_bytes_peak", "Server memory, peak MiB", 1 / 1048576],
  ];
  const parameterChart = (parameter, [metric, title, factor]) => () => {
    const groups = byParameter(parameter, metric);
    const x = ordered([...groups.values()].flat().map((p) => p.varied[parameter]));
    const series = [...groups].flatMap(([name, points], i) => {
      const c = colors[i % colors.length], at = (v) => points.filter((p) => p.varied[parameter] === v);
      const values = (v) => at(v).flatMap((p) => p.metrics[metric]).map((n) => n * factor);
      return [
        { name, type: "line", color: c, symbolSize: 7, data: x.map((v) => median(values(v))), connectNulls: true },
        { name, type: "scatter", color: c, symbolSize: 4, itemStyle: { opacity: 0.55 }, data: x.flatMap((v, xi) => values(v).map((n) => [xi, n])) },
      ];
    });
    const option = base(title, [...groups.keys()]);
    return { ...option, legend: { ...option.legend, show: groups.size > 1 || several },
      xAxis: axis({ type: "category", name: parameter, data: x }),
      yAxis: axis({ type: "value", min: 0, axisLabel: { color: dim(), formatter: metric === "p99_us" ? time : count } }),
      tooltip: { ...option.tooltip, valueFormatter: (v) => (metric === "p99_us" ? time : count)(Array.isArray(v) ? v[1] : v) }, series };
  };
  for (const parameter of parameters) {
    for (const metric of metrics) {
      const [name, title] = metric;
      if (data.points.some((p) => parameter in p.varied && p.metrics[name])) {
        add($("parameters"), `by-${parameter}-${name}`, "chart", parameterChart(parameter, [name, `${title} by ${parameter}`, metric[2]]));
      }
    }
  }
  if (!parameters.length) $("parameters").parentElement.hidden = true;

  // ---- latency by percentile ----
  const nines = (x) => { const p = 100 * (1 - 1 / x); return x <= 1 ? "0 %" : `${+p.toFixed(Math.max(0, Math.ceil(Math.log10(x)) - 2))} %`; };
  const kinds = [["latency", "solid"], ["service", "dashed"], ["end_to_end", "dotted"]];
  const percentileSeries = (points, paint) => points.filter(shown).flatMap((p) =>
    kinds.filter(([kind]) => p.latencies[kind]).map(([kind, style]) => ({
      id: `${p.broker}/${p.name}/${kind}`, name: legendName(p), type: "line", showSymbol: false, step: false, color: paint(p),
      lineStyle: { type: style, width: kind === "service" ? 1.5 : 2 }, data: p.latencies[kind].points.map(([x, us]) => [x, Math.max(us, 1)]),
    })));
  const percentileChart = (title, points, paint) => () => {
    const option = base(title, points.length > 1 ? [...new Set(points.filter(shown).map(legendName))] : []);
    return { ...option, legend: { ...option.legend, show: points.length > 1 },
      xAxis: axis({ type: "log", name: "percentile", min: 1, axisLabel: { color: dim(), fontSize: 10, hideOverlap: true, formatter: nines } }),
      yAxis: axis({ type: "log", name: "latency", nameGap: 48, axisLabel: { color: dim(), formatter: time } }),
      tooltip: { ...option.tooltip, trigger: "axis", formatter: (s) => [nines(s[0].axisValue), ...s.map((i) => `${i.marker}${echarts.format.encodeHTML(i.seriesId.split("/").pop().replaceAll("_", " "))} ${echarts.format.encodeHTML(i.seriesName)}: ${time(i.value[1])}`)].slice(0, 16).join("<br>") },
      series: percentileSeries(points, paint) };
  };
  const wholeElement = $("percentiles");
  builders.push({ id: "percentiles", element: wholeElement, build: percentileChart("", data.points, (p) => colors[data.points.indexOf(p) % colors.length]) });

  // ---- each point: percentiles, course over time, heat map ----
  const names = [...new Set(data.points.map((p) => p.name))];
  const overTime = (points) => () => {
    const ours = points.filter(shown), option = base("Over time (p50 dotted, p99, max dashed)", points.length > 1 ? [...new Set(ours.map(legendName))] : []);
    const curve = (p, field, axisIndex, style, title) => ({ id: `${p.broker}/${p.name}/${field}`, name: legendName(p), type: "line", showSymbol: false, color: color(p), yAxisIndex: axisIndex, xAxisIndex: axisIndex,
      lineStyle: { width: 1.5, type: style }, tooltip: { valueFormatter: (v) => `${axisIndex ? time(v) : count(v)} (${title})` },
      data: p.over_time.at.map((t, i) => [+t.toFixed(3), axisIndex && p.over_time[field][i] <= 0 ? null : p.over_time[field][i]]),
      markLine: field === "p99_us" || field === "records_per_second" ? { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: dim(), type: "dotted" }, data: p.over_time.repeats_at.map((t) => ({ xAxis: t })) } : undefined });
    const rate = (p) => (p.metrics.records_per_second ? "records_per_second" : "consumed_per_second");
    // Both one below the other, whatever their labels take.
    const grid = (top, bottom) => ({ left: 76, right: 22, top, bottom, outerBoundsMode: "none" });
    const end = Math.max(...ours.map((p) => Math.ceil(p.over_time.at.at(-1) ?? 0)), 1);
    return { ...option, legend: { ...option.legend, show: points.length > 1 }, grid: [grid(points.length > 1 ? 62 : 36, "56%"), grid("52%", 44)],
      xAxis: [axis({ type: "value", gridIndex: 0, min: 0, max: end, axisLabel: { show: false } }), axis({ type: "value", gridIndex: 1, min: 0, max: end, name: "seconds", nameGap: 24, axisLabel: { color: dim(), hideOverlap: true } })],
      yAxis: [axis({ type: "value", gridIndex: 0, min: 0, name: "records/s", nameGap: 56, splitNumber: 3, axisLabel: { color: dim(), formatter: count } }), axis({ type: "log", gridIndex: 1, name: "latency", nameGap: 56, axisLabel: { color: dim(), formatter: time, hideOverlap: true } })],
      tooltip: { ...option.tooltip, trigger: "axis" }, axisPointer: { link: [{ xAxisIndex: "all" }] },
      series: ours.flatMap((p) => [curve(p, rate(p), 0, "solid", "records/s"), curve(p, "p50_us", 1, "dotted", "p50"), curve(p, "p99_us", 1, "solid", "p99"), curve(p, "max_us", 1, "dashed", "max")]) };
  };
  const heat = (p) => () => {
    const option = base(several ? `Latency over time, ${p.broker}` : "Latency over time", []);
    const most = Math.max(1, ...p.heat.cells.map((c) => c[2])), top = Math.log10(most + 1);
    return { ...option, grid: { left: 62, right: 74, top: 40, bottom: 42 }, legend: { show: false },
      xAxis: axis({ type: "category", name: "seconds", nameGap: 24, data: p.heat.columns.map((t) => t.toFixed(1)), splitLine: { show: false } }),
      yAxis: axis({ type: "category", data: p.heat.rows_us.map((us) => time(us)), splitLine: { show: false }, axisLabel: { color: dim(), interval: (i) => i % Math.ceil(p.heat.rows_us.length / 8) === 0 } }),
      visualMap: { min: 0, max: top, dimension: 2, calculable: false, right: 4, top: 40, itemHeight: 120, text: [count(most), "1"], textStyle: { color: dim() }, inRange: { color: isDark() ? ["#1f2a44", "#2563eb", "#22d3ee", "#fde047"] : ["#dbeafe", "#60a5fa", "#1d4ed8", "#111827"] } },
      tooltip: { ...option.tooltip, formatter: (i) => `${p.heat.columns[i.value[0]].toFixed(1)} s, from ${time(p.heat.rows_us[i.value[1]])}: ${count(p.heat.cells[i.dataIndex][2])} records` },
      series: [{ name: "records", type: "heatmap", data: p.heat.cells.map(([x, y, n]) => [x, y, Math.log10(n + 1)]), progressive: 0 }] };
  };
  names.forEach((name, i) => {
    const points = data.points.filter((p) => p.name === name);
    const card = make($("points"), "div", undefined, "point");
    if (names.length > 1 || name !== "run") make(card, "h3", name);
    const row = make(card, "div", undefined, "three");
    if (points.some((p) => Object.keys(p.latencies).length)) add(row, `percentiles-${i}`, "chart", percentileChart("By percentile", points, color));
    if (points.some((p) => p.over_time.at.length)) add(row, `time-${i}`, "chart", overTime(points));
    for (const p of points.filter((p) => p.heat.cells.length)) add(row, `heat-${i}-${data.brokers.indexOf(p.broker)}`, "chart", heat(p));
  });

  // ---- words and tables ----
  document.title = data.title;
  $("title").textContent = data.title;
  $("subtitle").textContent = `${data.points.length} points, ${data.brokers.join(", ")}; latency of every record, histograms of all repeats added up`;
  if (several) for (const broker of data.brokers) {
    const label = make($("brokers"), "label"), box = make(label, "input");
    box.type = "checkbox"; box.checked = true; box.value = broker;
    label.append(` ${broker}`);
    box.addEventListener("change", () => { box.checked ? hidden.delete(broker) : hidden.add(broker); drawAll(); });
  }
  const warned = data.points.flatMap((p) => p.warnings.map((w) => `${legendName(p)}: ${w}`));
  if (warned.length) {
    $("warnings").hidden = false;
    make($("warnings"), "strong", "Before believing the figures:");
    const list = make($("warnings"), "ul");
    warned.slice(0, 12).forEach((w) => make(list, "li", w));
    if (warned.length > 12) make(list, "li", `and ${warned.length - 12} more, in the JSON of the points`);
  }
  const row = (table, cells, tag = "td") => { const r = make(table, "tr"); cells.forEach((c) => make(r, tag, c)); return r; };
  row($("table"), ["point", "repeats", "records/s", "spread", "MB/s", "requests/s", "p50", "p99", "p99.9", "p99.99", "max", "service p99", "end to end p99", "CPU s/GB", "peak MiB"], "th");
  for (const p of data.points) {
    const m = (k) => median(p.metrics[k] ?? []), l = (kind, k) => time(p.latencies[kind]?.percentiles[k]);
    const produced = m("records_per_second"), rates = p.metrics[produced == null ? "consumed_records_per_second" : "records_per_second"] ?? [];
    const spread = rates.length > 1 ? `${count(Math.min(...rates))}..${count(Math.max(...rates))}` : "-";
    row($("table"), [legendName(p), rates.length, count(median(rates)), spread, count((m("bytes_per_second") ?? m("consumed_bytes_per_second") ?? 0) / 1e6), count(m("requests_per_second")),
      l("latency", "p50"), l("latency", "p99"), l("latency", "p99_9"), l("latency", "p99_99"), l("latency", "max"), l("service", "p99"), l("end_to_end", "p99"),
      count(m("server_cpu_seconds_per_gb")), m("server_resident_bytes_peak") == null ? "-" : count(m("server_resident_bytes_peak") / 1048576)]);
  }
  for (const p of data.points) {
    make($("commands"), "h3", legendName(p));
    make($("commands"), "pre", [p.server_command, p.command].filter(Boolean).join("\n"));
  }
  const gib = (b) => `${(b / 1073741824).toFixed(1)} GiB`, disk = (d) => (d && d.filesystem ? `${d.filesystem} on ${d.device} ${d.model} ${gib(d.size_bytes)}` : "-");
  row($("hosts"), ["broker", "its version", "its CPUs", "host", "kernel", "CPU", "cores", "memory", "disk of the data", "load generator"], "th").querySelectorAll("th").forEach((t) => t.classList.add("text"));
  for (const h of data.hosts) row($("hosts"), [h.broker, h.server_version || "-", h.server_cpus || "-", h.name, h.kernel, h.cpu, h.cores, gib(h.memory_bytes), disk(h.disk), h.load_generator]).querySelectorAll("td").forEach((t) => t.classList.add("text"));

  // ---- theme, size, print ----
  const setTheme = (dark) => { document.documentElement.classList.toggle("dark", dark); drawAll(); };
  const system = matchMedia("(prefers-color-scheme: dark)");
  $("theme").addEventListener("click", () => setTheme(!isDark()));
  system.addEventListener("change", (e) => setTheme(e.matches));
  addEventListener("resize", () => Object.values(charts).forEach((c) => c.resize()));
  // Paper is white, and as wide as it is.
  let before = false;
  const onPaper = (is) => { document.documentElement.classList.toggle("printing", is); Object.values(charts).forEach((c) => { c.resize(); c.getZr().flush(); }); };
  addEventListener("beforeprint", () => { before = isDark(); setTheme(false); onPaper(true); });
  addEventListener("afterprint", () => { setTheme(before); onPaper(false); });
  setTheme(system.matches);
  window.thalweg.ready = true;
});
