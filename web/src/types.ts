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
  /** where signed results are sent */
  targets?: string[];
  heatmaps?: boolean;
}

export type State = "open" | "draft" | "final";

export interface Patient {
  name: string;
  id: string;
  birth_date: string;
  sex: string;
}

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
  patient: Patient | null;
  /** of the signed results; null where nothing is queued */
  delivery?: "waiting" | "sent" | "failed" | null;
}

export interface Point {
  symbol: string;
  x: number | null;
  y: number | null;
  source: "detected" | "human" | "absent";
  moved_from: [number, number] | null;
  /** who said so; the server enters it */
  by?: string | null;
}

export interface Calibration {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  mm: number;
  by?: string | null;
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
  /** where a missing landmark is to be looked for; never where it is */
  expected?: [number, number] | null;
  radius_px: number | null;
  /** of the circle that holds the true place in 90 of 100 cases */
  radius_90_px?: number | null;
}

export interface Measurement {
  symbol: string;
  name: string;
  analysis: string;
  value: number | null;
  unit: string;
  text: string;
  reason: string | null;
  norm: { text: string; citation: string } | null;
  deviation: number | null;
  verdict: "" | "within" | "above" | "below" | "not certain";
  low: number | null;
  high: number | null;
}

export interface Line {
  layer: string;
  label: string;
  points: [number, number][];
  closed: boolean;
}

/** A class of the ISBI 2015 challenge. */
export interface FilmClass {
  symbol: string;
  text: string;
  /** the interval of the measurement stays within one class */
  certain: boolean;
}

export interface Measured {
  measurements: Measurement[];
  classes: FilmClass[];
  lines: Line[];
}

/** One object on its way to one target. */
export interface SentObject {
  target: string;
  kind: "sr" | "gsps" | "pdf" | "sc" | "fhir";
  uid: string;
  revision: number;
  state: "waiting" | "sent" | "refused";
  answer: string | null;
  attempts: number;
  at: string | null;
}

/** What became of the results of the last signature. */
export interface Delivery {
  revision: number | null;
  state: "off" | "none" | "impossible" | "waiting" | "sent" | "failed";
  notes: string[];
  objects: SentObject[];
}

/** A heatmap as a picture; ``x`` and ``y`` are its outer top left corner, in film pixels. */
export interface Heatmap {
  picture: Blob;
  x: number;
  y: number;
  width: number;
  height: number;
  maximum: number;
  same_model: boolean;
}

/** How far reviewers moved a landmark, over signed films. */
export interface Moved {
  symbol: string;
  films: number;
  median_mm: number | null;
  p95_mm: number | null;
  moved: number;
  removed: number;
  added: number;
  without_scale: number;
}

/** How well a reading agrees with a reference, which is another reader or the model. */
export interface Agreement {
  reader: string;
  reference: string;
  kind: "landmark" | "measurement";
  symbol: string;
  axis: string;
  unit: string;
  films: number;
  missing: number;
  mean_absolute: number | null;
  bias: number | null;
  sd: number | null;
  low: number | null;
  high: number | null;
  dahlberg: number | null;
  icc: number | null;
}

/** Both values of each film behind an agreement. */
export interface Paired {
  kind: Agreement["kind"];
  symbol: string;
  axis: string;
  unit: string;
  values: { film: string; reader: number; reference: number }[];
}

export interface Film extends Measured {
  id: string;
  film: string;
  patient?: Patient | null;
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
  delivery?: Delivery;
  history: { revision: number; saved_at: string | null; reviewer: string | null; state: State; changes: number }[];
}
