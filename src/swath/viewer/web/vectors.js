"use strict";
// Lines and areas on top of the map: where they come from, and what they look like.

const MANY_FEATURES = 30000; // more are asked for by window, when one looks closely
const CLOSE_M = 12; // metres a pixel of the screen

const CASING = "#000000c0"; // of lines on probabilities, whose colours are much like theirs

const strokes = new Map();

function strokeStyle(colour, width, halo, dash, strong) {
  const key = `${colour}/${width}/${halo}/${dash}/${strong}`;
  if (!strokes.has(key)) {
    const { Style, Stroke, Fill, Circle } = vendor;
    const styles = [];
    if (halo) styles.push(new Style({ stroke: new Stroke({ color: halo, width: width + (halo === CASING ? 1.6 : 2.5), lineCap: "round" }) }));
    const stroke = new Stroke({ color: colour, width, lineCap: "round", lineDash: dash ? [6, 6] : undefined });
    styles.push(new Style({ stroke, fill: new Fill({ color: `${colour}${strong ? "80" : "26"}` }), image: new Circle({ radius: 5, fill: new Fill({ color: colour }) }) }));
    strokes.set(key, styles);
  }
  return strokes.get(key);
}

const hex = (rgb) => `#${rgb.map((value) => value.toString(16).padStart(2, "0")).join("")}`;

const many = (overlay) => !overlay.geojson && !overlay.ranked && overlay.count > MANY_FEATURES;

/** What marks a place and a line that are told of: seen on any ground. */
function markStyle() {
  const { Style, Stroke, Fill, Circle } = vendor;
  const ring = (color, width) => new Style({ image: new Circle({ radius: 9, stroke: new Stroke({ color, width }), fill: new Fill({ color: "#ffffff01" }) }) });
  const line = (color, width) => new Style({ stroke: new Stroke({ color, width, lineCap: "round" }) });
  const styles = { place: [ring("#000000b0", 5), ring("#ffffff", 2.5)], line: [line("#000000b0", 9), line("#ffffff", 6), line("#0b6bff", 3)] };
  return (feature) => (feature.getGeometry().getType() === "Point" ? styles.place : styles.line);
}

/** The style function of an overlay; what the filter of the table leaves out is grey. */
function overlayStyle(overlay, index, state) {
  const fixed = overlayColour(overlay, index);
  const classes = new Map(state.site.classes.map((c) => [c.name, classColour(c)]));
  return (feature, resolution) => {
    if (!state.passes(overlay, feature)) return strokeStyle("#8a8a8a", 0.8);
    const measure = measureOf(feature.getProperties());
    const own = ["areas", "wrong"].includes(overlay.role) ? classes.get(feature.get("class")) : null;
    const changed = overlay.role === "changes" ? OVERLAY_COLOURS[feature.get("change")] : null;
    const colour = changed ?? fixed ?? own ?? hex(along(LINE_RAMP, measure === null ? 1 : Math.round(measure * 20) / 20));
    const width = (resolution < 3 ? 3 : resolution < 12 ? 2.2 : 1.4) + (overlay.ranked ? 0.8 : 0);
    const verdict = state.verdicts.get(feature.get("key"))?.verdict;
    const halo = state.onProbability() ? CASING : overlay.ranked ? "#00000080" : resolution < 6 ? "#00000040" : null;
    return strokeStyle(verdict === "reject" ? "#8a8a8a" : verdict === "accept" ? "#46c37b" : colour, width, halo, verdict === "reject", overlay.role === "wrong");
  };
}

/** GeoJSON as features; keys tell them apart in every session. */
function readFeatures(site, overlay, json) {
  const { projection } = site;
  const features = new vendor.GeoJSON({ dataProjection: projection, featureProjection: projection }).readFeatures(json);
  for (const feature of features) feature.set("key", `${site.site.name}/${overlay.id}/${feature.getId()}`);
  return features;
}

/** An overlay's features from the server that it lies on; null, and a word on the page, where it fails. */
async function askFeatures(site, overlay, query) {
  try {
    const answer = await fetch(`${overlay.href}?${new URLSearchParams(query)}`);
    if (!answer.ok) throw new Error(await answer.text());
    return readFeatures(site, overlay, await answer.json());
  } catch (error) {
    say(`${overlay.title}: ${error.message}`);
    return null;
  }
}

/** A vector source that has or gets an overlay's features. */
function overlaySource(site, overlay) {
  if (overlay.geojson) return new vendor.VectorSource({ features: readFeatures(site, overlay, overlay.geojson) });
  const source = new vendor.VectorSource({
    strategy: many(overlay) ? vendor.bboxStrategy : vendor.allStrategy,
    loader: async (extent, _resolution, _projection, success, failure) => {
      const features = await askFeatures(site, overlay, many(overlay) ? { bbox: extent.join(",") } : {});
      if (!features) {
        source.removeLoadedExtent(extent);
        failure();
        return;
      }
      source.addFeatures(features.filter((feature) => !source.getFeatureById(feature.getId())));
      success(features);
      source.set("whole", !many(overlay));
    },
  });
  return source;
}

/** All features of a layer, once they are there. */
async function allFeatures(site, layer) {
  const source = layer.getSource();
  if (!layer.get("overlay").geojson && !source.get("whole")) {
    await new Promise((resolve) => {
      source.once("change:whole", resolve);
      source.once("featuresloaderror", resolve);
      source.loadFeatures(site.site.bounds, 1, site.projection);
    });
  }
  return source.getFeatures();
}

/** Of very many features those that a table has first: by its order, within its filter, in view. */
async function firstFeatures(site, overlay, sort, filter, extent) {
  const { column, falling } = sort ?? { column: overlay.role === "roads" ? "width_m" : "length_m", falling: true };
  const query = { sort: column, falling: Number(falling), most: LISTED };
  if (filter) Object.assign(query, { column: filter.column, low: Math.max(filter.low, -1e12), high: Math.min(filter.high, 1e12) });
  if (extent) query.bbox = extent.join(",");
  return (await askFeatures(site, overlay, query)) ?? [];
}

/** The feature of a number; null if there is none. */
async function featureOf(site, layer, number) {
  const overlay = layer.get("overlay");
  if (many(overlay)) return /^\d+$/.test(number) ? ((await askFeatures(site, overlay, { feature: number }))?.[0] ?? null) : null;
  await allFeatures(site, layer);
  return layer.getSource().getFeatureById(number);
}
