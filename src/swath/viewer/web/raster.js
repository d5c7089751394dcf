"use strict";
// Rasters as levels of tiles of stored numbers, wherever they come from: a file behind HTTP range requests, or
// pictures inside the page. What they mean, and their colours, is not decided here.

const TILES_KEPT = 96;
const BLOCK_BYTES = 65536;
const BLOCKS_KEPT = 64;

class Raster {
  /** layer: as the page's content has it; `levels` run from fine to coarse. */
  constructor(layer) {
    this.layer = layer;
    this.kept = new Map();
    const [left, bottom, right, top] = layer.bounds;
    this.bounds = layer.bounds;
    const resolutions = layer.levels.map((level) => (right - left) / level.width);
    this.grid = new vendor.TileGrid({
      extent: [left, bottom, right, top],
      origin: [left, top],
      resolutions: resolutions.slice().reverse(),
      tileSize: layer.tile,
    });
    this.resolution = resolutions[0];
  }

  /** The numbers of one tile: { width, height, bands }, cut at the raster's edge. */
  tile(level, column, row) {
    const key = `${level}/${column}/${row}`;
    let numbers = this.kept.get(key);
    if (numbers) {
      this.kept.delete(key); // the youngest stands last
    } else {
      numbers = this.read(level, column, row);
      numbers.catch(() => this.kept.delete(key));
    }
    this.kept.set(key, numbers);
    if (this.kept.size > TILES_KEPT) this.kept.delete(this.kept.keys().next().value);
    return numbers;
  }

  /** The stored numbers at a place, one a band; null outside. */
  async at([x, y]) {
    const [left, bottom, right, top] = this.bounds;
    if (x < left || x >= right || y <= bottom || y > top) return null;
    const { width, height } = this.layer.levels[0];
    const size = this.layer.tile;
    const column = Math.min(width - 1, Math.floor(((x - left) / (right - left)) * width));
    const row = Math.min(height - 1, Math.floor(((top - y) / (top - bottom)) * height));
    const tile = await this.tile(0, Math.floor(column / size), Math.floor(row / size));
    return tile.bands.map((band) => band[(row % size) * tile.width + (column % size)]);
  }
}

class FileRaster extends Raster {
  async read(level, column, row) {
    // In blocks: else every few bytes of the file's directories are a request of their own.
    this.file ??= vendor.fromUrl(new URL(this.layer.href, location.href).href, { blockSize: BLOCK_BYTES, cacheSize: BLOCKS_KEPT });
    this.images ??= [];
    this.images[level] ??= this.file.then((file) => file.getImage(level));
    const image = await this.images[level];
    const size = this.layer.tile;
    const { width, height } = this.layer.levels[level];
    const window = [column * size, row * size, Math.min(width, (column + 1) * size), Math.min(height, (row + 1) * size)];
    const bands = await image.readRasters({ window, samples: this.layer.bands });
    return { width: window[2] - window[0], height: window[3] - window[1], bands: [...bands] };
  }
}

class PictureRaster extends Raster {
  async read(level, column, row) {
    const { width, planes } = this.layer.levels[level];
    const across = Math.ceil(width / this.layer.tile);
    const pictures = await Promise.all(planes.map((plane) => pixels(plane[row * across + column])));
    const bands = pictures.flatMap(({ data }, index) =>
      (this.layer.kind === "colours" ? [0, 1, 2] : [0]).map((channel) => data.filter((_, at) => at % 4 === channel)),
    );
    return { width: pictures[0].width, height: pictures[0].height, bands };
  }
}

async function pixels(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  // Without conversions: the picture's numbers are the map's.
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

const rasters = new Map();

function rasterOf(site, layer) {
  const key = `${site.name}/${layer.id}`;
  if (!rasters.has(key)) rasters.set(key, layer.href ? new FileRaster(layer) : new PictureRaster(layer));
  return rasters.get(key);
}
