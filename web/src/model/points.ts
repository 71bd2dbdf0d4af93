/** Points of a film and what a person does to them. Nothing here changes its input. */

import type { Calibration, Content, Landmark, Point, Term } from "../types";

export type Status = "ok" | "uncertain" | "missing" | "human" | "absent" | "unplaced";

export function find(points: Point[], symbol: string): Point | undefined {
  return points.find((point) => point.symbol === symbol);
}

/** What a person decided, without who and when. */
export function contentOf({ points, calibration, note }: Content): Content {
  return { points, calibration, note };
}

/** The detection's own point, before anybody touched it. */
export function detectedPoint(landmark: Landmark): Point {
  return { symbol: landmark.symbol, x: landmark.x, y: landmark.y, source: "detected", moved_from: null };
}

/** With this point in the place of another with its symbol, or without it. */
export function replaced(content: Content, point: Point | null, symbol: string, terms: Term[]): Content {
  const points = content.points.filter((other) => other.symbol !== symbol);
  if (point) points.push(point);
  const order = new Map(terms.map((term, index) => [term.symbol, index]));
  points.sort((one, two) => (order.get(one.symbol) ?? terms.length) - (order.get(two.symbol) ?? terms.length));
  return { ...content, points };
}

/** Round to 1/100 pixel, finer than anyone can point. */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

export function moved(
  content: Content,
  symbol: string,
  x: number,
  y: number,
  terms: Term[],
  landmark: Landmark | undefined,
): Content {
  const from: [number, number] | null =
    landmark && landmark.x !== null && landmark.y !== null ? [landmark.x, landmark.y] : null;
  const point: Point = { symbol, x: rounded(x), y: rounded(y), source: "human", moved_from: from };
  return replaced(content, point, symbol, terms);
}

export function absent(content: Content, symbol: string, terms: Term[]): Content {
  return replaced(content, { symbol, x: null, y: null, source: "absent", moved_from: null }, symbol, terms);
}

/** Back to the detection; a point that only people place is taken away. */
export function asDetected(content: Content, symbol: string, terms: Term[], landmark: Landmark | undefined): Content {
  return replaced(content, landmark ? detectedPoint(landmark) : null, symbol, terms);
}

export function statusOf(point: Point | undefined, landmark: Landmark | undefined): Status {
  if (point?.source === "absent") return "absent";
  if (point?.source === "human" && point.x !== null) return "human";
  if (point && point.x !== null) return landmark?.status === "uncertain" ? "uncertain" : "ok";
  return landmark ? "missing" : "unplaced";
}

/** Symbols that still need a person: without a place, or uncertain and not touched. */
export function doubtful(points: Point[], landmarks: ReadonlyMap<string, Landmark>, terms: Term[]): string[] {
  return terms
    .filter((term) => term.detected)
    .map((term) => term.symbol)
    .filter((symbol) => {
      const status = statusOf(find(points, symbol), landmarks.get(symbol));
      return status === "uncertain" || status === "missing" || status === "unplaced";
    });
}

export function next(symbols: string[], current: string | null, order: string[], step: 1 | -1): string | null {
  if (symbols.length === 0) return null;
  const at = current === null ? (step > 0 ? -1 : order.length) : order.indexOf(current);
  const ordered = [...symbols].sort((one, two) => order.indexOf(one) - order.indexOf(two));
  const found =
    step > 0
      ? ordered.find((symbol) => order.indexOf(symbol) > at)
      : ordered.reverse().find((symbol) => order.indexOf(symbol) < at);
  return found ?? null;
}

export function samePoint(one: Point | undefined, two: Point | undefined): boolean {
  if (!one || !two) return one === two;
  return one.x === two.x && one.y === two.y && one.source === two.source;
}

/** Whether both say the same of the same line, whoever said it. */
export function sameCalibration(one: Calibration | null, two: Calibration | null): boolean {
  if (!one || !two) return one === two;
  return (["x1", "y1", "x2", "y2", "mm"] as const).every((key) => one[key] === two[key]);
}

export function sameContent(one: Content, two: Content): boolean {
  const symbols = new Set([...one.points, ...two.points].map((point) => point.symbol));
  return (
    [...symbols].every((symbol) => samePoint(find(one.points, symbol), find(two.points, symbol))) &&
    sameCalibration(one.calibration, two.calibration) &&
    one.note === two.note
  );
}
