// What the page takes from other projects, as the one global `vendor` of src/swath/viewer/web/vendor.js.
export { fromUrl } from 'geotiff';
export { default as Map } from 'ol/Map.js';
export { default as View } from 'ol/View.js';
export { default as GeoJSON } from 'ol/format/GeoJSON.js';
export { default as ScaleLine } from 'ol/control/ScaleLine.js';
export { default as Zoom } from 'ol/control/Zoom.js';
export { default as TileLayer } from 'ol/layer/Tile.js';
export { default as VectorLayer } from 'ol/layer/Vector.js';
export { default as ImageTileSource } from 'ol/source/ImageTile.js';
export { default as VectorSource } from 'ol/source/Vector.js';
export { default as TileGrid } from 'ol/tilegrid/TileGrid.js';
export { default as Projection } from 'ol/proj/Projection.js';
export { bbox as bboxStrategy, all as allStrategy } from 'ol/loadingstrategy.js';
export { Circle, Fill, Stroke, Style } from 'ol/style.js';
export { getRenderPixel } from 'ol/render.js';
export { default as proj4 } from 'proj4';
export { default as uPlot } from 'uplot';
