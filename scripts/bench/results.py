"""Figures over rounds: medians, ratios within a round, and their spread."""

import math
from statistics import mean, median, stdev

# Student's t, 97.5 %, by degrees of freedom; the last one holds beyond.
T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145)


def ratios(rounds, workload, metric, column, base):
    """`column` over `base`, round by round: what both were measured under is then nearly the same."""
    pairs = [(r[workload].get(column, {}).get(metric), r[workload].get(base, {}).get(metric)) for r in rounds if workload in r]
    return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]


def spread(values, digits=2):
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def verdict(values):
    """Whether ratios of one round each say more than noise: a paired t-test of their logarithms at 5 %."""
    if len(values) < 2 or min(values) <= 0:
        return "one round says nothing of the noise"
    logs = [math.log(v) for v in values]
    reach = T[min(len(logs) - 2, len(T) - 1)] * stdev(logs) / math.sqrt(len(logs))
    return "within the noise" if abs(mean(logs)) <= reach else ""


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
                lines.append(text + (f"   {spread(against)} x {base}  {verdict(against)}".rstrip() if against else ""))
    return "\n".join(lines)
