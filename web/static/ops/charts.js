// Lines over time, drawn by uPlot in the colours of the page.

/* global uPlot */

const SERIES = ["--line-1", "--line-2", "--line-3", "--line-4"];
const WINDOW_SECONDS = 300;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart in an element that keeps its height. `unit` writes a value of the scale; `spans`: seconds in which nothing
 * happened are no gap in the line.
 * @param {HTMLElement} place
 * @param {{ series: number, unit: (value: number) => string, least: number, fill?: boolean,
 *   spans?: boolean }} options
 */
export class Chart {
  constructor(place, { series, unit, least, fill = false, spans = false }) {
    this.place = place;
    this.options = { series, unit, least, fill, spans };
    this.data = [[], ...Array.from({ length: series }, () => [])];
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  size() {
    return { width: Math.max(200, this.place.clientWidth), height: Math.max(120, this.place.clientHeight) };
  }

  draw() {
    this.plot?.destroy();
    const { series, unit, least, fill, spans } = this.options;
    const soft = colour("--soft");
    const axis = { stroke: soft, font: "12px Inter, system-ui, sans-serif", ticks: { show: false } };
    const grid = { stroke: colour("--line"), width: 1 };
    const lines = Array.from({ length: series }, (_, i) => ({
      stroke: colour(SERIES[i]),
      width: 2,
      spanGaps: spans,
      fill: fill ? colour("--line-wash") : undefined,
      points: { show: false, filter: (plot, line) => alone(plot.data[line], spans), size: 4, fill: colour(SERIES[i]) },
    }));
    this.plot = new uPlot(
      {
        ...this.size(),
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
        padding: [8, 20, 0, 0],
        scales: {
          x: { time: true, range: (_plot, _least, most) => [most - WINDOW_SECONDS, most] },
          y: { range: (_plot, _least, most) => [0, Math.max(least, (most ?? 0) * 1.1)] },
        },
        axes: [
          { ...axis, grid: { show: false }, space: 80, size: 28, values: (_plot, all) => all.map(minute) },
          { ...axis, grid, size: 58, space: 34, values: (_plot, all) => all.map(unit) },
        ],
        series: [{}, ...lines],
      },
      this.data,
      this.place,
    );
  }

  /** @param {(number | null)[][]} data instants (s), then the values of each line */
  show(data) {
    this.data = data;
    this.plot.setData(data);
  }
}

/**
 * The places of values that no line reaches, because they have no neighbour: they are drawn as points.
 * @param {(number | null)[]} values
 * @param {boolean} spans whether lines span what is missing
 */
function alone(values, spans) {
  const known = [...values.keys()].filter((i) => values[i] != null);
  if (spans) return known.length === 1 ? known : null;
  return known.filter((i) => values[i - 1] == null && values[i + 1] == null);
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const minute = (second) => (second % 60 === 0 ? clock.format(new Date(second * 1000)) : "");
