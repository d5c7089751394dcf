"use strict";
// The lines of a layer as a table: sorted, filtered, and gone to.

const LISTED = 500;
const COLUMNS = {
  rank: "Rank", change: "Change", kind: "Kind", class: "Class", mapped_as: "Mapped as", highway: "Highway", width_m: "Width m", length_m: "Length m",
  area_ha: "Area ha", p_mean: "Prob.", confidence: "Conf.", dates_seen: "Dates", first_seen: "First", last_seen: "Last",
};
const RISING = ["rank", "change", "kind", "class", "mapped_as", "highway", "first_seen", "last_seen"]; // first what is least

/** What a feature has in a column; lines that do not say how long they are, are measured. */
function valueOf(feature, column) {
  return feature.get(column) ?? (column === "length_m" ? (feature.getGeometry().getLength?.() ?? null) : null);
}

class LineTable {
  constructor(state) {
    this.state = state;
    this.overlay = null;
    this.features = [];
    this.sort = null; // { column, falling }
  }

  /** Begin with the features of an overlay: the first to look at, the widest, or the longest first. */
  open(overlay, features) {
    const values = (name) => new Set(features.map((feature) => valueOf(feature, name)));
    const telling = (name) => {
      const different = values(name);
      different.delete(null);
      return different.size > (["class", "kind", "highway"].includes(name) ? 1 : 0);
    };
    this.columns = Object.keys(COLUMNS).filter(telling);
    if (this.overlay !== overlay) {
      const first = ["rank", "confidence", "width_m", "area_ha", "length_m"].find((name) => this.columns.includes(name));
      this.sort = first ? { column: first, falling: !RISING.includes(first) } : null;
    }
    this.overlay = overlay;
    this.features = features;
  }

  numeric() {
    return this.columns.filter((name) => this.features.some((feature) => typeof valueOf(feature, name) === "number"));
  }

  /** Sort by a column; the same again: the other way round. */
  by(column) {
    const again = this.sort?.column === column;
    this.sort = { column, falling: again ? !this.sort.falling : !RISING.includes(column) };
  }

  /** All features that pass the filter, in the order of the table. */
  rows(extent) {
    const passing = this.features.filter((feature) => this.state.passes(this.overlay, feature) && (!extent || feature.getGeometry().intersectsExtent(extent)));
    if (!this.sort) return passing;
    const { column, falling } = this.sort;
    const order = (one, other) => {
      const [a, b] = [valueOf(one, column), valueOf(other, column)];
      if (a === null || b === null) return (a === null) - (b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * (falling ? -1 : 1);
    };
    return passing.sort(order);
  }

  /** Show the rows; `choose` is told of the one that is wanted, `sorted` when another order is. */
  fill(rows, choose, sorted) {
    const head = this.columns.map((name) => {
      const way = this.sort?.column === name ? (this.sort.falling ? "descending" : "ascending") : "none";
      const button = element("button", { textContent: COLUMNS[name] });
      button.addEventListener("click", () => sorted(name));
      const cell = element("th", { scope: "col" }, button);
      cell.setAttribute("aria-sort", way);
      return cell;
    });
    byId("queue-head").replaceChildren(element("tr", {}, element("th", { scope: "col" }, element("span", { className: "only-read", textContent: "Number" })), ...head));
    byId("queue-list").replaceChildren(...rows.slice(0, LISTED).map((feature, at) => this.row(feature, at, choose)));
  }

  row(feature, at, choose) {
    const decided = this.state.verdicts.get(feature.get("key"));
    const go = element("button", { textContent: at + 1, title: "Go there" });
    const row = element("tr", { className: `line ${decided?.verdict ?? ""}` }, element("th", { scope: "row" }, go), ...this.columns.map((name) => element("td", { textContent: cellWords(name, feature) })));
    if (decided?.note) row.lastChild.append(element("small", { textContent: decided.note }));
    row.dataset.key = feature.get("key");
    row.setAttribute("aria-current", feature.get("key") === this.state.chosen?.get("key"));
    row.addEventListener("click", () => choose(feature));
    return row;
  }

  words(rows) {
    const { overlay, state } = this;
    if (!this.features.length) return "Nothing in this list.";
    if (overlay.ranked) return `${rows.filter((feature) => state.verdicts.get(feature.get("key"))?.verdict).length} of ${rows.length} decided`;
    const fit = many(overlay) && !state.filter ? overlay.count : rows.length;
    const words = (count) => count.toLocaleString("en");
    if (many(overlay) && state.filter) return `The first ${words(rows.length)} that fit`;
    const shown = `${fit > LISTED ? `The first ${LISTED} of ` : ""}${words(fit)} lines`;
    if (fit === 1) return "1 line";
    return fit < overlay.count ? `${shown} that fit` : shown;
  }
}

function cellWords(name, feature) {
  const value = valueOf(feature, name);
  if (value === null) return "–";
  if (name === "dates_seen") return feature.get("dates_known") ? `${value}/${feature.get("dates_known")}` : String(value);
  return wordsOf(name, value);
}

/** A value as people write it: metres whole, shares with two digits. */
function wordsOf(name, value) {
  if (typeof value !== "number") return plain(String(value)).replaceAll(/,(?=\d{4}-)/g, ", ");
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(name.endsWith("_m") && value >= 10 ? 0 : value < 10 ? 2 : 0);
}
