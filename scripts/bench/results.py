"""Figures over rounds: medians, ratios within a round, and their spread."""

from statistics import median


def ratios(rounds, workload, metric, column, base):
    """`column` over `base`, round by round: what both were measured under is then nearly the same."""
    pairs = [(r[workload].get(column, {}).get(metric), r[workload].get(base, {}).get(metric)) for r in rounds if workload in r]
    return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]


def spread(values, digits=2):
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def figure(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rounds, columns, base):
    """Lines for people: per workload and metric the median of each column, and the ratio to the base column."""
    lines = []
    for workload in rounds[0]:
        present = [name for name in columns if any(name in r.get(workload, {}) for r in rounds)]
        metrics = list(dict.fromkeys(metric for r in rounds for name in present for metric in r[workload].get(name, {})))
        lines.append(f"\n{workload}")
        for metric in metrics:
            lines.append(f"  {metric}")
            for name in present:
                values = [r[workload][name][metric] for r in rounds if metric in r.get(workload, {}).get(name, {})]
                text = f"    {name:<16} {figure(median(values)):>10}  [{figure(min(values))}..{figure(max(values))}]"
                # What is a ratio already is not divided once more.
                against = [] if name == base or "%" in metric or "/with" in metric else ratios(rounds, workload, metric, name, base)
                lines.append(text + (f"   {spread(against)} x {base}" if against else ""))
    return "\n".join(lines)
