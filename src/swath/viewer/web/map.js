"use strict";
// The map: what lies under what, the swipe between two layers, and going places.

const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;

class SiteMap {
  /** site: of the page's content; state: shared by all parts of the page. */
  constructor(site, state) {
    this.site = site;
    this.state = state;
    vendor.proj4.defs(site.crs, site.wkt);
    this.projection = new vendor.Projection({ code: site.crs, units: site.units, extent: site.bounds });
    this.under = layerOnCanvas(0);
    this.left = layerOnCanvas(1);
    this.right = layerOnCanvas(2);
    for (const [layer, side] of [[this.left, "left"], [this.right, "right"]]) this.clip(layer, side);
    this.sources = new Map();
    this.overlays = site.overlays.map((overlay, index) => {
      const source = overlaySource(this, overlay);
      return new vendor.VectorLayer({
        source, extent: site.bounds, zIndex: 10 + index, maxResolution: many(overlay) ? CLOSE_M : Infinity, updateWhileAnimating: true,
        style: overlayStyle(overlay, index, state), visible: false, properties: { overlay },
      });
    });
    this.marks = new vendor.VectorSource();
    const marked = new vendor.VectorLayer({ source: this.marks, zIndex: 1000, style: markStyle(), updateWhileAnimating: true });
    this.map = new vendor.Map({
      target: "map",
      controls: [new vendor.Zoom({ target: "zoom", duration: 0 }), new vendor.ScaleLine({ target: "scale", minWidth: 90 })],
      layers: [this.under, this.left, this.right, ...this.overlays, marked],
      view: new vendor.View({
        projection: this.projection, enableRotation: false, showFullExtent: true, smoothResolutionConstraint: false,
        extent: grown(site.bounds, 0.5), minResolution: this.finest() / 20,
        maxResolution: Math.max(site.bounds[2] - site.bounds[0], site.bounds[3] - site.bounds[1]) / 150,
      }),
    });
  }

  finest() {
    return Math.min(...this.site.layers.map((layer) => rasterOf(this.site, layer).resolution));
  }

  /** Let a layer draw on its side of the swipe only. */
  clip(layer, side) {
    layer.on("prerender", (event) => {
      const { context } = event;
      context.save();
      if (!this.state.compare) return;
      const [width, height] = this.map.getSize();
      const split = width * this.state.split;
      const [from, to] = side === "left" ? [0, split] : [split, width];
      const corners = [[from, 0], [to, 0], [to, height], [from, height]].map((pixel) => vendor.getRenderPixel(event, pixel));
      context.beginPath();
      corners.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.clip();
    });
    layer.on("postrender", ({ context }) => context.restore());
  }

  source(layer) {
    const { target } = this.state;
    const key = `${layer.id}/${layer.kind === "probability" ? target : ""}`;
    if (!this.sources.has(key)) this.sources.set(key, tileSource(this.site, layer, target, this.projection));
    return this.sources.get(key);
  }

  /** Bring the layers in line with the state. */
  show() {
    const { state } = this;
    const [left, right, under] = [state.layerOf(state.show, state.date), state.layerOf(...state.comparePair()), state.imageUnder()];
    place(this.under, under && (state.compare || under !== left) ? this.source(under) : null, 1);
    place(this.left, left ? this.source(left) : null, left?.kind === "colours" && left.id.startsWith("image") ? 1 : state.opacity);
    place(this.right, state.compare && right ? this.source(right) : null, right?.id.startsWith("image") ? 1 : state.opacity);
    for (const layer of this.overlays) layer.setVisible(state.on.has(layer.get("overlay").id));
    this.map.render();
  }

  /** Mark a place and a feature, if there are any. */
  mark(place, feature) {
    const json = (geometry) => ({ type: "Feature", geometry });
    const format = new vendor.GeoJSON();
    const features = place ? [json({ type: "Point", coordinates: place })] : [];
    if (feature && feature.getGeometry().getType() !== "Point") features.unshift(json(format.writeGeometryObject(feature.getGeometry())));
    this.marks.clear();
    this.marks.addFeatures(format.readFeatures({ type: "FeatureCollection", features }));
  }

  whole() {
    this.go(this.site.bounds);
  }

  /** Fly to an extent, clear of the panel, whatever flight is on; gives { center, resolution } of the end. */
  go(extent, closest = 0) {
    const view = this.map.getView();
    view.cancelAnimations();
    const from = { center: view.getCenter(), resolution: view.getResolution() };
    view.fit(extent, { padding: room(), minResolution: closest });
    const goal = { center: view.getCenter(), resolution: view.getResolution() };
    if (!STILL) {
      this.look(from);
      this.goal = goal; // while the flight is on
      view.animate({ ...goal, duration: 350 }, () => (this.goal = null));
    }
    return goal;
  }

  look({ center, resolution }) {
    this.map.getView().setResolution(resolution);
    this.map.getView().setCenter(center); // last: how far out one is, bounds it
  }

  /** End a flight where it leads to: what comes next counts from there. */
  land() {
    const { goal } = this;
    this.map.getView().cancelAnimations();
    if (goal) this.look(goal);
  }

  zoom(by) {
    this.land();
    this.map.getView().adjustZoom(by);
  }

  /** Whether the view is where a flight led to. */
  isAt(goal) {
    const view = this.map.getView();
    const [x, y] = view.getCenter();
    const { center, resolution } = goal;
    return Math.hypot(x - center[0], y - center[1]) < resolution && Math.abs(view.getResolution() / resolution - 1) < 1e-3;
  }
}

function layerOnCanvas(zIndex) {
  return new vendor.TileLayer({ zIndex, className: `raster-${zIndex}`, visible: false });
}

function place(layer, source, opacity) {
  if (source && layer.getSource() !== source) layer.setSource(source);
  layer.setVisible(source !== null);
  layer.setOpacity(opacity);
}

function tileSource(site, layer, target, projection) {
  const raster = rasterOf(site, layer);
  const paint = painter(site, layer, target);
  const finest = layer.levels.length - 1;
  return new vendor.ImageTileSource({
    projection, tileGrid: raster.grid, interpolate: layer.id.startsWith("image"), wrapX: false, transition: 0,
    loader: async (z, column, row) => {
      const numbers = await raster.tile(finest - z, column, row);
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = layer.tile;
      const image = new ImageData(numbers.width, numbers.height);
      paint(numbers, image.data);
      canvas.getContext("2d").putImageData(image, 0, 0);
      return canvas;
    },
  });
}

function grown([left, bottom, right, top], share) {
  const [x, y] = [(right - left) * share, (top - bottom) * share];
  return [left - x, bottom - y, right + x, top + y];
}

/** What panel and card leave free: top, right, bottom, left in pixels of the screen. `told`: whether the card is there. */
function room(told = Boolean(state.pick)) {
  const box = document.getElementById("panel").getBoundingClientRect();
  const card = told && innerWidth - box.right > 700 ? 332 : 0;
  if (innerWidth > 720) return [24, 64 + card, 96, box.right + 16];
  const dock = innerHeight - document.querySelector(".dock").getBoundingClientRect().top + 12;
  const top = 16 + (told ? innerHeight * 0.46 : 0);
  return [innerHeight - dock - top > 80 ? top : 16, 16, dock, 16];
}
