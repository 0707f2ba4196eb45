"use strict";
// The map of anime: a canvas that is moved and zoomed, a search, and the title that is chosen with its neighbours.

const MAP = DATA.map;
const MOST_NAMES = 60, MOST_FOUND = 12, NEAR_ENOUGH = 14, LARGEST_ZOOM = 60;
const view = { zoom: 1, x: 0.5, y: 0.5 }; // x and y: what is in the middle, of a map that is 1 wide and high
const chosen = { title: null, genre: null, text: "" };

// For each title the rarest of its genres among the eight most common ones, as a position in that list, or -1.
function mainGenres(count) {
  const counts = TITLES.genre_names.map(() => 0);
  for (let each = 0; each < count; each++) for (const genre of TITLES.genres[each]) counts[genre]++;
  const common = [...counts.keys()].filter((each) => counts[each]).sort((a, b) => counts[b] - counts[a] || a - b).slice(0, 8);
  const place = new Map(common.map((genre, at) => [genre, at]));
  const of = Array.from({ length: count }, (_, each) => Math.max(-1, ...TITLES.genres[each].map((genre) => place.get(genre) ?? -1)));
  return { common, of };
}

function mapElement({ lit = null, marked = [] } = {}) {
  const size = MAP.x.length;
  const [onList, recommended] = [lit, marked].map((each) => new Set((each || []).filter((which) => which < size)));
  const { common, of } = mainGenres(size);
  const largest = MAP.popularity.reduce((a, b) => Math.max(a, b), 1);
  const radius = MAP.popularity.map((each) => 1.6 + 5.5 * Math.sqrt(each / largest));
  const canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": t("map_label", { count: number(size) }), "data-drawn": "" });
  const details = make("div", { class: "details", "aria-live": "polite" });
  const found = make("ul", { class: "found" });
  const says = make("span", { class: "muted", role: "status" });
  let width = 0, height = 0, hovered = null, waiting = false, colors = {}, image = null;
  const discs = new Map(), widths = [];

  const across = (each) => ((MAP.x[each] / 9999 - view.x) * view.zoom + 0.5) * (width - 40) + 20;
  const down = (each) => ((MAP.y[each] / 9999 - view.y) * view.zoom + 0.5) * (height - 40) + 20;
  const grown = () => Math.min(3, view.zoom ** 0.35);
  const fades = (each) => chosen.genre !== null && of[each] !== chosen.genre || onList.size > 0 && !onList.has(each) && !recommended.has(each);

  // Which titles are pale: what is not of the genre that is picked out, or on no list where one is lit up.
  const fade = new Uint8Array(size);
  const pale = () => fade.forEach((_, each) => (fade[each] = Number(fades(each))));

  function look() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    colors = { card: color("card"), ink: color("ink"), lit: color("lit"), line: color("muted"), model: color("model") };
    const parts = (name) => [1, 3, 5].map((at) => parseInt(color(name).slice(at, at + 2), 16)); // #rrggbb
    colors.paper = parts("card");
    colors.genres = [parts("other"), ...common.map((_, at) => parts(`genre${at}`))];
  }
  // A disc as it covers a square of pixels, 0 to 255, smooth at its edge.
  function disc(pixels) {
    if (!discs.has(pixels)) {
      const wide = pixels + 2, middle = (wide - 1) / 2, cover = new Uint8Array(wide * wide);
      cover.forEach((_, k) => {
        const apart = Math.hypot((k % wide) - middle, Math.floor(k / wide) - middle);
        cover[k] = 255 * Math.max(0, Math.min(1, pixels / 2 + 0.5 - apart));
      });
      discs.set(pixels, cover);
    }
    return discs.get(pixels);
  }
  // Laid over the pixels by hand: many thousands in a frame are too many for the canvas itself.
  function lay(image, pixels, left, top, [red, green, blue], alpha) {
    const cover = disc(pixels), wide = pixels + 2, { data } = image;
    for (let row = Math.max(0, -top); row < wide && top + row < image.height; row++) {
      for (let column = Math.max(0, -left); column < wide && left + column < image.width; column++) {
        const share = (cover[row * wide + column] * alpha) >> 8, at = 4 * ((top + row) * image.width + left + column);
        data[at] += ((red - data[at]) * share) >> 8;
        data[at + 1] += ((green - data[at + 1]) * share) >> 8;
        data[at + 2] += ((blue - data[at + 2]) * share) >> 8;
      }
    }
  }
  function ring(pen, each, color, more, wide) {
    pen.strokeStyle = color;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.arc(across(each), down(each), radius[each] * grown() + more, 0, 2 * Math.PI);
    pen.stroke();
  }
  function name(pen, each, taken, strong) {
    if (taken.named.has(each) && !strong) return false;
    const whole = title(each), text = whole.length > 34 ? `${whole.slice(0, 33)}…` : whole;
    if (strong || !widths[each]) widths[each] = pen.measureText(text).width;
    const wide = widths[each], x = across(each), y = down(each), away = radius[each] * grown() + 4;
    for (const left of [x + away, x - away - wide]) {
      const box = [left - 2, y - 9, left + wide + 2, y + 9];
      const inside = box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height;
      if (!strong && (!inside || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]))) continue;
      const from = strong ? Math.max(2, Math.min(left, width - wide - 2)) : left;
      pen.globalAlpha = strong ? 0.95 : 0.7;
      pen.fillStyle = colors.card;
      pen.fillRect(from - 2, y - 9, wide + 4, 18);
      pen.globalAlpha = 1;
      pen.fillStyle = colors.ink;
      pen.fillText(text, from, y);
      taken.push(box);
      taken.named.add(each);
      return true;
    }
    return false;
  }
  function draw() {
    waiting = false;
    const ratio = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    if (!image || image.width !== canvas.width || image.height !== canvas.height) image = pen.createImageData(canvas.width, canvas.height);
    new Uint32Array(image.data.buffer).fill(new Uint32Array(new Uint8Array([...colors.paper, 255]).buffer)[0]);
    const visible = [], grow = 2 * grown() * ratio;
    for (const faded of [1, 0]) {
      for (let each = size - 1; each >= 0; each--) { // the most popular is drawn last
        if (fade[each] !== faded) continue;
        const x = across(each), y = down(each);
        if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
        const pixels = Math.max(2, Math.round(radius[each] * grow)), half = pixels / 2 + 1;
        lay(image, pixels, Math.round(x * ratio - half), Math.round(y * ratio - half), colors.genres[of[each] + 1], faded ? 46 : 218);
        if (!faded) visible.push(each);
      }
    }
    pen.putImageData(image, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const each of onList) ring(pen, each, colors.lit, 1, 1.5);
    for (const each of recommended) ring(pen, each, colors.model, 2.5, 2.5);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const taken = Object.assign([], { named: new Set() });
    if (chosen.title !== null) {
      pen.strokeStyle = colors.line;
      pen.lineWidth = 1;
      for (const near of MAP.near[chosen.title]) {
        pen.beginPath();
        pen.moveTo(across(chosen.title), down(chosen.title));
        pen.lineTo(across(near), down(near));
        pen.stroke();
      }
      ring(pen, chosen.title, colors.ink, 3, 2.5);
      for (const each of [chosen.title, ...MAP.near[chosen.title]]) name(pen, each, taken, false);
    }
    let names = 0, tried = 0;
    for (const each of [...recommended, ...visible.slice(-400).reverse()]) {
      if (names >= Math.min(MOST_NAMES, width / 14) || tried++ > 400) break;
      if (name(pen, each, taken, false)) names++;
    }
    if (hovered !== null) {
      ring(pen, hovered, colors.ink, 2, 2);
      pen.font = "600 13px system-ui, sans-serif";
      name(pen, hovered, taken, true);
    }
  }
  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }
  function held() { // something of the map stays in sight
    view.zoom = Math.max(0.8, Math.min(LARGEST_ZOOM, view.zoom));
    view.x = Math.max(0, Math.min(1, view.x));
    view.y = Math.max(0, Math.min(1, view.y));
    redraw();
  }
  function zoomAt(factor, x = width / 2, y = height / 2) {
    const before = view.zoom;
    view.zoom = Math.max(0.8, Math.min(LARGEST_ZOOM, view.zoom * factor));
    const change = 1 / before - 1 / view.zoom;
    view.x += ((x - 20) / (width - 40) - 0.5) * change;
    view.y += ((y - 20) / (height - 40) - 0.5) * change;
    held();
  }
  function panBy(x, y) {
    view.x -= x / (width - 40) / view.zoom;
    view.y -= y / (height - 40) / view.zoom;
    held();
  }
  function whole() {
    Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    redraw();
  }
  function nearest(x, y) {
    let best = null, least = NEAR_ENOUGH ** 2;
    for (let each = 0; each < size; each++) {
      const square = (across(each) - x) ** 2 + (down(each) - y) ** 2;
      if (square < least && !(fade[each] && square > 16)) [best, least] = [each, square];
    }
    return best;
  }
  function choose(which, move) {
    chosen.title = which;
    if (which !== null && move) {
      view.zoom = Math.max(view.zoom, 5);
      [view.x, view.y] = [MAP.x[which] / 9999, MAP.y[which] / 9999];
    }
    describe();
    held();
  }
  function describe() {
    if (chosen.title === null) return details.replaceChildren(make("p", { class: "muted" }, t("map_help")));
    const which = chosen.title, others = titleElements(otherTitles(which), " · ");
    const marks = [onList.has(which) && t("on_list"), recommended.has(which) && t("recommended")].filter(Boolean);
    const mean = meanOf(which), listed = t("on_lists", { count: number(MAP.popularity[which]) });
    details.replaceChildren(
      make("h3", { tabindex: -1 }, titleElement(title(which))), make("p", { class: "muted" }, others), make("p", {}, factsOf(which)),
      make("p", { class: "tags" }, marks.map((each) => make("span", { class: "badge" }, each)), genresOf(which).map((each) => make("span", {}, named("genre", each)))),
      make("p", { class: "muted" }, mean ? `${t("mean")} ${mean} · ` : "", listed), make("p", {}, link(which)),
      make("p", { class: "muted" }, t("near")),
      make("ul", {}, MAP.near[which].map((near) => make("li", {}, make("button", { type: "button", onclick: () => (choose(near, true), details.querySelector("h3").focus()) }, titleElement(title(near)))))),
      make("button", { type: "button", onclick: () => (choose(null), canvas.focus()) }, t("close")),
    );
  }
  function search() {
    chosen.text = input.value;
    const words = wordsOf(chosen.text), hits = [];
    if (words.length) for (let each = 0; each < size; each++) if (matches(each, words)) hits.push(each);
    says.textContent = words.length ? t("found", { count: number(hits.length) }) : "";
    found.replaceChildren(...hits.slice(0, MOST_FOUND).map((each) =>
      make("li", {}, make("button", { type: "button", onclick: () => choose(each, true) }, titleElement(title(each))))));
    return hits;
  }
  const input = make("input", { type: "search", "aria-label": t("search_map"), placeholder: t("search_map"), value: chosen.text, oninput: search,
    onkeydown: (event) => { if (event.key === "Enter" && search().length) choose(search()[0], true); } });

  const legend = make("div", { class: "group legend", role: "group", "aria-label": t("genre") });
  [...common.keys(), -1].filter((at) => of.includes(at)).forEach((at) => {
    const dot = make("span", { class: "dot", "aria-hidden": "true" });
    dot.style.background = at < 0 ? "var(--other)" : `var(--genre${at})`;
    const label = at < 0 ? t("other") : named("genre", TITLES.genre_names[common[at]]);
    const button = toggle("", chosen.genre === at, () => {
      chosen.genre = chosen.genre === at ? null : at;
      for (const each of legend.children) each.setAttribute("aria-pressed", String(each === button && chosen.genre !== null));
      pale();
      redraw();
    });
    button.append(dot, label);
    legend.append(button);
  });

  const pointers = new Map();
  let moved = 0;
  const at = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event), before = pointers.get(event.pointerId);
    if (!before) {
      const now = nearest(x, y);
      if (now !== hovered) [hovered] = [now, redraw()];
      canvas.style.cursor = now === null ? "grab" : "pointer";
      return;
    }
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    if (other) {
      const apart = (from) => Math.hypot(from[0] - other[1][0], from[1] - other[1][1]) || 1;
      zoomAt(apart([x, y]) / apart(before), (x + other[1][0]) / 2, (y + other[1][1]) / 2);
    } else panBy(x - before[0], y - before[1]);
    pointers.set(event.pointerId, [x, y]);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (pointers.size === 1 && moved < 6) choose(nearest(...at(event)), false);
    pointers.delete(event.pointerId);
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => ([hovered] = [null, redraw()]));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => panBy(60, 0), ArrowRight: () => panBy(-60, 0), ArrowUp: () => panBy(0, 60), ArrowDown: () => panBy(0, -60),
      "+": () => zoomAt(1.4), "=": () => zoomAt(1.4), "-": () => zoomAt(1 / 1.4), 0: whole, Escape: () => choose(null) };
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const sizes = new ResizeObserver(measured), looks = ["(prefers-color-scheme: dark)", "print"].map((query) => matchMedia(query));
  function measured() {
    if (!canvas.isConnected) { // another map is in its place, in another language
      sizes.disconnect();
      for (const each of looks) each.removeEventListener("change", measured);
      return;
    }
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    look();
    draw();
  }
  canvas.addEventListener("shown", () => {
    measured();
    sizes.observe(canvas);
    for (const each of looks) each.addEventListener("change", measured);
  });

  pale();
  describe();
  search();
  const button = (sign, key, onclick) => make("button", { type: "button", "aria-label": t(key), title: t(key), onclick }, sign);
  const zoom = make("div", { class: "zoom" }, button("+", "zoom_in", () => zoomAt(1.4)), button("−", "zoom_out", () => zoomAt(1 / 1.4)), button("⤢", "zoom_all", whole));
  const tools = make("div", { class: "tools" }, make("div", { class: "group search" }, input, says), found, legend);
  return make("div", { class: "map" }, tools, make("div", { class: "stage" }, canvas, zoom), details);
}
