"use strict";
// What stored numbers look like.

const content = JSON.parse(document.getElementById("content").textContent);
const { probability: RAMP, lines: LINE_RAMP, dates: DATE_RAMP } = content.ramps;
const OVERLAY_COLOURS = { osm: "#5aa2ff", candidate: "#3df5ff", missing: "#5aa2ff", both: "#46c37b", new: "#19d38a", gone: "#ff5252", vanished: "#ff5252", found: "#5fe3c3", missed: "#2f7bff", false: "#ff4fd8" };
const OTHER_COLOURS = ["#b78cff", "#ffd24a", "#4fd1c5", "#ff8f6b"];

const rgbOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** The colour at `share` (0..1) along a ramp of hex colours: [r, g, b]. */
function along(ramp, share) {
  const at = Math.max(0, Math.min(1, share)) * (ramp.length - 1);
  const low = Math.min(ramp.length - 2, Math.floor(at));
  const [from, to] = [rgbOf(ramp[low]), rgbOf(ramp[low + 1])];
  return from.map((value, channel) => Math.round(value + (to[channel] - value) * (at - low)));
}

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const gradient = (ramp) => `linear-gradient(90deg, ${ramp.join(", ")})`;

/** Stored number -> probability 0..1; null where there is no data. */
function probability(layer, number) {
  return number === layer.nodata ? null : number * layer.scale + layer.offset;
}

/** A function that writes the colours of a tile's numbers into RGBA bytes. */
function painter(site, layer, target) {
  if (layer.kind === "colours") return paintColours;
  const table = tableOf(site, layer);
  const band = layer.kind === "probability" ? Math.max(0, layer.names.indexOf(target)) : 0;
  return ({ bands }, out) => {
    const words = new Uint32Array(out.buffer);
    const numbers = bands[band];
    if (table instanceof Map) numbers.forEach((number, at) => (words[at] = table.get(number) ?? 0));
    else for (let at = 0; at < numbers.length; at++) words[at] = table[numbers[at]];
  };
}

function tableOf(site, layer) {
  const word = ([r, g, b], alpha = 255) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
  if (layer.kind === "dates") {
    return new Map(layer.values.map((value, at) => [value, word(along(DATE_RAMP, at / Math.max(1, layer.values.length - 1)))]));
  }
  const table = new Uint32Array(256);
  if (layer.kind === "classes") {
    for (const c of site.classes) if (c.foreground) table[c.id] = word(rgbOf(classColour(c)));
  } else {
    for (let number = 0; number < 256; number++) {
      const share = probability(layer, number);
      if (share !== null) table[number] = word(along(RAMP, share));
    }
  }
  return table;
}

/** A class's own colour; one that would vanish on paper or at night gives way. */
function classColour(c) {
  const lightness = rgbOf(c.color).reduce((sum, value) => sum + value, 0) / 3;
  return lightness > 235 || lightness < 20 ? "#e4572e" : c.color;
}

function paintColours({ bands: [red, green, blue] }, out) {
  for (let at = 0; at < red.length; at++) {
    const known = red[at] || green[at] || blue[at];
    out[4 * at] = red[at];
    out[4 * at + 1] = green[at];
    out[4 * at + 2] = blue[at];
    out[4 * at + 3] = known ? 255 : 0;
  }
}

/** The overlay's colour; null where every feature has its own. */
function overlayColour(overlay, index) {
  return ["roads", "areas", "wrong"].includes(overlay.role) ? null : (OVERLAY_COLOURS[overlay.role] ?? OTHER_COLOURS[index % OTHER_COLOURS.length]);
}

/** Measure, 0..1, by which a line is ranked or coloured, if it has one. */
function measureOf(properties) {
  for (const name of ["confidence", "p_mean", "probability"]) {
    if (typeof properties[name] === "number") return properties[name];
  }
  return null;
}
