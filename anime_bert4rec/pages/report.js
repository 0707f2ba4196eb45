"use strict";
// The report of a run: its curves, the model beside baselines, the lists, the map of anime.

const METRICS = { "ndcg@10": "NDCG@10", "hr@10": "HR@10", "recall@10": "Recall@10", mrr: "MRR" };
let metric = "ndcg@10";

const panel = (heading, ...parts) => make("div", {}, make("h3", {}, heading), parts);
const section = (id, heading, ...parts) => make("section", { id }, make("h2", {}, heading), parts);

function curvesSection(run) {
  const loss = [
    { name: t("training"), values: run.train_losses, color: "var(--train)", dash: "5 3" },
    { name: t("validation"), values: run.val_losses, color: "var(--model)" },
  ];
  const level = (name, values) => Object.keys(values).length ? [{ name, values: [values["10"]], color: "var(--muted)", dash: "2 4", level: true }] : [];
  const accuracy = [
    ...Object.entries(run.val_accuracies).map(([k, values]) => ({ name: `Top-${k}`, values, color: "var(--model)", dash: k === "10" ? null : "6 2" })),
    ...(run.baseline ? level(`${run.baseline} (10)`, run.baseline_levels) : []),
    ...level(`${t("popularity")} (10)`, run.popularity),
  ].map((each) => ({ ...each, values: each.values.filter((value) => value !== undefined) })).filter((each) => each.values.length);
  const known = run.val_losses.filter((value) => value !== null), [first, last] = [known[0], known.at(-1)].map((value) => number(value ?? 0, 2));
  const percent = (value) => `${number(value, value < 10 ? 1 : 0)} %`;
  const cell = (value, digits) => make("td", { class: "number" }, value === null || value === undefined ? "–" : number(value, digits));
  const rows = run.val_losses.map((value, k) => make("tr", {}, make("th", { scope: "row" }, number(k + 1)), cell(run.train_losses[k], 4), cell(value, 4),
    Object.values(run.val_accuracies).map((of) => cell(of[k], 1))));
  const heads = [t("epoch"), t("training"), t("validation"), ...Object.keys(run.val_accuracies).map((k) => `Top-${k} %`)];
  return section("curves", t("curves"),
    make("p", { class: "note" }, run.several_lengths ? t("lengths_note") : t("masked_note"), " ", t("curves_note")),
    make("div", { class: "panels" },
      panel(t("loss"), lines({ label: known.length ? t("loss_label", { first, last }) : t("loss"), series: loss, xName: t("epoch"), best: run.best_epoch, digits: (value) => number(value, 2) })),
      panel(t("accuracy"), lines({ label: t("accuracy"), series: accuracy, xName: t("epoch"), best: run.best_epoch, digits: percent, fromZero: true }))),
    make("details", {}, make("summary", {}, t("numbers")), make("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": t("numbers") }, make("table", {}, make("thead", {}, make("tr", {}, heads.map((each) => make("th", { scope: "col" }, each)))), make("tbody", {}, rows)))));
}

function rankingSection(tasks) {
  const panels = make("div", { class: "panels" });
  function draw() {
    panels.replaceChildren(...tasks.map((task) => {
      const caption = `${named("task", task.name)} · ${METRICS[metric]} · ${t("users", { count: number(task.users) })}`;
      if (!task.contenders.length) return make("div", {}, make("p", { class: "muted" }, `${caption}: ${t("too_few")}`));
      const rows = task.contenders.filter((each) => each.values[metric]).map(({ name, values, model }) => {
        const [mean, error] = values[metric];
        return [named("contender", name), mean, `${number(mean, 3)} ± ${number(error, 3)}`, model];
      });
      return make("div", {}, barTable(caption, rows));
    }));
  }
  const buttons = Object.entries(METRICS).map(([key, name]) => toggle(name, key === metric, () => {
    metric = key;
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(Object.keys(METRICS)[at] === key)));
    draw();
  }));
  draw();
  return section("ranking", t("ranking"), make("p", { class: "note" }, t("ranking_note")), make("div", { class: "controls" }, group(t("metric"), buttons)), panels);
}

function listsSection(lists) {
  const shares = ["own_date", "bulk", "undated"].map((key) => [t(key), lists[key]]);
  const some = [0, 0.5, 1].map((part) => lists.tail[Math.round(part * (lists.tail.length - 1))]).filter(Boolean);
  const all = shares.reduce((sum, [, value]) => sum + value, 0) || 1;
  return section("lists", t("lists"),
    make("p", { class: "note" }, t("lists_note", { users: number(lists.users), entries: number(lists.entries) })),
    make("div", { class: "panels" },
      panel(t("lengths"), bars({ label: t("lengths"), values: lists.lengths.map(([low, count]) => [number(low), count]), xName: t("lengths_axis") })),
      panel(t("tail"), lines({ label: told(t("tail"), t("tail_axis"), some.map(([rank, count]) => [number(rank), count])), series: [{ name: "", values: lists.tail.map(([, value]) => value), color: "var(--model)" }], xs: lists.tail.map(([rank]) => rank), xName: t("tail_axis"), log: true, digits: (value) => number(value) })),
      lists.years.length ? panel(t("years"), bars({ label: t("years"), values: lists.years.map(([year, count]) => [String(year), count]), xName: t("years_axis") })) : null,
      panel(t("dates"), barTable("", shares.map(([name, value]) => [name, value, `${number((100 * value) / all)} %`, false])))));
}

function content() {
  const parts = [];
  if (DATA.run) parts.push(["curves", curvesSection(DATA.run)]);
  if (DATA.tasks.length) parts.push(["ranking", rankingSection(DATA.tasks)]);
  if (DATA.lists) parts.push(["lists", listsSection(DATA.lists)]);
  if (DATA.map) {
    const note = DATA.who ? t("map_note_who", { who: DATA.who }) : t("map_note");
    parts.push(["map", section("map", t("map"), make("p", { class: "note" }, note), mapElement({ lit: DATA.lit }))]);
  }
  const count = (value) => (value === null ? "–" : number(value));
  const links = make("nav", { "aria-label": t("parts") }, parts.map(([id]) => make("a", { href: `#${id}` }, t(id))));
  const run = DATA.run;
  const facts = run && t("facts", { users: count(run.users), items: count(run.items), epochs: count(run.epochs), best: count(run.best_epoch) });
  return [facts ? make("p", {}, facts) : null, links, parts.map(([, part]) => part), make("p", { class: "note" }, t("no_network"))];
}

show(() => t("report"), content);
