/** The plot of Bland and Altman: the difference of two readings over their mean, with bias and limits of agreement. */

import { linear, range, ticks } from "../model/plot";
import type { Agreement, Paired } from "../types";
import { svg } from "./dom";
import { figure } from "./pages";

const WIDEST = 560;
const NARROWEST = 320;
const HEIGHT = 300;
const LEFT = 52;
const RIGHT = 70;
/** two lines of text */
const LABEL = 27;
const TOP = 14;
const BOTTOM = 46;

/** Draw it so wide; a person who listens gets the figures that the lines stand for. */
export function blandAltman(
  name: string,
  unit: string,
  row: Agreement,
  values: Paired["values"],
  space: number,
): SVGSVGElement {
  const width = Math.min(Math.max(space, NARROWEST), WIDEST);
  const dots = values.map((one) => ({
    film: one.film,
    mean: (one.reader + one.reference) / 2,
    difference: one.reader - one.reference,
  }));
  const lines = [
    { text: "+1.96 SD", value: row.high, kind: "limit" },
    { text: "bias", value: row.bias, kind: "bias" },
    { text: "\u22121.96 SD", value: row.low, kind: "limit" },
  ].filter((line): line is { text: string; value: number; kind: string } => line.value !== null);
  const across = range(
    dots.map((dot) => dot.mean),
    0.06,
  );
  const up = range([0, ...dots.map((dot) => dot.difference), ...lines.map((line) => line.value)], 0.08);
  const x = linear(across, [LEFT, width - RIGHT]);
  const y = linear(up, [HEIGHT - BOTTOM, TOP]);
  const label = `${name}: ${row.reader} minus ${row.reference}, ${dots.length} films, bias ${figure(row.bias)}, limits of agreement ${figure(row.low)} to ${figure(row.high)} ${unit}`;
  // lines that lie close together share no text
  let below = -Infinity;
  const labels = lines.map((line) => {
    const at = Math.max(y(line.value) - 2, below + LABEL);
    below = at;
    const left = width - RIGHT + 6;
    return svg(
      "text",
      {},
      svg("tspan", { x: left, y: at }, line.text),
      svg("tspan", { x: left, y: at + 13 }, figure(line.value)),
    );
  });
  return svg(
    "svg",
    { class: "plot", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}` },
    svg("path", { class: "axis", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${width - RIGHT}` }),
    ...ticks(...across, 5).map((value) => {
      const place = { class: "middle", x: x(value), y: HEIGHT - BOTTOM + 16 };
      return svg("text", place, figure(value, decimals(across)));
    }),
    ...ticks(...up, 5).map((value) =>
      svg("text", { class: "start", x: LEFT - 6, y: y(value) + 4 }, figure(value, decimals(up))),
    ),
    svg("path", { class: "zero", d: `M${LEFT} ${y(0)}H${width - RIGHT}` }),
    ...lines.map((line) => svg("path", { class: line.kind, d: `M${LEFT} ${y(line.value)}H${width - RIGHT}` })),
    ...labels,
    ...dots.map((dot) =>
      svg(
        "circle",
        { class: "dot", cx: x(dot.mean), cy: y(dot.difference), r: 3.5 },
        svg("title", {}, `${dot.film}: mean ${figure(dot.mean)}, difference ${figure(dot.difference)} ${unit}`),
      ),
    ),
    svg("text", { class: "middle", x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 8 }, `mean of both, ${unit}`),
    svg(
      "text",
      { class: "middle", transform: `translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)` },
      `difference, ${unit}`,
    ),
  );
}

function decimals([low, high]: [number, number]): number {
  return high - low < 1 ? 2 : high - low < 10 ? 1 : 0;
}
