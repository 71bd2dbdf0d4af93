/** Distances and places on a film. */

import type { Calibration } from "../types";

export interface Place {
  x: number;
  y: number;
}

export function distance(one: Place, two: Place): number {
  return Math.hypot(one.x - two.x, one.y - two.y);
}

/** Keep a place on the film: from the outer edge of the first pixel to that of the last. */
export function inside(place: Place, width: number, height: number): Place {
  return {
    x: Math.min(Math.max(place.x, -0.5), width - 0.5),
    y: Math.min(Math.max(place.y, -0.5), height - 0.5),
  };
}

/** Millimetres per pixel of a calibration; null when the ends are one place or the length is no length. */
export function scaleOf({ x1, y1, x2, y2, mm }: Calibration): number | null {
  const pixels = Math.hypot(x2 - x1, y2 - y1);
  return pixels > 0 && Number.isFinite(mm) && mm > 0 ? mm / pixels : null;
}

/** A length that a person typed, with a point or a comma; null when it is not a positive number. */
export function length(text: string): number | null {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() !== "" && Number.isFinite(value) && value > 0 ? value : null;
}
