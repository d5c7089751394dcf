"use strict";
// What a person decides on the lines to check. It is kept beside the maps by the program that serves the page; a
// page that is a file keeps it in the browser, and gives it away as GeoJSON.

const STORE = `swath ${document.title}`;

class Review {
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.live = state.content.live;
    const kept = this.live ? state.content.decisions : readStore();
    for (const { key, verdict, note } of kept) state.verdicts.set(key, { verdict, note });
  }

  async decide(feature, overlay, verdict, note) {
    const key = feature.get("key");
    const before = this.state.verdicts.get(key);
    this.state.verdicts.set(key, { verdict, note });
    this.changed();
    try {
      if (this.live) await this.send({ key, site: this.state.site.name, overlay: overlay.id, feature: String(feature.getId()), verdict, note });
      else localStorage.setItem(STORE, JSON.stringify([...this.state.verdicts].map(([name, value]) => ({ key: name, ...value }))));
    } catch (error) {
      if (before) this.state.verdicts.set(key, before);
      else this.state.verdicts.delete(key);
      this.changed();
      say(`Not kept: ${error.message}`);
    }
  }

  /** One after the other: the last word on a line must arrive last. */
  send(decision) {
    const sent = (this.last ?? Promise.resolve()).then(async () => {
      const answer = await fetch("decisions", { method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body: JSON.stringify(decision) });
      if (!answer.ok) throw new Error(await answer.text());
    });
    this.last = sent.catch(() => {});
    return sent;
  }

  /** All decided features of a source as GeoJSON, in longitude and latitude. */
  geojson(source, projection) {
    const decided = source.getFeatures().filter((feature) => this.state.verdicts.has(feature.get("key")));
    const features = decided.map((feature) => {
      const { geometry, key, ...properties } = feature.getProperties();
      const shape = geometry.clone();
      shape.applyTransform((from, to, stride) => {
        for (let at = 0; at < from.length; at += stride) [to[at], to[at + 1]] = vendor.proj4(projection, "EPSG:4326", [from[at], from[at + 1]]);
        return to;
      });
      const json = new vendor.GeoJSON().writeGeometryObject(shape);
      return { type: "Feature", geometry: json, properties: { ...properties, ...this.state.verdicts.get(key) } };
    });
    return JSON.stringify({ type: "FeatureCollection", features });
  }
}

function readStore() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? [];
  } catch {
    return []; // a browser that keeps nothing for files
  }
}
