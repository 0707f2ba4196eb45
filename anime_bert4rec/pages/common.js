"use strict";
// What both pages use: texts in two languages, elements made from text alone, titles, numbers.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const TEXTS = read("texts");
const DATA = read("data");
const TITLES = DATA.titles;
const SPELLINGS = ["romaji", "english", "native"];
let language = /^zh/i.test(navigator.language || "") ? "zh" : "en";
let spelling = DATA.spelling || "romaji";

// A text with its values: {count}, or with a noun after it {count:title|titles}.
function t(key, values = {}) {
  const part = (_, name, one, many) => values[name] + (one ? ` ${values[name] === "1" ? one : many}` : "");
  return TEXTS[language][key].replace(/\{(\w+)(?::([^|]+)\|([^}]+))?\}/g, part);
}
const named = (kind, word) => TEXTS[language][`${kind}.${word}`] || word;
const locale = () => (language === "zh" ? "zh-Hant-TW" : "en");
// Half of a last digit goes to the even one, as in the terminal.
const number = (value, digits = 0) =>
  value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" });
const score = (value, scale) => t("of", { score: number(value, scale >= 100 ? 0 : 1), scale });

// An element. Strings among the children become text, never markup; `on…` attributes are functions.
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}
function makeSvg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function title(which) {
  const given = [TITLES[spelling][which], ...SPELLINGS.map((each) => TITLES[each][which])].find(Boolean);
  return given || t("anime", { id: TITLES.id[which] });
}
function otherTitles(which) {
  const all = SPELLINGS.map((each) => TITLES[each][which]).filter(Boolean);
  return [...new Set(all)].filter((each) => each !== title(which));
}
// A title in an element that keeps its direction to itself and says its language to a screen reader.
function titleElement(text) {
  const spoken = /[\uac00-\ud7af]/.test(text) ? "ko" : /[\u3040-\u30ff\u4e00-\u9fff]/.test(text) ? "ja" : null;
  return make("bdi", { lang: spoken }, text);
}
const titleElements = (texts, between) => texts.flatMap((each, at) => [at ? between : "", titleElement(each)]);
// The mean on AniList, in the person's scale where there is a person, so that it can be compared.
function meanOf(which) {
  const mean = TITLES.mean[which], scale = DATA.scale || 10;
  return mean ? score((mean * scale) / 100, scale) : null;
}
const genresOf = (which) => TITLES.genres[which].map((each) => TITLES.genre_names[each]);
const formatName = (word) => named("format", word);
function factsOf(which) {
  const facts = [TITLES.year[which] || null, TITLES.format[which] && formatName(TITLES.format[which])];
  const episodes = TITLES.episodes[which];
  if (episodes > 1) facts.push(t("episodes", { count: number(episodes) }));
  return facts.filter(Boolean).join(" · ");
}
function link(which) {
  if (!DATA.links) return null;
  const attributes = { href: `https://anilist.co/anime/${TITLES.id[which]}`, target: "_blank" };
  attributes.rel = "noopener noreferrer";
  attributes["aria-label"] = t("on_anilist", { title: title(which) });
  return make("a", attributes, "AniList");
}

// Text as it is compared: in one case and width, without accents.
const folded = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
const SEARCHED = [];
function searchable(which) {
  if (SEARCHED[which] === undefined) {
    const all = [...SPELLINGS.map((each) => TITLES[each][which]), TITLES.others[which]];
    SEARCHED[which] = folded(all.filter(Boolean).join("\n"));
  }
  return SEARCHED[which];
}
const matches = (which, words) => words.every((word) => searchable(which).includes(word));
const wordsOf = (text) => folded(text).split(/\s+/).filter(Boolean);

// A button that stays pressed.
function toggle(label, pressed, onclick) {
  return make("button", { type: "button", "aria-pressed": String(pressed), onclick }, label);
}
function group(name, ...buttons) {
  return make("div", { class: "group", role: "group", "aria-label": name }, make("span", { class: "name" }, name), buttons);
}

// The page with what `heading()` and `content()` give, drawn again in another language or spelling.
function show(heading, content) {
  const draw = (focus) => {
    document.documentElement.lang = language === "zh" ? "zh-Hant" : "en";
    const h1 = make("h1", {}, heading());
    document.title = h1.textContent;
    const other = language === "zh" ? "en" : "zh";
    const choice = make("select", { id: "spelling", onchange: () => ((spelling = choice.value), draw("spelling")) },
      SPELLINGS.map((each) => make("option", { value: each, selected: each === spelling }, t(each))));
    const languages = make("button", { type: "button", id: "language", lang: other === "zh" ? "zh-Hant" : "en",
      onclick: () => ((language = other), draw("language")) }, other === "zh" ? "中文" : "English");
    const settings = make("div", { class: "group" }, make("label", { for: "spelling", class: "muted" }, t("titles_in")), choice, languages);
    const head = make("header", {}, make("div", {}, h1, make("p", { class: "muted" }, DATA.made)), settings);
    const page = document.getElementById("page");
    page.replaceChildren(head, make("main", {}, content()));
    for (const drawn of page.querySelectorAll("[data-drawn]")) drawn.dispatchEvent(new Event("shown"));
    if (focus) document.getElementById(focus).focus();
    else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  };
  draw();
}
