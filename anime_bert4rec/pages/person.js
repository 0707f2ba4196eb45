"use strict";
// The page of a person: what is recommended, as cards that are filtered and sorted by click.

const CARDS = DATA.cards;
const MOST_GIVEN = 4; // titles that are named in the heading
const wish = { text: "", genres: new Set(), formats: new Set(), planned: "all", sort: "rank", open: window.innerWidth > 760 };
const SORTS = {
  rank: (a, b) => a.rank - b.rank,
  predicted: (a, b) => (b.predicted ?? -1) - (a.predicted ?? -1) || a.rank - b.rank,
  mean: (a, b) => (TITLES.mean[b.title] || 0) - (TITLES.mean[a.title] || 0) || a.rank - b.rank,
  year: (a, b) => (TITLES.year[b.title] || 0) - (TITLES.year[a.title] || 0) || a.rank - b.rank,
  title: (a, b) => title(a.title).localeCompare(title(b.title), locale()),
};

function fits(card) {
  const genres = genresOf(card.title);
  return matches(card.title, wordsOf(wish.text))
    && [...wish.genres].every((each) => genres.includes(each))
    && (!wish.formats.size || wish.formats.has(TITLES.format[card.title]))
    && (wish.planned === "all" || card.planned === (wish.planned === "only"));
}

function scoresOf(card) {
  const rows = [];
  if (card.predicted !== null) rows.push([t(card.each.length ? "predicted_mean" : "predicted"), score(card.predicted, DATA.scale)]);
  for (const [name, predicted, scale, planned] of card.each) {
    const given = predicted === null ? "–" : score(predicted, scale);
    rows.push([name, planned ? `${given} (${t("is_planned")})` : given]);
  }
  const mean = meanOf(card.title);
  if (mean) rows.push([t("mean"), mean]);
  return rows.length ? make("dl", { class: "scores" }, rows.map(([a, b]) => make("div", {}, make("dt", {}, a), make("dd", {}, b)))) : null;
}

function cardElement(card) {
  const marks = [card.planned && t("is_planned"), card.release && named("release", card.release)].filter(Boolean);
  const because = titleElements(card.because.map(title), t("comma"));
  const body = [
    make("h3", {}, make("span", { class: "rank" }, number(card.rank)), titleElement(title(card.title))),
    make("p", { class: "muted" }, titleElements(otherTitles(card.title), " · ")),
    make("p", { class: "facts" }, factsOf(card.title)),
    scoresOf(card),
    make("p", { class: "tags" }, marks.map((each) => make("span", { class: "badge" }, each)),
      genresOf(card.title).map((each) => make("span", {}, named("genre", each)))),
    because.length ? make("p", { class: "muted because" }, t("because"), " ", because) : null,
    make("p", { class: "foot" }, link(card.title)),
  ];
  const image = { loading: "lazy", referrerpolicy: "no-referrer", alt: "", width: 92, height: 130, src: card.cover }; // src last: it loads
  return make("li", { class: "card", "data-id": TITLES.id[card.title] }, card.cover ? make("img", image) : null, make("div", {}, body));
}

function content() {
  const list = make("ol", { class: "cards" });
  const count = make("span", { role: "status" });
  const narrowed = make("span"); // what is chosen, for who has folded the controls, or reads it on paper
  const controls = make("div", { class: "controls" });
  const elements = new Map(CARDS.map((card) => [card, cardElement(card)]));
  function update() {
    const shown = CARDS.filter(fits).sort(SORTS[wish.sort]);
    list.replaceChildren(...shown.map((card) => elements.get(card)));
    count.textContent = t("shown", { shown: number(shown.length), all: number(CARDS.length) });
    const by = [wish.text.trim(), ...[...wish.genres].map((each) => named("genre", each)), ...[...wish.formats].map(formatName),
      wish.planned !== "all" && t(`planned.${wish.planned}`), wish.sort !== "rank" && `${t("sort")} ${t(`sort.${wish.sort}`)}`];
    narrowed.textContent = by.filter(Boolean).map((each) => ` · ${each}`).join("");
  }
  // One of several, and any of several.
  function choice(name, key, options) {
    const buttons = options.map((each) => toggle(t(`${key}.${each}`), wish[key] === each, () => {
      wish[key] = each;
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(options[at] === each)));
      update();
    }));
    return group(name, buttons);
  }
  function several(name, chosen, options, label) {
    return group(name, options.map((each) => {
      const button = toggle(label(each), chosen.has(each), () => {
        if (!chosen.delete(each)) chosen.add(each);
        button.setAttribute("aria-pressed", String(chosen.has(each)));
        update();
      });
      return button;
    }));
  }
  const distinct = (values) => [...new Set(values)].filter(Boolean).sort();
  const genres = distinct(CARDS.flatMap((card) => genresOf(card.title)));
  const formats = distinct(CARDS.map((card) => TITLES.format[card.title]));
  const search = make("input", { type: "search", "aria-label": t("filter"), placeholder: t("filter"), value: wish.text,
    oninput: () => ((wish.text = search.value), update()) });
  const sorts = Object.keys(SORTS).filter((each) => each !== "predicted" || DATA.scale);
  controls.append(search, choice(t("sort"), "sort", sorts));
  if (genres.length > 1) controls.append(several(t("genre"), wish.genres, genres, (each) => named("genre", each)));
  if (formats.length > 1) controls.append(several(t("format"), wish.formats, formats, formatName));
  if (CARDS.some((card) => card.planned)) controls.append(choice(t("planned"), "planned", ["all", "only", "without"]));
  const wishes = make("details", { class: "wishes", open: wish.open, ontoggle: () => (wish.open = wishes.open) }, make("summary", {}, t("wishes")), controls);
  update();
  const covers = CARDS.filter((card) => card.cover).length;
  const note = DATA.image_host ? t("covers", { count: number(covers), host: DATA.image_host }) : t("no_network");
  const parts = [make("p", { class: "note" }, note), make("section", {}, make("h2", { class: "unseen" }, t("recommended")), wishes,
    make("p", { class: "muted" }, count, narrowed), list)];
  if (DATA.map) {
    const recommended = CARDS.map((card) => card.title);
    const [place, rings] = DATA.names.length ? [t("your_place"), t("your_place_note")] : [t("map"), t("given_note")];
    parts.push(make("section", {}, make("h2", {}, place), make("p", { class: "note" }, rings),
      mapElement({ lit: DATA.lit, marked: recommended })));
  }
  return parts;
}

function heading() {
  const given = DATA.given.slice(0, MOST_GIVEN).map((each) => titleElement(title(each)));
  if (DATA.given.length > MOST_GIVEN) given.push("…");
  const who = [...DATA.names.map((each) => make("bdi", {}, each)), ...given].flatMap((each, at) => [at ? t("comma") : "", each]);
  const [before, after] = (DATA.similar ? t("like", { who: "\n" }) : t("for", { who: "\n" })).split("\n");
  return [before, who, after];
}

show(heading, content);
