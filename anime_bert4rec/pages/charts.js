"use strict";
// Curves and bars as SVG, as wide as there is room.

const CHART_HEIGHT = 250, LEFT = 52, TOP = 12, BOTTOM = 34;

// Round values from `low` to `high`, at most about `count`.
function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(k * step || 0); // never -0
  return values;
}

// A chart that is drawn when it is on the page, and again when its width changes.
function chart(label, draw) {
  const holder = make("div", { "data-drawn": "" });
  const redraw = () => {
    const width = Math.max(260, holder.clientWidth);
    const svg = makeSvg("svg", { width, height: CHART_HEIGHT, viewBox: `0 0 ${width} ${CHART_HEIGHT}`, role: "img", "aria-label": label });
    draw(svg, width);
    holder.replaceChildren(svg);
  };
  holder.addEventListener("shown", () => {
    redraw();
    let before = holder.clientWidth;
    new ResizeObserver(() => { if (holder.clientWidth !== before) { before = holder.clientWidth; redraw(); } }).observe(holder);
  });
  return holder;
}
const textAt = (x, y, text, more = {}) => makeSvg("text", { x, y, ...more }, text);
const lineAt = (x1, y1, x2, y2, color, more = {}) => makeSvg("line", { x1, y1, x2, y2, stroke: color, ...more });

function grid(svg, width, right, values, down, digits) {
  for (const value of values) {
    svg.append(lineAt(LEFT, down(value), width - right, down(value), "var(--grid)"), textAt(LEFT - 6, down(value) + 4, digits(value), { "text-anchor": "end" }));
  }
}

// series: [{name, values, color, dash, level}], a value an epoch, null for a gap; a level is the same for all.
function lines({ label, series, xName, best = null, digits, fromZero = false, log = false, xs = null }) {
  return chart(label, (svg, width) => {
    const widest = Math.max(0, ...series.map(({ name, values }) => (name ? `${name} ${digits(values.findLast((value) => value !== null) ?? 0)}`.length : 0)));
    const right = Math.min(16 + 6.7 * widest, 0.45 * width), known = series.flatMap((each) => each.values).filter((value) => value !== null && (!log || value > 0));
    const count = Math.max(1, ...series.map((each) => each.values.length));
    if (!known.length) return svg.append(textAt(LEFT, 60, t("nothing")));
    const scale = log ? Math.log10 : (value) => value;
    let low = Math.min(...known), high = Math.max(...known);
    if (fromZero) low = 0;
    else if (!log) low -= 0.05 * (high - low);
    if (high === low) high = low + (Math.abs(low) || 1);
    const at = (k) => (xs ? xs[k] : k + 1), last = at(count - 1), first = at(0);
    const across = (k) => LEFT + ((at(k) - first) / (last - first || 1)) * (width - LEFT - right);
    const down = (value) => TOP + ((scale(high) - scale(value)) / (scale(high) - scale(low))) * (CHART_HEIGHT - TOP - BOTTOM);
    const values = log ? [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].filter((each) => each >= low && each <= high) : ticks(low, high, 5);
    grid(svg, width, right, values, down, digits);
    for (const value of ticks(first, last, Math.max(3, width / 130)).filter(Number.isInteger)) {
      const x = LEFT + ((value - first) / (last - first || 1)) * (width - LEFT - right);
      svg.append(textAt(x, CHART_HEIGHT - BOTTOM + 16, number(value), { "text-anchor": "middle" }));
    }
    svg.append(textAt(width / 2, CHART_HEIGHT - 3, xName, { "text-anchor": "middle" }));
    if (best) svg.append(lineAt(across(best - 1), TOP, across(best - 1), CHART_HEIGHT - BOTTOM, "var(--muted)", { "stroke-dasharray": "2 3" }));
    const labels = [];
    for (const { name, values, color, dash, level } of series) {
      const path = [];
      let pen = "M";
      values.forEach((value, k) => {
        if (value === null || (log && value <= 0)) return (pen = "M");
        path.push(`${pen}${across(k).toFixed(1)} ${down(value).toFixed(1)}`);
        pen = "L";
      });
      const full = level && values.length ? `M${LEFT} ${down(values[0])}L${width - right} ${down(values[0])}` : path.join("");
      if (!full) continue;
      svg.append(makeSvg("path", { d: full, fill: "none", stroke: color, "stroke-width": level ? 1.5 : 2.2, "stroke-dasharray": dash || null, "stroke-linejoin": "round" }));
      const ends = values.filter((value) => value !== null).at(-1);
      if (values.length === 1 && !level) svg.append(makeSvg("circle", { cx: across(0), cy: down(ends), r: 3.5, fill: color }));
      if (name) labels.push({ y: down(ends), text: `${name} ${digits(ends)}`, color });
    }
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((each, k) => { each.y = Math.max(each.y, k ? labels[k - 1].y + 14 : TOP); });
    for (let k = labels.length - 1, floor = CHART_HEIGHT - BOTTOM; k >= 0; k--, floor -= 14) labels[k].y = Math.min(labels[k].y, floor);
    for (const { y, text, color } of labels) {
      const written = textAt(width - right + 8, y + 4, text);
      written.style.fill = color;
      svg.append(written);
    }
  });
}

// The label of a chart for who cannot see it. values: [[text of the place, value]]
function told(label, xName, values) {
  return `${label}. ${xName}: ${values.map(([text, value]) => `${text}: ${number(value)}`).join(t("comma")) || t("nothing")}`;
}

// bars: [[text of the place, value]], one at the least
function bars({ label, values, xName }) {
  return chart(told(label, xName, values), (svg, width) => {
    const high = Math.max(1, ...values.map(([, value]) => value)), step = (width - LEFT - 8) / values.length;
    const down = (value) => TOP + (1 - value / high) * (CHART_HEIGHT - TOP - BOTTOM);
    grid(svg, width, 8, ticks(0, high, 4).filter(Number.isInteger), down, (value) => number(value));
    const every = Math.max(1, Math.ceil(values.length / (width / 60)));
    values.forEach(([text, value], k) => {
      const x = LEFT + k * step;
      svg.append(makeSvg("rect", { x: x + step * 0.08, y: down(value), width: step * 0.84, height: Math.max(0, down(0) - down(value)), fill: "var(--model)" }));
      if (k % every === 0) svg.append(textAt(x + step / 2, CHART_HEIGHT - BOTTOM + 16, text, { "text-anchor": "middle" }));
    });
    svg.append(textAt(width / 2, CHART_HEIGHT - 3, xName, { "text-anchor": "middle" }));
  });
}

// rows: [[name, value, text, whether it is the model]]: a table whose values are bars, too.
function barTable(caption, rows) {
  const high = Math.max(1e-9, ...rows.map(([, value]) => value));
  return make("table", {}, make("caption", { class: "muted" }, caption), make("tbody", {}, rows.map(([name, value, text, isModel]) => {
    const bar = make("div");
    bar.style.width = `${Math.max(0.5, (100 * value) / high)}%`;
    return make("tr", { class: isModel ? "model" : "" }, make("th", { scope: "row" }, name), make("td", { class: "bar", "aria-hidden": "true" }, bar), make("td", { class: "number" }, text));
  })));
}
