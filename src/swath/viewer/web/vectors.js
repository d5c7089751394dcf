"use strict";
// Lines and areas on top of the map: where they come from, and what they look like.

const MANY_FEATURES = 30000; // more are asked for by window, when one looks closely
const CLOSE_M = 12; // metres a pixel of the screen

const strokes = new Map();

function strokeStyle(colour, width, halo, dash) {
  const key = `${colour}/${width}/${halo}/${dash}`;
  if (!strokes.has(key)) {
    const { Style, Stroke, Fill, Circle } = vendor;
    const styles = [];
    if (halo) styles.push(new Style({ stroke: new Stroke({ color: halo, width: width + 2.5, lineCap: "round" }) }));
    const stroke = new Stroke({ color: colour, width, lineCap: "round", lineDash: dash ? [6, 6] : undefined });
    styles.push(new Style({ stroke, fill: new Fill({ color: `${colour}26` }), image: new Circle({ radius: 5, fill: new Fill({ color: colour }) }) }));
    strokes.set(key, styles);
  }
  return strokes.get(key);
}

const hex = (rgb) => `#${rgb.map((value) => value.toString(16).padStart(2, "0")).join("")}`;

/** The style function of an overlay; `state.chosen` is drawn strongest. */
function overlayStyle(overlay, index, state) {
  const fixed = overlayColour(overlay, index);
  const classes = new Map(state.site.classes.map((c) => [c.name, classColour(c)]));
  return (feature, resolution) => {
    const chosen = state.chosen === feature;
    const measure = measureOf(feature.getProperties());
    const own = overlay.role === "areas" ? classes.get(feature.get("class")) : null;
    const colour = fixed ?? own ?? hex(along(LINE_RAMP, measure === null ? 1 : Math.round(measure * 20) / 20));
    const width = (resolution < 3 ? 3 : resolution < 12 ? 2.2 : 1.4) + (overlay.ranked ? 0.8 : 0) + (chosen ? 2 : 0);
    const verdict = state.verdicts.get(feature.get("key"))?.verdict;
    const halo = chosen ? "#ffffff" : overlay.ranked ? "#00000080" : resolution < 6 ? "#00000040" : null;
    return strokeStyle(verdict === "reject" ? "#8a8a8a" : verdict === "accept" ? "#46c37b" : colour, width, halo, verdict === "reject");
  };
}

/** Fill a vector source with an overlay's features; keys tell them apart in every session. */
function overlaySource(site, overlay, projection) {
  const format = new vendor.GeoJSON({ dataProjection: projection, featureProjection: projection });
  const read = (json) => {
    const features = format.readFeatures(json);
    for (const feature of features) feature.set("key", `${site.name}/${overlay.id}/${feature.getId()}`);
    return features;
  };
  if (overlay.geojson) return new vendor.VectorSource({ features: read(overlay.geojson) });
  const many = overlay.count > MANY_FEATURES;
  const source = new vendor.VectorSource({
    strategy: many ? vendor.bboxStrategy : vendor.allStrategy,
    loader: async (extent, _resolution, _projection, success, failure) => {
      try {
        const answer = await fetch(many ? `${overlay.href}?bbox=${extent.join(",")}` : overlay.href);
        if (!answer.ok) throw new Error(await answer.text());
        const features = read(await answer.json());
        source.addFeatures(features.filter((feature) => !source.getFeatureById(feature.getId())));
        success(features);
        source.dispatchEvent("ready");
      } catch (error) {
        source.removeLoadedExtent(extent);
        failure();
        say(`${overlay.title}: ${error.message}`);
      }
    },
  });
  return source;
}
