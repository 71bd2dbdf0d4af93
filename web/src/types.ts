/** What the server sends and takes. Coordinates are (x, y) in pixels of the source image, pixel centres at integers. */

export interface Term {
  symbol: string;
  name: string;
  definition: string;
  number: number | null;
  detected: boolean;
}

export interface Session {
  version: string;
  deidentify: boolean;
  blind: boolean;
  reviewer: string | null;
  vocabulary: Term[];
}

export type State = "open" | "draft" | "final";

export interface FilmEntry {
  id: string;
  film: string;
  state: State;
  revision: number;
  reviewer: string | null;
  attention: { code: string; text: string }[];
  missing: number;
  uncertain: number;
  spacing: boolean;
  patient: { name: string; id: string; birth_date: string; sex: string } | null;
}

export interface Point {
  symbol: string;
  x: number | null;
  y: number | null;
  source: "detected" | "human" | "absent";
  moved_from: [number, number] | null;
}

export interface Calibration {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  mm: number;
}

/** What a person decides about a film. */
export interface Content {
  points: Point[];
  calibration: Calibration | null;
  note: string;
}

export interface Revision extends Content {
  revision: number;
  state: State;
  reviewer: string | null;
  saved_at: string | null;
  replaces: number | null;
}

export interface Landmark {
  symbol: string;
  x: number | null;
  y: number | null;
  status: "ok" | "uncertain" | "missing";
  score: number | null;
  expected_x: number | null;
  expected_y: number | null;
  radius_px: number | null;
}

export interface Measurement {
  symbol: string;
  name: string;
  analysis: string;
  value: number | null;
  unit: string;
  text: string;
  reason: string | null;
  norm: { mean: number; sd: number; citation: string } | null;
  deviation: number | null;
  flag: string | null;
  low: number | null;
  high: number | null;
}

export interface Line {
  layer: string;
  label: string;
  points: [number, number][];
  closed: boolean;
}

export interface Measured {
  measurements: Measurement[];
  lines: Line[];
}

export interface Film extends Measured {
  id: string;
  film: string;
  width: number;
  height: number;
  pixel_spacing: [number, number] | null;
  spacing_source: string | null;
  window: { center: number; width: number };
  invert: boolean;
  minimum: number;
  maximum: number;
  detection: { landmarks: Landmark[] } | null;
  warnings: string[];
  review: Revision;
  history: { revision: number; saved_at: string | null; reviewer: string | null; state: State; changes: number }[];
}
