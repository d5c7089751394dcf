"use strict";
// The page: starts from its content, follows the reader's hand, and keeps the link true.

const state = new State(content);
let site = null; // the SiteMap that is shown
let listed = []; // the features of the table, in its order
const table = new LineTable(state);
const review = new Review(state, () => {
  listQueue();
  repaintLines();
});

let saying;
function say(words) {
  clearTimeout(saying);
  byId("busy").textContent = words;
  byId("busy").hidden = false;
  saying = setTimeout(() => (byId("busy").hidden = true), 8000);
}

/** Show a site; `at` is { center, resolution } or null for the whole of it. */
function openSite(at) {
  site?.map.setTarget(null);
  for (const id of ["zoom", "scale"]) byId(id).replaceChildren();
  site = new SiteMap(state.site, state);
  flight = view = null;
  pointed = null;
  byId("where").textContent = "";
  byId("facts").hidden = true;
  fillSite(state);
  if (at) {
    site.look(at);
  } else {
    site.map.getView().fit(state.site.bounds, { padding: room() });
  }
  const { map } = site;
  map.on("moveend", () => {
    keepLink();
    if (!byId("in-view").checked || (flight && site.isAt(flight))) return;
    view = null;
    relist();
  });
  map.on("singleclick", (event) => click(event.coordinate, event.pixel));
  map.on("pointermove", (event) => event.dragging || hover(event.coordinate));
  map.on("loadend", () => document.body.setAttribute("data-ready", state.site.name));
  map.getTargetElement().querySelector(".ol-viewport").setAttribute("role", "presentation");
  openLists();
  refresh();
  if (state.pick) restore();
}

/** Everything that follows from the state. */
function refresh() {
  fillLayers(state);
  fillLegend(state);
  fillTimeline(state);
  byId("opacity").value = state.opacity * 100;
  byId("opacity").disabled = !state.fades();
  byId("opacity").title = state.fades() ? "" : "An image is shown: there is nothing below it";
  repaintLines(); // on probabilities they look otherwise
  placeSwipe();
  site.show();
  if (pointed) hover(pointed);
  keepLink();
}

function keepLink() {
  const link = `#${state.link(site.map.getView())}`;
  // Inside another page there is no address to keep it in.
  if (location.protocol !== "about:" && location.hash !== link) history.replaceState(null, "", link);
}

function repaintLines() {
  for (const layer of site?.overlays ?? []) layer.changed();
}

/* ---- the table of lines ---- */

const queued = () => site.overlays.find((layer) => layer.get("overlay").id === byId("queue").value);

function openLists() {
  const { overlays } = state.site;
  const lists = [...overlays.filter((overlay) => overlay.ranked), ...overlays.filter((overlay) => !overlay.ranked)];
  byId("queue").replaceChildren(...options(lists.map((overlay) => [overlay.id, overlay.title]), lists[0]?.id));
  byId("tab-check").hidden = !lists.length;
  byId("tab-scores").hidden = !content.scores.length;
  byId("tabs").hidden = !lists.length && !content.scores.length;
  fillScores(content);
  for (const part of document.querySelectorAll(".to-check")) part.hidden = !overlays.some((overlay) => overlay.ranked);
  openTab("map");
  if (lists[0]?.ranked) openQueue();
}

let openings = 0;
/** Have the features of the chosen layer, and list them. */
async function openQueue() {
  const layer = queued();
  if (!layer) return;
  const turn = ++openings;
  const overlay = layer.get("overlay");
  byId("verdicts").hidden = byId("kept").hidden = !overlay.ranked;
  const kept = byId("kept");
  kept.textContent = content.live ? `Decisions are kept in ${content.kept_in}.` : "Decisions stay in this browser. ";
  if (!content.live) kept.append(element("button", { textContent: "Save as GeoJSON", onclick: saveDecisions }));
  if (state.filter?.overlay !== overlay.id) state.filter = null;
  if (table.overlay !== overlay) byId("progress").textContent = "Reading the lines …";
  const features = many(overlay) ? await firstFeatures(site, overlay, table.overlay === overlay ? table.sort : null, state.filter, seen()) : await allFeatures(site, layer);
  if (turn !== openings) return;
  const anew = table.overlay !== overlay;
  table.open(overlay, features);
  if (anew) {
    byId("filter").replaceChildren(...options(table.numeric().map((name) => [name, COLUMNS[name]]), table.columns.includes("length_m") ? "length_m" : ""));
    byId("low").value = byId("high").value = "";
  }
  listQueue();
}

let flight = null; // where the list itself led to last: it stays as it is
let view = null; // what was in view when it was made
/** What is in view, if only that is listed. */
const seen = () => (byId("in-view").checked ? (view ??= site.map.getView().calculateExtent()) : null);

function listQueue() {
  if (!site || !table.overlay || table.overlay.id !== byId("queue").value) return;
  listed = table.rows(seen());
  table.fill(listed, choose, (column) => {
    table.by(column);
    relist();
    document.querySelector("#queue-head [aria-sort$=ending] button").focus();
  });
  byId("progress").textContent = table.words(listed);
}

/** After another order or filter: of very many lines others come first. */
function relist() {
  if (table.overlay && many(table.overlay)) openQueue();
  else listQueue();
}

let typing;
function filterLines() {
  clearTimeout(typing);
  const bound = (id, otherwise) => (byId(id).value === "" ? otherwise : Number(byId(id).value));
  const [low, high] = [bound("low", -Infinity), bound("high", Infinity)];
  state.filter = low === -Infinity && high === Infinity ? null : { overlay: byId("queue").value, column: byId("filter").value, low, high };
  repaintLines();
  relist();
}

/** Go to a line of the table. */
function choose(feature) {
  const { id } = table.overlay;
  byId("note").value = state.verdicts.get(feature.get("key"))?.note ?? "";
  if (!state.on.has(id)) {
    state.on.add(id);
    refresh();
  }
  if (innerWidth <= 720) fold(false);
  pick(middleOf(feature.getGeometry()), feature);
  flight = site.go(grown(feature.getGeometry().getExtent(), 0.2), site.finest() / 4);
  showChosen();
}

function showChosen() {
  for (const row of byId("queue-list").rows) row.setAttribute("aria-current", row.dataset.key === state.chosen?.get("key"));
  document.querySelector("#queue-list [aria-current=true]")?.scrollIntoView({ block: "nearest" });
}

/** A click on the map. */
async function click(coordinate, pixel) {
  const hit = site.map.forEachFeatureAtPixel(pixel, (feature, layer) => ({ feature, layer }), { hitTolerance: 6, layerFilter: (layer) => site.overlays.includes(layer) });
  pick(coordinate, hit?.feature);
  const overlay = hit?.layer.get("overlay");
  if (overlay?.ranked && overlay.id !== byId("queue").value) {
    byId("queue").value = overlay.id;
    await openQueue();
  }
  byId("note").value = state.verdicts.get(hit?.feature.get("key"))?.note ?? "";
  showChosen();
}

/** Tell again of what a link tells of. */
async function restore() {
  const { pick: place, line, site: shown } = state;
  await pick(place, null, line);
  const layer = line && site.overlays.find((each) => each.get("overlay").id === line.slice(0, line.lastIndexOf("/")));
  const feature = layer && (await featureOf(site, layer, line.slice(line.lastIndexOf("/") + 1)));
  if (line && state.site === shown && state.pick === place) await pick(place, feature || null);
}

const placeOfChosen = () => listed.findIndex((feature) => feature.get("key") === state.chosen?.get("key"));

async function step(by) {
  if (byId("part-check").hidden) {
    openTab("check");
    await openQueue();
  }
  if (!listed.length) return;
  const at = placeOfChosen();
  choose(listed[at < 0 ? 0 : Math.max(0, Math.min(listed.length - 1, at + by))]);
}

function decide(verdict) {
  const at = placeOfChosen();
  if (at < 0 || !table.overlay.ranked) return;
  review.decide(state.chosen, table.overlay, verdict, byId("note").value);
  if (at < listed.length - 1) choose(listed[at + 1]);
}

function keepNote() {
  if (placeOfChosen() < 0 || !table.overlay.ranked) return;
  const verdict = state.verdicts.get(state.chosen.get("key"))?.verdict ?? "";
  review.decide(state.chosen, table.overlay, verdict, byId("note").value);
}

function saveDecisions() {
  const url = URL.createObjectURL(new Blob([review.geojson(queued().getSource(), state.site.crs)], { type: "application/geo+json" }));
  element("a", { href: url, download: `${state.site.name}-decisions.geojson` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/* ---- hands and keys ---- */

function openTab(name) {
  byId("body").scrollTop = 0;
  for (const part of ["map", "check", "scores"]) {
    const on = part === name;
    byId(`part-${part}`).hidden = !on;
    byId(`tab-${part}`).setAttribute("aria-selected", on);
  }
}

function show(name) {
  if (name) state.show = name;
  refresh();
}

function stepDate(by) {
  if (!["image", "probability"].includes(state.show)) {
    const key = state.shows().indexOf("probability") + 1;
    say(`${TITLES[state.show]}: of all dates. Key ${key} shows the probability, which has dates.`);
    return;
  }
  const { stops, at } = state.slider();
  state.date = stops[Math.max(0, Math.min(stops.length - 1, at + by))];
  refresh();
}

function toggleCompare() {
  state.compare = state.compare ? "" : state.opposite();
  refresh();
}

function toggleLines() {
  const roads = state.site.overlays.find((overlay) => overlay.role === "roads");
  if (!roads) return;
  if (!state.on.delete(roads.id)) state.on.add(roads.id);
  refresh();
}

function fold(open = byId("fold").getAttribute("aria-expanded") !== "true") {
  byId("fold").setAttribute("aria-expanded", open);
  byId("panel").classList.toggle("folded", !open);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("swath theme", name);
  } catch {} // a browser that keeps nothing for files
}

const KEYS = {
  ArrowLeft: () => stepDate(-1), ArrowRight: () => stepDate(1), c: toggleCompare, l: toggleLines,
  0: () => site.whole(), j: () => step(1), k: () => step(-1), a: () => decide("accept"), r: () => decide("reject"),
  n: () => byId("note").focus(), Escape: closeFacts, "?": () => byId("keys").showModal(),
  "+": () => site.zoom(1), "-": () => site.zoom(-1),
};

function listen() {
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  on("layers", "change", (event) => show(event.target.value));
  on("overlays", "change", ({ target }) => {
    if (target.checked) state.on.add(target.value);
    else state.on.delete(target.value);
    refresh();
  });
  on("opacity", "input", (event) => {
    state.opacity = event.target.value / 100;
    site.show();
    keepLink();
  });
  on("compare", "change", (event) => show((state.compare = event.target.value) && ""));
  on("target", "change", (event) => show((state.target = event.target.value) && ""));
  on("date", "input", (event) => {
    state.date = state.slider().stops[event.target.value];
    refresh();
  });
  on("site", "change", (event) => {
    state.enter(event.target.value);
    openSite(null);
  });
  on("queue", "change", () => {
    state.filter = null;
    repaintLines();
    openQueue();
  });
  on("filter", "change", () => {
    byId("low").value = byId("high").value = "";
    filterLines();
  });
  for (const id of ["low", "high"]) {
    on(id, "input", () => {
      clearTimeout(typing);
      typing = setTimeout(filterLines, 300);
    });
    on(id, "change", filterLines);
  }
  on("in-view", "change", () => {
    view = null;
    relist();
  });
  on("accept", "click", () => decide("accept"));
  on("reject", "click", () => decide("reject"));
  on("note", "change", keepNote);
  byId("zoom").addEventListener("click", () => site.land(), true); // before the button's own hand
  on("facts", "scroll", showMore);
  on("close", "click", closeFacts);
  on("fold", "click", () => fold());
  on("help", "click", () => byId("keys").showModal());
  on("theme", "click", () => theme(getComputedStyle(document.documentElement).getPropertyValue("--night").trim() === "1" ? "light" : "dark"));
  for (const name of ["map", "check", "scores"]) on(`tab-${name}`, "click", () => openTab(name));
  on("tab-check", "click", openQueue);
  listenToSwipe();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox], #date), select, textarea")) {
      if (event.key === "Enter" || event.key === "Escape") event.target.blur();
      return;
    }
    const name = state.shows()[Number(event.key) - 1];
    const act = name ? () => show(name) : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  addEventListener("hashchange", () => openSite(state.follow(location.hash.slice(1))));
}

function start() {
  try {
    const kept = localStorage.getItem("swath theme");
    if (kept) document.documentElement.dataset.theme = kept;
  } catch {} // a browser that keeps nothing for files
  if (innerWidth <= 720) fold(false);
  listen();
  openSite(location.hash ? state.follow(location.hash.slice(1)) : null);
}

start();
