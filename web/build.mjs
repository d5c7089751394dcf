// Bundle vendor.js and the packages' style sheets into src/swath/viewer/web, with licences and checksums.
//   npm ci && npm run build
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const out = new URL('../src/swath/viewer/web/', import.meta.url).pathname;
const made = await build({
  entryPoints: { vendor: 'vendor.js' },
  bundle: true,
  minify: true,
  format: 'iife',
  globalName: 'vendor',
  target: 'es2022',
  legalComments: 'none',
  define: { 'import.meta.url': '""' }, // only worker pools ask for it, which the page does not use
  logOverride: { 'empty-import-meta': 'silent' },
  outdir: out,
  metafile: true,
});

const styles = ['ol/ol.css', 'uplot/dist/uPlot.min.css'].map((name) => readFileSync(`node_modules/${name}`, 'utf8'));
writeFileSync(`${out}vendor.css`, styles.join('\n'));

const packages = new Set(
  Object.entries(made.metafile.inputs)
    .filter(([, input]) => input.bytes > 0)
    .map(([path]) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter(Boolean),
);
const licences = [...packages].sort().map((name) => {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
  return `${name} ${version} (${license})\n\n${licenceText(name)}`;
});
writeFileSync(`${out}vendor-licences.txt`, licences.join(`\n${'-'.repeat(78)}\n\n`));

const sums = ['vendor.css', 'vendor.js', 'vendor-licences.txt'].map(
  (name) => `${createHash('sha256').update(readFileSync(out + name)).digest('hex')}  ${name}`,
);
writeFileSync(`${out}SHA256SUMS`, `${sums.join('\n')}\n`);

function licenceText(name) {
  for (const file of ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENCE', 'license']) {
    try {
      return readFileSync(`node_modules/${name}/${file}`, 'utf8');
    } catch {}
  }
  return 'The package has no file of its licence.\n';
}
