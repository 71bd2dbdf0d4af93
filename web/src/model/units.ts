/** Units as people write them. */

const NAMES: Record<string, string> = { degree: "°", percent: "%" };

export function unitName(unit: string): string {
  return NAMES[unit] ?? unit;
}

/** A number with its unit; no space before the degree sign. */
export function withUnit(value: string, unit: string): string {
  return unit === "degree" ? `${value}°` : `${value} ${unitName(unit)}`;
}
