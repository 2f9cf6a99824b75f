"""Horizontal bars: CPU time for each request, cheapest first. Arguments: latest.json, and the folder to write to."""

import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "doorward", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 10})

import matplotlib.pyplot as plot

OURS, THEIRS, BARE, INK, QUIET = "#0b7a75", "#b8bec6", "#5b6570", "#1f2933", "#6b7580"

report = json.load(open(sys.argv[1], encoding="utf-8"))
systems = sorted(report["systems"], key=lambda system: system["cpu_us_per_request"])
costs = [system["cpu_us_per_request"] for system in systems]


def colour(name):
    return OURS if name.startswith("doorward-") else BARE if name.startswith("pingora-bare-") else THEIRS


# What costs many times more than the others would leave no room for their difference: its bar is cut, its number is not.
bare = next((system["cpu_us_per_request"] for system in systems if system["id"] == "pingora-bare-proxy"), None)
limit = min(max(costs), 8 * bare) if bare else max(costs)

figure, axes = plot.subplots(figsize=(9, 1.3 + 0.34 * len(systems)), facecolor="white")
axes.set_facecolor("white")
for row, system in enumerate(systems):
    name, cost = system["id"], system["cpu_us_per_request"]
    low, high = system["cpu_us_spread"]
    axes.barh(row, min(cost, limit), color=colour(name), height=0.68, zorder=2)
    axes.plot([min(low, limit), min(high, limit)], [row, row], color=INK, linewidth=1, solid_capstyle="butt", zorder=3)
    cut = " (bar cut)" if cost > limit else ""
    axes.text(min(max(cost, high), limit) + limit * 0.012, row, f"{cost:.1f}{cut}", va="center", color=INK,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=4)
if bare:
    axes.axvline(bare, color=BARE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
axes.set_yticks(range(len(systems)))
axes.set_yticklabels([system["id"] for system in systems])
axes.invert_yaxis()
axes.set_xlim(0, limit * 1.16)
axes.set_xlabel("CPU time for each request, in µs (median; the line spans all rounds)", color=INK)
axes.tick_params(axis="both", colors=INK, length=0)
for label, system in zip(axes.get_yticklabels(), systems):
    label.set_color(OURS if system["id"].startswith("doorward-") else INK)
    label.set_fontweight("bold" if system["id"].startswith("doorward-") else "normal")
axes.xaxis.grid(True, color="#e6e9ed", zorder=0)
for side in axes.spines.values():
    side.set_visible(False)
figure.text(0.01, 0.99, "What a request costs", va="top", fontsize=13, fontweight="bold", color=INK)
legend = [plot.Rectangle((0, 0), 1, 1, color=each) for each in (OURS, BARE, THEIRS)]
names = ["Doorward", "pingora with nothing of ours (dashed: as a proxy)", "others"]
axes.legend(legend, names, loc="upper right", frameon=False, labelcolor=INK)
figure.text(0.99, 0.99, report["machine"], va="top", ha="right", fontsize=8, color=QUIET)
figure.tight_layout(rect=(0, 0, 1, 0.97))
figure.savefig(os.path.join(sys.argv[2], "latest.svg"), facecolor="white", metadata={"Date": None})
figure.savefig(os.path.join(sys.argv[2], "latest.png"), facecolor="white", dpi=150)
