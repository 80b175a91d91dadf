// What the player does, in words.
import { dateText, durationText, timeText } from '../timeline/zone';
import type { State } from './player';

/** A moment in words: the time alone if it is today, else with the day before it. */
export function momentText(at: number, zone: string, now: number): string {
  const day = dateText(at, zone);
  return day === dateText(now, zone) ? timeText(at, zone) : `${day} ${timeText(at, zone)}`;
}

/** Why there is sound and no picture. */
export const SOUND_ONLY = 'Sound only: the camera sends no pictures.';

/** The line below the picture; '' where the picture says it all. */
export function stateText(state: State, zone: string, now: number): string {
  switch (state.kind) {
    case 'loading': return 'Loading…';
    case 'playing': return '';
    case 'paused': return 'Paused';
    case 'waiting': return 'Waiting for pictures…';
    case 'nothing': return 'Nothing has been recorded yet. As soon as a camera sends, its picture is here.';
    case 'silent':
      return state.since === undefined ? 'The camera sends nothing. Waiting for it…'
        : `The camera has been silent since ${momentText(state.since, zone, now)}, for ${durationText(Math.max(now - state.since, 0))}. Waiting for it…`;
    case 'end':
      return state.at === undefined ? 'Nothing was recorded here.'
        : `Nothing was recorded after ${momentText(state.at, zone, now)}.`;
    case 'away': return `${state.text} Trying again…`;
    default: return state.text;
  }
}

/** Why a camera is silent whose stream is full: what it sends is refused. */
export const fullText = (since: number, zone: string, now: number): string =>
  `Nothing has been stored since ${momentText(since, zone, now)}: the stream is full, and what its camera sends is refused.`;

/** 3.4 s behind the camera. */
export const latencyText = (seconds: number): string =>
  (seconds < 0 ? 'ahead of the clock' : `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s behind the camera`);
