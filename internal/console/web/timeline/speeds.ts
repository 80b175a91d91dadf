// Speeds of playback.

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16] as const;

/** The next faster (1) or slower (-1) speed; at the ends the same. */
export function nextSpeed(speed: number, direction: 1 | -1): number {
  const at = SPEEDS.findIndex((s) => s >= speed);
  const index = at < 0 ? SPEEDS.length - 1 : at;
  return SPEEDS[Math.min(Math.max(index + direction, 0), SPEEDS.length - 1)]!;
}

export const speedName = (speed: number): string => `${speed}×`;
