// Prints what Cornerstone's adapters make of a structured report: node cornerstone_tool_state.mjs REPORT FOLDER
// FOLDER has @cornerstonejs/adapters in its node_modules.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [report, folder] = process.argv.slice(2);
// its modules expect a browser
globalThis.window ??= globalThis;
globalThis.self ??= globalThis;
globalThis.document ??= { createElement: () => ({ getContext: () => null, style: {} }), addEventListener() {} };

const require = createRequire(join(folder, 'package.json'));
const load = (path) => import(pathToFileURL(path).href);
const cornerstone = (name) => load(join(folder, 'node_modules', '@cornerstonejs', name, 'dist', 'esm', 'index.js'));
const { default: dcmjs } = await load(require.resolve('dcmjs'));
const { metaData } = await cornerstone('core');
const { adaptersSR } = await cornerstone('adapters');

// an image that lies in the plane of the first two axes, with pixels of 1 mm: its world is its pixels
const plane = {
  imageOrientationPatient: [1, 0, 0, 0, 1, 0],
  imagePositionPatient: [0, 0, 0],
  rowCosines: [1, 0, 0],
  columnCosines: [0, 1, 0],
  rowPixelSpacing: 1,
  columnPixelSpacing: 1,
};
metaData.addProvider((name) => (name === 'imagePlaneModule' ? plane : {}));

const bytes = readFileSync(report);
const file = dcmjs.data.DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const dataset = dcmjs.data.DicomMetaDictionary.naturalizeDataset(file.dict);
const images = new Proxy({}, { get: (_, uid) => `image:${String(uid)}` });
const state = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(dataset, images, metaData);
const points = Object.entries(state).flatMap(([tool, found]) =>
  found.map(({ annotation, finding, findingSites }) => ({
    tool,
    image: annotation.metadata.referencedImageId,
    label: annotation.data.label,
    points: annotation.data.handles.points,
    finding: finding?.CodeMeaning,
    sites: (findingSites ?? []).map((site) => site.CodeMeaning),
  })),
);
console.log(JSON.stringify(points));
