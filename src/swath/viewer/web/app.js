"use strict";
// The page: starts from its content, follows the reader's hand, and keeps the link true.

const state = new State(content);
let site = null; // the SiteMap that is shown
let listed = []; // the features of the list to check
const review = new Review(state, () => {
  listQueue();
  repaintLines();
});

function say(words) {
  byId("busy").textContent = words;
  byId("busy").hidden = !words;
}

/** Show a site; `at` is { center, resolution } or null for the whole of it. */
function openSite(at) {
  site?.map.setTarget(null);
  for (const id of ["zoom", "scale"]) byId(id).replaceChildren();
  site = new SiteMap(state.site, state);
  pointed = null;
  byId("where").textContent = "";
  byId("facts").hidden = true;
  fillSite(state);
  if (at) {
    site.map.getView().setCenter(at.center);
    site.map.getView().setResolution(at.resolution);
  } else {
    site.map.getView().fit(state.site.bounds, { padding: room() });
  }
  const { map } = site;
  map.on("moveend", keepLink);
  map.on("singleclick", (event) => pick(event.coordinate, event.pixel));
  map.on("pointermove", (event) => event.dragging || hover(event.coordinate));
  map.on("loadend", () => document.body.setAttribute("data-ready", state.site.name));
  map.getTargetElement().querySelector(".ol-viewport").setAttribute("role", "presentation");
  openLists();
  refresh();
  if (state.pick) pick(state.pick, null);
}

/** Everything that follows from the state. */
function refresh() {
  fillLayers(state);
  fillLegend(state);
  fillTimeline(state);
  byId("opacity").value = state.opacity * 100;
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

function placeSwipe() {
  const swipe = byId("swipe");
  swipe.hidden = byId("sides").hidden = !state.compare;
  swipe.style.left = `${state.split * 100}%`;
  byId("sides").style.left = `${state.split * 100}%`;
  swipe.setAttribute("aria-valuenow", Math.round(state.split * 100));
  byId("side-left").textContent = state.titleOf(state.show, state.date);
  byId("side-right").textContent = state.compare ? state.titleOf(...state.comparePair()) : "";
}

function split(share) {
  state.split = Math.max(0, Math.min(1, share));
  placeSwipe();
  site.map.render();
}

function repaintLines() {
  for (const layer of site?.overlays ?? []) layer.changed();
}

/* ---- what is at a place ---- */

const lonlat = (coordinate) => vendor.proj4(state.site.crs, "EPSG:4326", coordinate);

function placeWords(coordinate) {
  const [lon, lat] = lonlat(coordinate);
  return `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}  ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}

/** What a layer says at a place, in words. */
async function valueWords(layer, coordinate) {
  const numbers = await rasterOf(state.site, layer).at(coordinate);
  if (!numbers) return "";
  if (layer.kind === "probability") {
    const value = probability(layer, numbers[Math.max(0, layer.names.indexOf(state.target))]);
    return value === null ? "no data" : `${plain(state.target)} ${value.toFixed(2)}`;
  }
  if (layer.kind === "classes") return plain(state.site.classes.find((c) => c.id === numbers[0])?.name ?? "no data");
  if (layer.kind === "dates") return layer.labels[layer.values.indexOf(numbers[0])] ?? "no change";
  return "";
}

let hovers = 0;
let pointed = null; // where the pointer was last
async function hover(coordinate) {
  pointed = coordinate;
  const turn = ++hovers;
  const pixel = site.map.getPixelFromCoordinate(coordinate);
  const right = state.compare && pixel && pixel[0] > innerWidth * state.split;
  const shown = right ? state.layerOf(...state.comparePair()) : state.layerOf(state.show, state.date);
  const layer = shown.kind === "colours" ? state.layerOf("probability", ALL) : shown;
  const words = await valueWords(layer, coordinate).catch(() => "");
  if (turn === hovers) byId("where").textContent = [placeWords(coordinate), words].filter(Boolean).join("   ");
}

async function pick(coordinate, pixel) {
  state.pick = coordinate;
  const { classes, dates, threshold } = state.site;
  const wanted = classes.filter((c) => c.foreground).map((c) => c.name);
  const read = async (layer) => {
    const numbers = await rasterOf(state.site, layer).at(coordinate);
    return wanted.map((name) => (numbers ? probability(layer, numbers[Math.max(0, layer.names.indexOf(name))]) : null));
  };
  try {
    const dated = await Promise.all(dates.map((date) => read(state.layerOf("probability", date))));
    const fused = await read(state.layerOf("probability", ALL));
    const kind = await valueWords(state.layerOf("classes", ALL), coordinate);
    byId("facts").hidden = false;
    byId("facts-title").textContent = placeWords(coordinate);
    const words = wanted.map((name, at) => `${plain(name)} ${fused[at] === null ? "no data" : fused[at].toFixed(2)}`).join(", ");
    byId("facts-text").textContent = `Class: ${kind || "none"}. All dates: ${words}.`;
    const series = Object.fromEntries(wanted.map((name, at) => [plain(name), dated.map((values) => values[at])]));
    drawChart(byId("chart"), dates, series, threshold, wanted.map((name) => (wanted.length > 1 ? classColour(classes.find((c) => c.name === name)) : "#ee6a24")));
  } catch (error) {
    say(`The value cannot be read: ${error.message}`);
  }
  const hit = pixel && site.map.forEachFeatureAtPixel(pixel, (feature, layer) => ({ feature, layer }), { hitTolerance: 6 });
  lineFacts(hit?.feature);
  if (hit?.layer.get("overlay").ranked) choose(hit.feature, false);
  keepLink();
}

function lineFacts(feature) {
  const facts = Object.entries(feature?.getProperties() ?? {}).filter(([name, value]) => !["geometry", "key"].includes(name) && value !== null && value !== "");
  const words = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toFixed(value < 10 ? 2 : 0) : String(value));
  byId("facts-line").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", { textContent: name.replaceAll("_", " ") }), element("dd", { textContent: words(value) })]));
}

/* ---- the list to check ---- */

const queued = () => site.overlays.find((layer) => layer.get("overlay").id === byId("queue").value);

function openLists() {
  const ranked = state.site.overlays.filter((overlay) => overlay.ranked);
  byId("queue").replaceChildren(...options(ranked.map((overlay) => [overlay.id, overlay.title]), ranked[0]?.id));
  byId("tab-check").hidden = !ranked.length;
  byId("tab-scores").hidden = !content.scores.length;
  byId("tabs").hidden = !ranked.length && !content.scores.length;
  fillScores(content);
  openTab("map");
  openQueue();
}

/** Have all features of the chosen list, and list them. */
function openQueue() {
  const layer = queued();
  if (!layer) return;
  const source = layer.getSource();
  source.on("ready", listQueue);
  source.loadFeatures(state.site.bounds, 1, site.projection);
  const kept = byId("kept");
  kept.textContent = content.live ? `Decisions are kept in ${content.kept_in}.` : "Decisions stay in this browser. ";
  if (!content.live) kept.append(element("button", { textContent: "Save as GeoJSON", onclick: saveDecisions }));
  listQueue();
}

function listQueue() {
  const layer = site && queued();
  if (!layer) return;
  listed = Review.ranked(layer.getSource());
  fillQueue(state, listed, choose);
}

function choose(feature, fly = true) {
  state.chosen = feature;
  byId("note").value = state.verdicts.get(feature.get("key"))?.note ?? "";
  listQueue();
  repaintLines();
  document.querySelector("#queue-list [aria-current=true]")?.scrollIntoView({ block: "nearest" });
  if (!fly) return;
  const { id } = queued().get("overlay");
  if (!state.on.has(id)) {
    state.on.add(id);
    refresh();
  }
  lineFacts(feature);
  site.go(grown(feature.getGeometry().getExtent(), 0.2), site.finest() / 4);
}

function step(by) {
  if (!listed.length) return;
  openTab("check");
  const at = listed.indexOf(state.chosen);
  choose(listed[at < 0 ? 0 : Math.max(0, Math.min(listed.length - 1, at + by))]);
}

function decide(verdict) {
  if (!state.chosen) return;
  const at = listed.indexOf(state.chosen);
  review.decide(state.chosen, queued().get("overlay"), verdict, byId("note").value);
  if (at >= 0 && at < listed.length - 1) choose(listed[at + 1]);
}

function keepNote() {
  if (!state.chosen) return;
  const verdict = state.verdicts.get(state.chosen.get("key"))?.verdict ?? "";
  review.decide(state.chosen, queued().get("overlay"), verdict, byId("note").value);
}

function saveDecisions() {
  const url = URL.createObjectURL(new Blob([review.geojson(queued().getSource(), state.site.crs)], { type: "application/geo+json" }));
  element("a", { href: url, download: `${state.site.name}-decisions.geojson` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/* ---- hands and keys ---- */

function openTab(name) {
  for (const part of ["map", "check", "scores"]) {
    const on = part === name;
    byId(`part-${part}`).hidden = !on;
    byId(`tab-${part}`).setAttribute("aria-selected", on);
    byId(`tab-${part}`).tabIndex = on ? 0 : -1;
  }
}

function show(name) {
  if (name) state.show = name;
  refresh();
}

function stepDate(by) {
  const stops = state.stops();
  state.date = stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(state.date) + by))];
  if (!["image", "probability"].includes(state.show)) state.show = "probability";
  refresh();
}

function toggleCompare() {
  state.compare = state.compare ? "" : state.show === "image" ? `probability ${ALL}` : state.shows().includes("image") ? `image ${state.layerOf("image", ALL).date}` : "classes";
  refresh();
}

function toggleLines() {
  const roads = state.site.overlays.find((overlay) => overlay.role === "roads");
  if (!roads) return;
  if (!state.on.delete(roads.id)) state.on.add(roads.id);
  refresh();
}

function closeFacts() {
  byId("facts").hidden = true;
  state.pick = null;
  keepLink();
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
  "+": () => site.map.getView().adjustZoom(1), "-": () => site.map.getView().adjustZoom(-1),
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
    state.date = state.stops()[event.target.value];
    refresh();
  });
  on("site", "change", (event) => {
    state.enter(event.target.value);
    openSite(null);
  });
  on("queue", "change", openQueue);
  on("accept", "click", () => decide("accept"));
  on("reject", "click", () => decide("reject"));
  on("note", "change", keepNote);
  on("close", "click", closeFacts);
  on("fold", "click", () => fold());
  on("help", "click", () => byId("keys").showModal());
  on("theme", "click", () => theme(getComputedStyle(document.documentElement).getPropertyValue("--night").trim() === "1" ? "light" : "dark"));
  for (const name of ["map", "check", "scores"]) on(`tab-${name}`, "click", () => openTab(name));
  on("tabs", "keydown", (event) => {
    const tabs = ["map", "check", "scores"].filter((name) => !byId(`tab-${name}`).hidden);
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.stopPropagation();
    const next = tabs[(tabs.indexOf(event.target.id.slice(4)) + by + tabs.length) % tabs.length];
    openTab(next);
    byId(`tab-${next}`).focus();
  });
  const swipe = byId("swipe");
  swipe.addEventListener("pointerdown", (event) => swipe.setPointerCapture(event.pointerId));
  swipe.addEventListener("pointermove", (event) => swipe.hasPointerCapture(event.pointerId) && split(event.clientX / innerWidth));
  swipe.addEventListener("pointerup", keepLink);
  swipe.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (by) {
      event.preventDefault();
      event.stopPropagation();
      split(state.split + by);
      keepLink();
    }
  });
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
