"use strict";
// The panel: what is shown, its legend, the list to check, the scores.

const ALL_DATES = ["roads", "areas"]; // what the map draws of all dates together, whatever the slider says

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const options = (pairs, chosen) => pairs.map(([value, text]) => element("option", { value, textContent: text, selected: value === chosen }));

function fillSite(state) {
  const { sites } = state.content;
  const { site } = state;
  byId("site-name").textContent = site.title;
  byId("site").hidden = sites.length < 2;
  byId("site-name").hidden = sites.length > 1;
  byId("site").replaceChildren(...options(sites.map((each) => [each.name, each.title]), site.name));
  const span = site.dates.length > 1 ? `${site.dates.length} dates, ${site.dates[0]} to ${site.dates.at(-1)}` : site.dates[0];
  byId("site-facts").textContent = `${span} · fused by ${site.fusion}`;
  byId("credit").textContent = site.attribution;
  document.title = `${site.title} · swath`;
}

/** Radio buttons of the layers, check boxes of the overlays, lists of what can be compared. */
function fillLayers(state) {
  const { site } = state;
  const { name: focused, value } = document.activeElement;
  const rows = state.shows().map((show, at) =>
    element("label", { className: "choice" },
      element("input", { type: "radio", name: "show", value: show, checked: show === state.show }),
      element("span", { textContent: show === "probability" ? `Probability of ${plain(state.target)}` : TITLES[show] }),
      element("kbd", { textContent: at + 1, ariaHidden: "true" })));
  byId("layers").replaceChildren(byId("layers").firstElementChild, ...rows);
  const boxes = site.overlays.map((overlay, index) =>
    element("label", { className: "choice" },
      element("input", { type: "checkbox", name: "on", value: overlay.id, checked: state.on.has(overlay.id) }),
      element("span", { textContent: overlay.title }, ...(ALL_DATES.includes(overlay.role) ? [element("small", { textContent: "of all dates" })] : [])),
      swatch(overlay, index)));
  byId("overlays").hidden = !boxes.length;
  byId("overlays").replaceChildren(byId("overlays").firstElementChild, ...boxes);
  const foreground = site.classes.filter((c) => c.foreground);
  byId("target-row").hidden = foreground.length < 2;
  byId("target").replaceChildren(...options(foreground.map((c) => [c.name, plain(c.name)]), state.target));
  const dated = (show) => site.layers.filter((layer) => layer.date && layer.id.startsWith(show === "image" ? "image" : "pmap")).map((layer) => [`${show} ${layer.date}`, state.titleOf(show, layer.date)]);
  const pairs = state.shows().flatMap((show) =>
    show === "image" ? dated(show) : show === "probability" ? [[`probability ${ALL}`, state.titleOf(show, ALL)], ...dated(show)] : [[show, TITLES[show]]]);
  byId("compare").replaceChildren(...options([["", "nothing"], ...pairs], state.compare));
  // Made anew, the boxes have lost the focus of whoever goes through them by keys.
  if (["show", "on"].includes(focused)) document.querySelector(`[name="${focused}"][value="${CSS.escape(value)}"]`)?.focus();
}

function swatch(overlay, index) {
  const colour = overlayColour(overlay, index);
  return element("i", { className: "swatch", style: `background: ${colour ?? (["areas", "wrong"].includes(overlay.role) ? "none" : gradient(LINE_RAMP))}`, ariaHidden: "true" });
}

/** Say what the colours mean: of the layers on both sides, and of the lines by probability. */
function fillLegend(state) {
  const shown = [state.layerOf(state.show, state.date)];
  if (state.compare) shown.push(state.layerOf(...state.comparePair()));
  const parts = [...new Map(shown.map((layer) => [layer.kind === "colours" ? layer.id : layer.kind, layer])).values()].map((layer) => legendOf(state, layer));
  const lines = state.site.overlays.find((overlay) => overlay.role === "roads" && state.on.has(overlay.id));
  if (lines) parts.push([ramp(`${lines.title}, of all dates: mean probability`, LINE_RAMP)]);
  if (state.site.overlays.some((overlay) => overlay.role === "wrong" && state.on.has(overlay.id))) {
    parts.push([element("p", { className: "quiet", textContent: "Wrong areas, in the colour of the label:" }), ...state.site.classes.map((c) => chip(plain(c.name), classColour(c)))]);
  }
  byId("legend").replaceChildren(...parts.flat());
}

function legendOf(state, layer) {
  if (layer.kind === "probability") {
    const where = state.site.threshold;
    return [ramp(`Probability of ${plain(state.target)}`, RAMP, where, where === null ? "" : `classes from a score of ${where.toFixed(2)} up`)];
  }
  if (layer.kind === "dates") return [element("p", { className: "quiet", textContent: "When the class last changed:" }), ...layer.values.map((value, at) => chip(layer.labels[at], css(along(DATE_RAMP, at / Math.max(1, layer.values.length - 1)))))];
  if (layer.kind === "classes") return state.site.classes.filter((c) => c.foreground).map((c) => chip(plain(c.name), classColour(c)));
  if (layer.id === "composite") {
    return dayColours(layer);
  }
  return [];
}

/** The days of a picture in colours: one that stands in several channels has the colour of all of them. */
function dayColours({ labels }) {
  const channels = labels.map((label) => label.match(/\d{4}-\d\d-\d\d/g) ?? []);
  const apart = new Set(channels.flat()).size === channels.flat().length;
  const groups = apart ? channels : [...new Set(channels.flat())].map((day) => [day]);
  if (groups.length < 2) return [element("p", { className: "quiet", textContent: `${groups[0] ?? ""}: light where the probability is high.` })];
  const share = (channel, days) => days.filter((day) => channel.includes(day)).length / Math.max(1, channel.length);
  const colour = (days) => css(channels.map((channel) => Math.round(255 * share(channel, days))));
  const words = (days) => (days.length > 2 ? `${days[0]} to ${days.at(-1)}, ${days.length} days` : days.join(" and "));
  return [element("p", { className: "quiet", textContent: "A road on one date only, by its colour:" }), ...groups.map((days) => chip(words(days), colour(days))), element("p", { className: "quiet", textContent: "White: on all of them." })];
}

const chip = (text, colour) => element("div", { className: "chip" }, element("i", { style: `background: ${colour}`, ariaHidden: "true" }), text);

function ramp(title, colours, mark = null, note = "") {
  const bar = element("div", { className: "ramp", style: `background: ${gradient(colours)}` });
  if (mark !== null) bar.append(element("b", { style: `left: ${mark * 100}%` }));
  return element("div", {}, element("span", { className: "quiet", textContent: title }), bar,
    element("div", { className: "ends quiet" }, element("span", { textContent: "0" }), element("span", { textContent: note }), element("span", { textContent: "1" })));
}

/** The slider of dates: a stop a date, the last one for all of them. */
function fillTimeline(state) {
  const { stops, at: here } = state.slider();
  const useful = state.site.dates.length > 1 && ["image", "probability"].includes(state.show);
  byId("timeline").hidden = !useful;
  const slider = byId("date");
  slider.max = stops.length - 1;
  slider.value = here;
  const words = stops[here] === ALL ? (state.show === "image" ? `Newest image, ${state.imageUnder()?.date ?? ""}` : "All dates, fused") : state.date;
  byId("date-text").textContent = words;
  const whole = state.site.overlays.some((overlay) => ALL_DATES.includes(overlay.role) && state.on.has(overlay.id));
  byId("date-note").textContent = whole && state.date !== ALL ? "Lines and areas: of all dates" : "";
  slider.setAttribute("aria-valuetext", words);
  const few = stops.length <= 5;
  const caption = (stop, at) => (stop === ALL ? (state.show === "image" ? state.layerOf("image", ALL).date : "all") : few || at === 0 ? stop : "");
  byId("ticks").replaceChildren(...stops.map((stop, at) => element("i", { style: `left: ${(at / (stops.length - 1)) * 100}%` }, element("span", { textContent: caption(stop, at) }))));
}

function fillScores(content) {
  const parts = content.scores.map(({ title, note, columns, rows }) => element("section", {},
    element("h2", { textContent: title }),
    element("table", {},
      element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col", textContent: name })))),
      element("tbody", {}, ...rows.map((row) => element("tr", { className: row.main ? "main" : "" }, ...row.cells.map((cell, at) => element(at ? "td" : "th", at ? { textContent: cell } : { scope: "row", textContent: cell })))))),
    element("p", { className: "quiet", textContent: note })));
  byId("part-scores").replaceChildren(...parts);
}
