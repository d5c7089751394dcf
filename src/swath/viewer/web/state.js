"use strict";
// What one looks at, as a value that a link can carry.

const ALL = "all"; // all dates, fused
const SHOWS = ["image", "probability", "classes", "composite", "changes"];
const TITLES = { image: "Image", probability: "Probability", classes: "Classes", composite: "Days in colour", changes: "Changed classes" };

class State {
  constructor(content) {
    this.content = content;
    this.verdicts = new Map(); // key of a line -> { verdict, note }
    this.split = 0.5;
    this.opacity = 1;
    this.compare = "";
    this.enter(content.sites[0].name);
  }

  /** Begin anew at a site, at what shows it best. */
  enter(name) {
    this.site = this.content.sites.find((site) => site.name === name) ?? this.content.sites[0];
    const images = this.shows().includes("image");
    this.show = images ? "image" : this.site.classes.filter((c) => c.foreground).length > 1 ? "classes" : "probability";
    this.date = ALL;
    this.target = this.site.classes.find((c) => c.foreground).name;
    // What there is to check; then the errors, else the map's own lines where there is an image to see them on.
    const errors = this.site.overlays.filter((overlay) => ["found", "missed", "false", "wrong"].includes(overlay.role));
    const first = this.site.overlays.filter((overlay) => overlay.ranked || overlay.role === "changes" || errors.includes(overlay) || (overlay.role === "roads" && images && !errors.length));
    this.on = new Set(first.map((overlay) => overlay.id));
    this.compare = "";
    this.chosen = null; // the line that is told of
    this.pick = null;
    this.line = null; // the same in a link: overlay/number
    this.filter = null; // { overlay, column, low, high }
  }

  /** Whether the filter lets a feature of an overlay be seen. */
  passes(overlay, feature) {
    if (this.filter?.overlay !== overlay.id) return true;
    const value = valueOf(feature, this.filter.column);
    return typeof value === "number" && value >= this.filter.low && value <= this.filter.high;
  }

  /** What one wants beside what is shown: the image of its date, or what the map made of the image. */
  opposite() {
    if (this.show === "image") return `probability ${ALL}`;
    const image = this.imageUnder();
    if (image) return `image ${image.date}`;
    return this.show === "probability" && this.date === ALL ? `probability ${this.site.dates.at(-1)}` : `probability ${ALL}`;
  }

  /** What the site has to show, in the order of its keys. */
  shows() {
    return SHOWS.filter((show) => this.layerOf(show, ALL));
  }

  /** The layer of the page's content for a show and a date. */
  layerOf(show, date) {
    const { layers } = this.site;
    const newest = (prefix) => layers.filter((layer) => layer.id.startsWith(prefix)).at(-1);
    if (show === "image") return layers.find((layer) => layer.id === `image_${date}`) ?? newest("image_");
    if (show === "probability") return layers.find((layer) => layer.id === `pmap_${date}`) ?? layers.find((layer) => layer.id === "pmap");
    return layers.find((layer) => layer.id === show);
  }

  /** Whether something of what is shown can let the image below shine through. */
  fades() {
    return this.show !== "image" || !["", "image"].includes(this.comparePair()[0]);
  }

  onProbability() {
    return [this.show, this.comparePair()[0]].includes("probability");
  }

  imageUnder() {
    return this.layerOf("image", this.date) ?? null;
  }

  /** Dates that the slider stops at, and then all of them. */
  stops() {
    return [...this.site.dates, ALL];
  }

  /** The same for what is shown, and where it stands: the newest image is that of all dates, one stop. */
  slider() {
    const newest = this.site.dates.at(-1);
    const twice = this.show === "image" && this.layerOf("image", ALL).date === newest;
    const stops = this.stops().filter((stop) => !(twice && stop === newest));
    return { stops, at: stops.includes(this.date) ? stops.indexOf(this.date) : stops.length - 1 };
  }

  /** The compared show and date: `probability 2019-07-04`. */
  comparePair() {
    const [show, date] = this.compare.split(" ");
    return [show, date ?? ALL];
  }

  titleOf(show, date) {
    const title = show === "probability" ? `Probability of ${plain(this.target)}` : TITLES[show];
    if (show === "image") return `${title}, ${this.layerOf("image", date).date}`;
    return show === "probability" ? `${title}, ${date === ALL ? "all dates" : date}` : title;
  }

  /** As the part of a link after its #. */
  link(view) {
    const words = new URLSearchParams({ site: this.site.name, show: this.show, date: this.date, on: [...this.on].join(" ") });
    if (this.compare) {
      words.set("compare", this.compare);
      words.set("split", this.split.toFixed(2));
    }
    if (this.opacity < 1) words.set("opacity", this.opacity);
    if (this.target !== this.site.classes.find((c) => c.foreground).name) words.set("class", this.target);
    if (this.line) words.set("line", this.line);
    if (this.pick) words.set("pick", this.pick.map((value) => value.toFixed(1)).join(","));
    const center = view?.getCenter();
    if (center) words.set("at", [...center.map((value) => value.toFixed(1)), view.getResolution().toFixed(2)].join(","));
    return words.toString();
  }

  /** Take over a link; give where it looks: { center, resolution }, or null. */
  follow(hash) {
    const words = new URLSearchParams(hash);
    this.enter(words.get("site"));
    if (this.shows().includes(words.get("show"))) this.show = words.get("show");
    if (this.stops().includes(words.get("date"))) this.date = words.get("date");
    const known = new Set(this.site.overlays.map((overlay) => overlay.id));
    if (words.has("on")) this.on = new Set(words.get("on").split(" ").filter((id) => known.has(id)));
    const [show, date] = (words.get("compare") ?? "").split(" ");
    if (this.shows().includes(show)) this.compare = this.stops().includes(date) ? `${show} ${date}` : show;
    this.split = within(words.get("split"), 0, 1, 0.5);
    this.opacity = within(words.get("opacity"), 0, 1, 1);
    if (this.site.classes.some((c) => c.foreground && c.name === words.get("class"))) this.target = words.get("class");
    this.pick = numbers(words.get("pick"), 2);
    this.line = words.get("line");
    const at = numbers(words.get("at"), 3);
    return at && at[2] > 0 ? { center: at.slice(0, 2), resolution: at[2] } : null;
  }
}

/** A name as people write it. */
function plain(name) {
  return name.replaceAll("_", " ");
}

function within(text, low, high, otherwise) {
  const number = text === null ? NaN : Number(text);
  return Number.isFinite(number) ? Math.max(low, Math.min(high, number)) : otherwise;
}

function numbers(text, count) {
  const values = (text ?? "").split(",").map(Number);
  return text && values.length === count && values.every(Number.isFinite) ? values : null;
}
