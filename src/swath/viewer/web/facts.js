"use strict";
// What is at a place: the rasters' true values, at every date, and what is known of the line that was hit.

const HIDDEN = ["geometry", "key", "component", "from_node", "to_node", "dates_seen", "dates_known"];
const SAMPLES = 40; // along a line, at most

const lonlat = (coordinate) => vendor.proj4(state.site.crs, "EPSG:4326", coordinate);

function placeWords(coordinate) {
  const [lon, lat] = lonlat(coordinate);
  return `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}  ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}

/** The probability of a class at a place; null where there is no data. */
async function probabilityAt(layer, name, coordinate) {
  const numbers = await rasterOf(state.site, layer).at(coordinate);
  return numbers ? probability(layer, numbers[Math.max(0, layer.names.indexOf(name))]) : null;
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

let picks = 0;
const nameOf = (feature) => feature?.get("key").slice(state.site.name.length + 1) ?? null;

/** Tell of a place, and of the line there, if one is given; both are marked. `line`: what the link says of it. */
async function pick(coordinate, feature = null, line = nameOf(feature)) {
  const turn = ++picks;
  state.pick = coordinate;
  state.chosen = feature;
  state.line = line;
  site.mark(coordinate, feature);
  keepLink();
  const { classes, dates, threshold } = state.site;
  const way = feature && lineOf(feature.getGeometry());
  const own = classes.find((c) => c.foreground && c.name === feature?.get("class"));
  const wanted = way ? [own ?? classes.find((c) => c.name === state.target)] : classes.filter((c) => c.foreground);
  const places = way ? placesAlong(way) : [coordinate];
  try {
    const here = await Promise.all(classes.filter((c) => c.foreground).map(async ({ name }) => [name, await probabilityAt(state.layerOf("probability", ALL), name, coordinate)]));
    const kind = await valueWords(state.layerOf("classes", ALL), coordinate);
    const dated = await Promise.all(wanted.map(({ name }) => Promise.all(dates.map((date) => meanAt(state.layerOf("probability", date), name, places)))));
    if (turn !== picks) return;
    byId("facts").hidden = false;
    byId("facts").scrollTop = 0;
    const whole = feature && fromList(coordinate, feature);
    const thing = way ? "line" : feature?.getGeometry().getType().includes("Point") ? "point" : "area";
    byId("facts").classList.toggle("of-line", whole);
    byId("facts-title").textContent = whole ? `This ${thing}` : placeWords(coordinate);
    byId("facts-text").hidden = whole;
    byId("facts-text").textContent = `Here: ${kind || "no class"}; all dates: ${here.map(([name, value]) => `${plain(name)} ${value === null ? "no data" : value.toFixed(2)}`).join(", ")}`;
    byId("line-title").textContent = whole ? `Its middle: ${placeWords(coordinate)}` : feature ? `This ${thing}:` : "";
    byId("chart-title").textContent = way ? `Probability of ${plain(wanted[0].name)} by date, mean along this line` : "Probability by date, here";
    const series = Object.fromEntries(wanted.map(({ name }, at) => [plain(name), dated[at]]));
    drawChart(byId("chart"), dates, series, threshold, wanted.map((c) => (classes.length > 2 ? classColour(c) : "#ee6a24")));
    lineFacts(feature, way ? dated[0] : null);
    requestAnimationFrame(showMore); // once the chart has its size
  } catch (error) {
    say(`The value cannot be read: ${error.message}`);
  }
}

/** Whether one looks at a feature as a whole, not at a place of it: links round to 0.1. */
function fromList(coordinate, feature) {
  const [x, y] = middleOf(feature.getGeometry());
  return Math.hypot(x - coordinate[0], y - coordinate[1]) < 0.1;
}

/** The longest line of a geometry; null where it has none. */
function lineOf(geometry) {
  if (geometry.getType() === "LineString") return geometry;
  if (geometry.getType() !== "MultiLineString") return null;
  return geometry.getLineStrings().reduce((longest, part) => (part.getLength() > longest.getLength() ? part : longest));
}

/** Where one looks when one looks at a feature. */
function middleOf(geometry) {
  const [left, bottom, right, top] = geometry.getExtent();
  return lineOf(geometry)?.getCoordinateAt(0.5).slice(0, 2) ?? geometry.getInteriorPoint?.().getCoordinates().slice(0, 2) ?? [(left + right) / 2, (bottom + top) / 2];
}

function placesAlong(line) {
  const count = Math.max(2, Math.min(SAMPLES, Math.round(line.getLength() / site.finest())));
  return Array.from({ length: count }, (_, at) => line.getCoordinateAt((at + 0.5) / count));
}

/** The mean probability at places; null where most have no data. */
async function meanAt(layer, name, places) {
  const values = (await Promise.all(places.map((place) => probabilityAt(layer, name, place)))).filter((value) => value !== null);
  return values.length > places.length / 2 ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

/** Days that saw a line and days that did not: as many as its table says, those with the highest probability. */
function daysOf(feature, dated) {
  const seen = feature.get("dates_seen");
  if (typeof seen !== "number" || !dated) return [];
  const days = state.site.dates.map((date, at) => ({ date, value: dated[at] })).filter(({ value }) => value !== null);
  const first = days.slice().sort((one, other) => other.value - one.value).slice(0, seen);
  const words = (part) => part.map(({ date, value }) => `${date} (${value.toFixed(2)})`).join("\n");
  const rows = [["seen on", words(days.filter((day) => first.includes(day))) || "no single date reaches the threshold"]];
  if (seen < days.length) rows.push(["not seen on", words(days.filter((day) => !first.includes(day)))]);
  return rows;
}

function lineFacts(feature, dated) {
  const hidden = feature && "dates_seen" in feature.getProperties() && dated ? HIDDEN : HIDDEN.slice(0, 2);
  const facts = Object.entries(feature?.getProperties() ?? {}).filter(([name, value]) => !hidden.includes(name) && value !== null && value !== "");
  const rows = [...(feature ? daysOf(feature, dated) : []), ...facts.map(([name, value]) => [name === "p_mean" ? `mean ${dated ? "along the line" : "over it"} in the map of all dates` : name === "p_min" && dated ? "least along it" : plain(name), wordsOf(name, value)])];
  byId("facts-line").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
}

/** Show whether the card goes on below its edge. */
function showMore() {
  const { scrollHeight, scrollTop, clientHeight } = byId("facts");
  byId("facts").classList.toggle("more", scrollHeight - scrollTop - clientHeight > 16);
}

function closeFacts() {
  picks++;
  byId("facts").hidden = true;
  state.pick = state.chosen = state.line = null;
  site.mark(null, null);
  listQueue();
  keepLink();
}
